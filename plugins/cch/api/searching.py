"""What somebody searches for in the list of instances."""

from __future__ import annotations

from dataclasses import dataclass

from cch.api.models import InstanceState
from cch.ledger.listing import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One page of a list. ``states`` are finer than the ledger's statuses in ``wanted``; empty: any."""

    wanted: Wanted
    states: frozenset[InstanceState]
    limit: int
    cursor: str | None
