"""When a time is up: not by this machine's clock alone, which may be wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cch.ledger.store import ItemStore
from cch.runtime.journaling import StoppedError

log = logging.getLogger(__name__)

#: Clocks further apart than this (ms) are not trusted with a timeout.
_CLOCK_TOLERANCE = 30_000
#: Longest sleep (s) between looks at the clock, and how far past (s) a date is past even by a wrong clock.
_LONGEST_SLEEP, _LONG_PAST = 600.0, 86_400.0


class Deadlines:
    """Waits for times in ms since 1970, by the process's clock and the table's.

    ``due``: when the time of the instance is up that somebody waits for; 0 for never.
    """

    def __init__(self, clock: Callable[[], int], store: ItemStore, due: int = 0) -> None:
        self._clock = clock
        self._store = store
        self._due = due

    async def sleep_until(self, when: int) -> None:
        """:raises StoppedError: the instance's time is up before."""
        until = min(when, self._due or when)
        while True:
            left = (until - self._clock()) / 1000
            if left <= 0 and (left < -_LONG_PAST or await self._agrees(until)):
                break
            await asyncio.sleep(min(max(left, 0.0), _LONGEST_SLEEP))  # the clock may be set right meanwhile
        if until < when:
            raise StoppedError

    async def expires(self, woken: asyncio.Event, deadline: int) -> bool:
        """Wait to be woken; whether instead the time is up. ``deadline``: 0 for never.

        :raises StoppedError: the instance's time is up before.
        """
        until = min(deadline or self._due, self._due or deadline)
        seconds = max(0.0, (until - self._clock()) / 1000) if until else None
        try:
            async with asyncio.timeout(seconds):  # wait_for would make a task for each waiter
                await woken.wait()
        except TimeoutError:
            if not await self._agrees(until):
                return False
            if until != deadline:
                raise StoppedError from None
            return True
        return False

    async def overdue(self) -> bool:
        """Whether the instance's time is up."""
        return bool(self._due) and self._clock() >= self._due and await self._agrees(self._due)

    async def _agrees(self, when: int) -> bool:
        """Whether the store's clock agrees that a time is up; a wrong local clock must end nothing."""
        server = await self._store.server_time()
        if server is None or abs(server - self._clock()) <= _CLOCK_TOLERANCE or server >= when:
            return True
        log.warning(
            "this machine's clock is wrong: not timing out yet",
            extra={"cch_clock_difference_ms": self._clock() - server},
        )
        await asyncio.sleep(_CLOCK_TOLERANCE / 1000)
        return False
