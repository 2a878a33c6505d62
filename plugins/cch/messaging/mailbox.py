"""Wakes between processes: each router has a mailbox in the ledger, into which others put what it should look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from cch.exchange import Exchange
from cch.ledger.ledger import Ledger

#: Seconds between two waiters of a round: all at once would throttle the table, and stop the event loop for seconds.
_SWEEP_PAUSE = 0.25
#: Silence (ms) after which a router has ended, even if its clock is wrong; and how often (ms) that is checked.
_GONE, _LOOK_FOR_GONE = 86_400_000, 300_000


class Mailbox:
    """The mailbox of one process's exchange, and the way into those of others."""

    def __init__(self, ledger: Ledger, exchange: Exchange, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._waiters = exchange.waiters
        self._clock = clock
        self._known_gone: frozenset[str] = frozenset()
        self._looked_for_gone = 0
        #: Set while the ledger answers: nobody is sent to look while it does not.
        self._answers = asyncio.Event()

    async def wake(self, wakes: Mapping[str, Collection[str]]) -> None:
        """Let owners look again at what they wait for: here at once, elsewhere through their mailboxes."""
        for waited_for in wakes.get(self._exchange.id, ()):
            self._waiters.wake(waited_for)
        others = {owner: ids for owner, ids in wakes.items() if owner != self._exchange.id}
        gone = await self._gone() if others else ()
        for owner, ids in others.items():
            if owner not in gone:
                await self._ledger.mailboxes.wake(owner, sorted(ids), self._clock())

    async def _gone(self) -> frozenset[str]:
        """Routers that nobody has to wake: a request that waits for months has had many."""
        now = self._clock()
        if now - self._looked_for_gone > _LOOK_FOR_GONE:
            self._looked_for_gone, self._known_gone = now, await self._ledger.mailboxes.gone(now - _GONE)
        return self._known_gone

    async def read(self) -> None:
        """Wake whoever waits here for what others have put in."""
        if len(self._waiters):
            self._answers.clear()
            found = await self._ledger.mailboxes.wakes(self._exchange.id)
            self._answers.set()
            for waited_for in found:
                try:
                    await self._ledger.mailboxes.forget(self._exchange.id, waited_for)
                finally:  # also after a failure: it may have been taken out all the same
                    self._waiters.wake(waited_for)

    async def sweep(self) -> None:
        """Let every waiter look for itself, one by one: finds what a lost wake left behind."""
        for waited_for in self._waiters.all():
            await self._answers.wait()
            self._waiters.wake(waited_for)
            await asyncio.sleep(_SWEEP_PAUSE)
