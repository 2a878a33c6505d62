"""Queues in memory, with the same contract as SQS: at least once, invisible while in flight."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cch.ledger.messages import Stored
from cch.messaging.queue import BATCH, Depth, Received


@dataclass(slots=True)
class _Message:
    message_id: str
    body: str
    attributes: Mapping[str, str]
    sent: int


@dataclass(slots=True)
class MemoryQueue:
    """One queue; ``redeliver()`` plays the end of the visibility timeout."""

    name: str
    calls: int = 0
    limit: int | None = None
    _ready: deque[_Message] = field(default_factory=deque)
    _in_flight: dict[str, _Message] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, wait: float) -> list[Received]:
        self.calls += 1
        if not self._ready and wait:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait)
            except TimeoutError:
                return []
        batch = [self._ready.popleft() for _ in range(min(BATCH, len(self._ready)))]
        self._in_flight.update({message.message_id: message for message in batch})
        return [
            Received(queue=self.name, message_id=m.message_id, receipt=m.message_id, body=m.body, sent=m.sent)
            for m in batch
        ]

    async def delete(self, messages: Sequence[tuple[Received, Stored]]) -> None:
        self.calls += 1
        for message, stored in messages:
            assert stored.key == message.key, "deleted against another message's receipt"
            self._in_flight.pop(message.message_id, None)

    async def largest(self) -> int | None:
        return self.limit

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        self.calls += 1
        message_id = f"{self.name}-{next(self._numbers)}"
        self._ready.append(_Message(message_id, body, attributes or {}, int(time.time() * 1000)))
        self._arrived.set()

    @property
    def depth(self) -> Depth:
        return Depth(ready=len(self._ready), in_flight=len(self._in_flight))

    def redeliver(self) -> None:
        """Make everything that is in flight visible again."""
        self._ready.extend(self._in_flight.values())
        self._in_flight.clear()
        self._arrived.set()

    @property
    def messages(self) -> list[tuple[str, Mapping[str, str]]]:
        """(body, attributes) of everything that is not deleted."""
        return [(m.body, m.attributes) for m in (*self._ready, *self._in_flight.values())]


class MemoryQueues:
    """Queues by name; only those that were made exist."""

    def __init__(self, *names: str) -> None:
        self._queues = {name: MemoryQueue(name) for name in names}

    def make(self, name: str) -> MemoryQueue:
        return self._queues.setdefault(name, MemoryQueue(name))

    async def find(self, name: str) -> MemoryQueue | None:
        return self._queues.get(name)

    async def address(self, name: str) -> str:
        return f"memory://{name}"

    async def depth(self, name: str) -> Depth | None:
        queue = self._queues.get(name)
        return queue.depth if queue else None
