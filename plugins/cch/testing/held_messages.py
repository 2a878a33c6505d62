"""The messages of one queue: ready, or hidden while they are in flight or delayed, and back when their time is up."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class HeldMessage:
    """``sent``, ``first_received``: ms since 1970. ``receipts``: how often it was taken."""

    message_id: str
    body: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sent: int = field(default_factory=lambda: int(time.time() * 1000))
    receipts: int = 0
    first_received: int = 0
    hidden_until: float = 0.0


class HeldMessages:
    """``clock`` tells the time (s) by which hidden messages come back. Safe within one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: OrderedDict[str, HeldMessage] = OrderedDict()
        self._hidden: dict[str, HeldMessage] = {}
        #: When hidden messages come back; an entry with another time than its message's is out of date.
        self._due: list[tuple[float, int, HeldMessage]] = []
        self._numbers = itertools.count()
        self._arrived = asyncio.Event()

    def __iter__(self) -> Iterator[HeldMessage]:
        yield from self._ready.values()
        yield from self._hidden.values()

    @property
    def ready(self) -> int:
        self._show_due()
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        self._show_due()
        return sum(message.receipts > 0 for message in self._hidden.values())

    @property
    def delayed(self) -> int:
        self._show_due()
        return sum(message.receipts == 0 for message in self._hidden.values())

    def add(self, message: HeldMessage, delay: float = 0.0) -> None:
        """``delay``: how long it stays hidden first (s)."""
        if delay > 0:
            self._hide(message, delay)
        else:
            self._show(message)

    def take(self, most: int, hidden_for: float = math.inf) -> list[HeldMessage]:
        """The oldest that are ready; they are hidden for so long (s)."""
        self._show_due()
        taken = [self._ready.popitem(last=False)[1] for _ in range(min(most, len(self._ready)))]
        for message in taken:
            message.receipts += 1
            message.first_received = message.first_received or int(time.time() * 1000)
            self._hide(message, hidden_for)
        return taken

    async def take_soon(self, most: int, wait: float, hidden_for: float = math.inf) -> list[HeldMessage]:
        """Like :meth:`take`; waits for the first message, at most so long (s)."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while not (taken := self.take(most, hidden_for)) and (left := until - loop.time()) > 0:
            if self._due:
                left = min(left, max(0.0, self._due[0][0] - self._clock()))
            self._arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)
        return taken

    def find(self, message_id: str) -> HeldMessage | None:
        return self._ready.get(message_id) or self._hidden.get(message_id)

    def remove(self, message_id: str) -> None:
        """Also one that is not there."""
        message = self._ready.pop(message_id, None) or self._hidden.pop(message_id, None)
        if message is not None:
            message.hidden_until = -1.0

    def hide_again(self, message_id: str, seconds: float) -> bool:
        """Hide a message that is in flight for so long (s) from now; False: it is not in flight."""
        self._show_due()
        message = self._hidden.get(message_id)
        if message is None or not message.receipts:
            return False
        if seconds > 0:
            self._hide(message, seconds)
        else:
            self._show(message)
        return True

    def show_all(self) -> None:
        """Make everything that is hidden ready."""
        for message in list(self._hidden.values()):
            self._show(message)

    def clear(self) -> None:
        for message in list(self):
            self.remove(message.message_id)

    def _hide(self, message: HeldMessage, seconds: float) -> None:
        message.hidden_until = self._clock() + seconds
        self._hidden[message.message_id] = message
        if seconds < math.inf:
            heapq.heappush(self._due, (message.hidden_until, next(self._numbers), message))

    def _show(self, message: HeldMessage) -> None:
        message.hidden_until = 0.0
        self._hidden.pop(message.message_id, None)
        self._ready[message.message_id] = message
        self._arrived.set()

    def _show_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock():
            due, _, message = heapq.heappop(self._due)
            if message.hidden_until == due:
                self._show(message)
