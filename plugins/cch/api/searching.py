"""What somebody searches for in the list of instances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cch.api.mapping import STATUSES, milliseconds
from cch.api.models import FieldProblem, InstanceState
from cch.api.problems import ApiError
from cch.ledger.instances import KEY_HEAD
from cch.ledger.listing import Wanted
from cch.ledger.waiting import EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One page of a list. ``states`` are finer than the ledger's statuses in ``wanted``; empty: any."""

    wanted: Wanted
    states: frozenset[InstanceState]
    limit: int
    cursor: str | None


def wanted_of(
    *,
    states: Iterable[InstanceState],
    correlation_prefix: str,
    waiting_for: str,
    started_after: datetime | None,
    started_before: datetime | None,
    where: str = "query",
    **same: str,
) -> Wanted:
    """What the ledger is asked for. ``same``: what is called so there, too. ``where``: the part of the request.

    :raises ApiError: 422, the beginning of the business key is too short.
    """
    if correlation_prefix and len(correlation_prefix) < KEY_HEAD:
        problem = FieldProblem(location=f"{where}.correlation_prefix", message=f"give at least {KEY_HEAD} characters")
        raise ApiError(422, "invalid_request", "The request is not as the API's description says.", [problem])
    return Wanted(
        statuses=tuple(dict.fromkeys(STATUSES[state] for state in states)),
        correlation_prefix=correlation_prefix,
        capability=EVENTS if waiting_for == "event" else waiting_for,
        since=milliseconds(started_after) if started_after else 0,
        until=milliseconds(started_before) if started_before else 0,
        **same,
    )
