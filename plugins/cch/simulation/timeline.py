"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class NothingLeftError(Exception):
    """Everybody waits for something that will never come."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, the time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.stuck = False

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                self.stuck = True
                raise NothingLeftError
            # Never less than a microsecond, or a timer within the clock's resolution would not fire.
            self.now += max(timeout, 1e-6) if timeout > 0 else 0.0
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _JumpingSelector) -> None:
        super().__init__(selector)
        self._jumping = selector

    def time(self) -> float:
        return self._jumping.now


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
