"""When a time is up: not by this machine's clock alone, which may be wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cch.ledger.store import ItemStore

log = logging.getLogger(__name__)

#: Clocks further apart than this (ms) are not trusted with a timeout.
_CLOCK_TOLERANCE = 30_000
#: Longest sleep (s) between looks at the clock, and how far past (s) a date is past even by a wrong clock.
_LONGEST_SLEEP, _LONG_PAST = 600.0, 86_400.0


class Deadlines:
    """Waits for times in ms since 1970, by the process's clock and the table's."""

    def __init__(self, clock: Callable[[], int], store: ItemStore) -> None:
        self._clock = clock
        self._store = store

    async def sleep_until(self, when: int) -> None:
        while True:
            left = (when - self._clock()) / 1000
            if left <= 0 and (left < -_LONG_PAST or await self._is_up(when)):
                return
            await asyncio.sleep(min(max(left, 0.0), _LONGEST_SLEEP))  # the clock may be set right meanwhile

    async def expires(self, woken: asyncio.Event, deadline: int) -> bool:
        """Wait to be woken; whether instead the time is up. ``deadline``: 0 for never."""
        seconds = max(0.0, (deadline - self._clock()) / 1000) if deadline else None
        try:
            async with asyncio.timeout(seconds):  # wait_for would make a task for each waiter
                await woken.wait()
        except TimeoutError:
            return await self._is_up(deadline)
        return False

    async def _is_up(self, deadline: int) -> bool:
        """Whether the store's clock agrees; a wrong local clock must not end a request."""
        server = await self._store.server_time()
        if server is None or abs(server - self._clock()) <= _CLOCK_TOLERANCE or server >= deadline:
            return True
        log.warning(
            "this machine's clock is wrong: not timing out yet",
            extra={"cch_clock_difference_ms": self._clock() - server},
        )
        await asyncio.sleep(_CLOCK_TOLERANCE / 1000)
        return False
