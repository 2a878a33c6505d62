"""The end of a message, and who must look again because of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cch.ledger.messages import Stored
from cch.ledger.records import Fate
from cch.ledger.requests import Closed
from cch.ledger.waits import WaitRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Proof for the queue (None: keep the message there), the request that it concerns, the waits that it may end."""

    stored: Stored | None
    fate: Fate
    closed: Closed | None = None
    waits: tuple[WaitRecord, ...] = ()

    def owners(self) -> Iterator[tuple[str, str]]:
        """(router, id of request or wait) of everybody who must look again."""
        if self.closed is not None:
            yield from ((owner, self.closed.record.command_id) for owner in self.closed.record.owners)
        for wait in self.waits:
            yield from ((owner, wait.id) for owner in wait.owners)
