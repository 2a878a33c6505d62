"""Signs of life in the ledger: the routers of the triggerers, and starts that wait for their run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cch.ledger.ledger import Ledger
    from cch.ledger.mailboxes import PendingStart, RouterState

#: A router writes every 30 s; one that missed three is taken for dead (s).
DEAD_AFTER = 100
#: A start that waits longer than this for its run (ms) means that nobody dispatches.
_SLOW_START = 180_000
#: Routers that have reported within this time (ms) are listed.
_SHOWN = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """At ``now`` (ms): the routers of the last hour, those that are ``alive``, and the starts that wait."""

    now: int
    routers: Sequence[RouterState]
    starts: Sequence[PendingStart]

    @property
    def alive(self) -> list[RouterState]:
        return [each for each in self.routers if self.now - each.seen < DEAD_AFTER * 1000]

    @property
    def complaint(self) -> str:
        """What is wrong with the routers; "" if replies and commands are taken."""
        if not self.alive:
            return f"none has reported within {DEAD_AFTER} s"
        return "" if any(each.commands for each in self.alive) else "none takes commands"

    @property
    def slow(self) -> list[PendingStart]:
        """Starts that should have had their run by now."""
        return [start for start in self.starts if self.now - start.since > _SLOW_START]


async def pulse(ledger: Ledger, now: int) -> Pulse:
    return Pulse(now=now, routers=await ledger.mailboxes.routers(now - _SHOWN), starts=await ledger.mailboxes.starts())
