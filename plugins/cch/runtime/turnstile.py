"""Lets only so many regions begin, or go on after a restart, at the same time.

When a triggerer starts, everything that waits comes back within seconds. Thousands of regions that read the ledger at
once would keep the event loop from Airflow's own work until Airflow takes the triggerer for dead, would hold up the
replies that come meanwhile, and would throttle the table.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable

#: A call of DynamoDB takes 4 to 10 ms, 2 to 3 of them work of this event loop: four at a time keep it busy. More would
#: only make each round of the loop longer, and Airflow takes one round for each of its triggers before it looks up.
PLACES = 4
#: Seconds after which a region that has not reached its first wait gives up its place: it is working, or AWS hangs.
PATIENCE = 2.0

_leave: contextvars.ContextVar[Callable[[], None]] = contextvars.ContextVar("leave")


class Turnstile:
    """Lets regions in, oldest first. Each keeps its place until it leaves, or for :data:`PATIENCE` at most."""

    def __init__(self, places: int = PLACES) -> None:
        self._free = places
        self._queue: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Return when there is a place for the region that calls; it belongs to its task and to those it starts."""
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next()  # it was our turn already
                raise
        gone = False

        def leave() -> None:
            nonlocal gone
            timer.cancel()
            if not gone:
                gone = True
                self._next()

        timer = asyncio.get_running_loop().call_later(PATIENCE, leave)
        _leave.set(leave)

    @staticmethod
    def leave() -> None:
        """Give up the place of the region that calls, if it has one."""
        leave = _leave.get(None)
        if leave is not None:
            leave()

    def _next(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
