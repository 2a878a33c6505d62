"""Follows an instance to its end, and shows every change on the way."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from rich.live import Live
from rich.text import Text

from cch.cli.instance_views import detail, node_note, request_note
from cch.cli.output import console, note, say
from cch.cli.watched import Started, Watched
from cch.errors import ServiceUnavailableError
from cch.runtime.inspection import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cch.ledger.records import Fate
    from cch.runtime.platform import Platform
    from cch.runtime.progress import Progress

#: Seconds between two looks: at first, and after a minute, when nobody sits in front of it any more.
_SOON, _LATER, _LATER_AFTER = 0.5, 2.0, 60.0
#: Seconds without any sign of the command after which a person should know.
_UNTAKEN_AFTER = 15.0
#: Looks in a row that may fail before watching gives up: a restart of the stack passes.
_PATIENCE = 10
#: Seconds between two looks for a rejection: it is found in an index, and only while no instance is there.
_REJECTION_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When watching ends before the instance does (s): after ``whole``, or when nothing has changed for ``still``."""

    whole: float = math.inf
    still: float = math.inf


NO_LIMITS = Limits()


class Display(Protocol):
    """Shows progress while it is watched."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, progress: Progress) -> None: ...


class Silence:
    """Shows nothing: stdout belongs to a program."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, progress: Progress) -> None:
        pass


class Lines(Silence):
    """One line a change, for logs."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._seen: dict[str, str] = {}

    def update(self, progress: Progress) -> None:
        self._line(progress, "instance", f"instance {progress.instance.status}")
        for node in progress.nodes:
            if node.state not in ("PENDING", "READY"):
                again = f" (visit {node.visits})" if node.visits > 1 else ""
                shown = f"{node.state:<9} {node.name}{again} {node_note(node)}"
                self._line(progress, node.name, shown.rstrip(), key=f"{node.state} {node.visits}")
        for request in progress.requests:
            shown = f"request   {request.source} {request.state} {request_note(request)}"
            self._line(progress, request.command_id, shown.rstrip(), key=f"{request.state} {bool(request.sent_at)}")

    def _line(self, progress: Progress, subject: str, line: str, key: str = "") -> None:
        if self._seen.get(subject) != (key or line):
            self._seen[subject] = key or line
            say(f"{progress.seconds(self._clock()):7.1f} s  {line}")


class Screen:
    """Tables that are drawn again and again, for a terminal."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._live = Live(Text("waiting for the command to be taken …", "dim"), console=console(), transient=True)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, progress: Progress) -> None:
        self._live.update(detail(progress, self._clock()), refresh=True)


def display_for(platform: Platform, *, quiet: bool) -> Display:
    """Nothing, tables for a terminal, or lines for everything else."""
    if quiet:
        return Silence()
    return Screen(platform.clock) if sys.stdout.isatty() else Lines(platform.clock)


async def _rejection(platform: Platform, started: Started) -> str:
    """Why the start was refused; "" if it was not (or not yet)."""
    fates: tuple[Fate, ...] = ("rejected", "malformed")
    for fate in fates:
        for message in await platform.ledger.messages.unmatched(fate):
            if message.instance == started.instance_id and message.command_id == started.command_id:
                return message.reason or fate
    return ""


async def admission(platform: Platform, started: Started, limit: float = _UNTAKEN_AFTER) -> Watched:
    """Wait until the start was taken or refused, ``limit`` seconds at the most; its status then: sent or rejected."""
    begun = time.monotonic()
    while time.monotonic() - begun < limit and await platform.ledger.instances.find(started.instance_id) is None:
        if reason := await _rejection(platform, started):
            return Watched(started=started, status="rejected", reason=reason)
        await asyncio.sleep(_SOON)
    return Watched(started=started, status="sent")


class _Watch:
    def __init__(self, platform: Platform, started: Started, display: Display, limits: Limits) -> None:
        self._platform = platform
        self._started = started
        self._display = display
        self._limits = limits
        self._inspector = Inspector(platform)
        self._begun = self._moved = time.monotonic()
        self._failures = 0
        self._last: Progress | None = None
        self._warned = False
        self._asked = -_REJECTION_EVERY

    def _spent(self) -> float:
        return time.monotonic() - self._begun

    def _watched(self, status: str, reason: str = "") -> Watched:
        now = self._platform.clock()
        return Watched(
            started=self._started,
            status=status,
            progress=self._last,
            reason=reason,
            seconds=self._last.seconds(now) if self._last else (now - self._started.at) / 1000,
        )

    async def follow(self) -> Watched:
        while True:
            try:
                if (end := await self._look()) is not None:
                    return end
                self._failures = 0
            except ServiceUnavailableError as error:
                self._failures += 1
                if self._failures >= _PATIENCE:
                    raise
                note(f"{error}; looking again")
            status = self._last.instance.status if self._last else "sent"
            limit, still = self._limits.whole, self._limits.still
            if self._spent() >= limit:
                return self._watched("timeout", f"not finished within {limit:g} s: it is {status}")
            if time.monotonic() - self._moved >= still:
                return self._watched("timeout", f"nothing has changed for {still:g} s: it is {status}")
            pause = _SOON if self._spent() < _LATER_AFTER else _LATER
            await asyncio.sleep(max(0.0, min(pause, limit - self._spent())))

    async def _look(self) -> Watched | None:
        progress = await self._inspector.look(self._started.instance_id)
        if progress is None:
            return await self._not_there()
        if progress != self._last:
            self._moved = time.monotonic()
        self._last = progress
        self._display.update(progress)
        return self._watched(progress.instance.status) if progress.ended else None

    async def _not_there(self) -> Watched | None:
        if self._spent() - self._asked >= _REJECTION_EVERY:
            self._asked = self._spent()
            if reason := await _rejection(self._platform, self._started):
                return self._watched("rejected", reason)
        if self._spent() > _UNTAKEN_AFTER and not self._warned:
            self._warned = True
            note(f"nobody has taken the command within {_UNTAKEN_AFTER:g} s: is Airflow's triggerer running?")
        return None


async def watch(platform: Platform, started: Started, display: Display, limits: Limits = NO_LIMITS) -> Watched:
    """Follow the instance until it has ended, was rejected, or a limit is over.

    :raises ServiceUnavailableError: the ledger did not answer for a while.
    """
    with display:
        return await _Watch(platform, started, display, limits).follow()
