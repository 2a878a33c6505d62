"""Lets a triggerer look again soon where something has just ended: what follows is likely to begin in a moment.

Airflow looks once a second for what has ended and what is to begin. :mod:`cch.scheduling.prompt` puts a
:class:`Pulse` where it sleeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, Protocol

#: Seconds between two looks, and for how long (s) after the last end: until the scheduler has let the next task begin.
QUICK, LASTS = 0.2, 3.0


class Stop(Protocol):
    """Airflow's event that ends the process."""

    def set(self) -> None: ...

    async def wait(self) -> None: ...

    def is_set(self) -> bool: ...


class Pulse:
    """Airflow's event, whose ``wait`` also returns when it is time to look again. It runs in one event loop."""

    #: That of this process, once it runs triggers.
    of_process: ClassVar[Pulse | None] = None

    def __init__(self, stop: Stop, clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._clock = clock
        self._until = 0.0
        self._woken = asyncio.Event()

    def set(self) -> None:
        """The process is to end."""
        self._stop.set()
        self._woken.set()

    def is_set(self) -> bool:
        """Whether it is."""
        return self._stop.is_set()

    def quicken(self) -> None:
        """Look now, and often for a while."""
        self._until = self._clock() + LASTS
        self._woken.set()

    async def wait(self) -> None:
        """Return when the process is to end, or it is time to look."""
        if self._clock() < self._until:
            try:
                async with asyncio.timeout(QUICK):
                    await self._stop.wait()
            except TimeoutError:
                pass
            return
        self._woken.clear()
        if not self._stop.is_set():
            await self._woken.wait()


def pulse_of(stop: Stop) -> Pulse:
    """A pulse around Airflow's event, which is that of this process from now on."""
    Pulse.of_process = Pulse(stop)
    return Pulse.of_process


def quicken() -> None:
    """Let the triggerer of this process look now, and often for a while; nothing where there is no pulse."""
    if Pulse.of_process is not None:
        Pulse.of_process.quicken()
