"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class NothingLeftError(Exception):
    """Everybody waits for something that will never come."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, the time passes at once. Time is a whole number of milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.milliseconds = 0
        #: When the next timer of the loop is due (ms); asyncio itself never sleeps longer than a day.
        self.due: Callable[[], int | None] = lambda: None

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            due = self.due()
            if due is None:
                raise NothingLeftError
            self.milliseconds = max(due, self.milliseconds + 1)
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _JumpingSelector) -> None:
        super().__init__(selector)
        self._jumping = selector
        # What is due in the present millisecond is due: timers are floats, of which the last digit is anything.
        self._clock_resolution = 0.0005
        selector.due = self._due

    def time(self) -> float:
        return self._jumping.milliseconds / 1000

    def _due(self) -> int | None:
        timers = self._scheduled  # type: ignore[attr-defined]  # asyncio's own heap of timers, the next one first
        return round(timers[0].when() * 1000) if timers else None


def run_virtually(work: Coroutine[Any, Any, _T]) -> _T | None:
    """Run to the end, with virtual time from 0 s; None if everybody waits for what never comes."""
    selector = _JumpingSelector()
    loop = _JumpingLoop(selector)
    task = loop.create_task(work)
    try:
        return loop.run_until_complete(task)
    except NothingLeftError:
        return None
    finally:
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(_settle(loop))
        loop.close()


async def _settle(loop: asyncio.AbstractEventLoop) -> None:
    """Let cancelled tasks end."""
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    await asyncio.gather(*others, return_exceptions=True)
