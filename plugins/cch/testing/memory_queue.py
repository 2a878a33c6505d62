"""Queues in memory, with the same contract as SQS: at least once, invisible while in flight."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cch.ledger.messages import Stored
from cch.messaging.queue import BATCH, Depth, Received
from cch.testing.held_messages import HeldMessage, HeldMessages


@dataclass(slots=True)
class MemoryQueue:
    """One queue; ``redeliver()`` plays the end of the visibility timeout, which passes by itself never."""

    name: str
    calls: int = 0
    limit: int | None = None
    _held: HeldMessages = field(default_factory=HeldMessages)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def receive(self, wait: float) -> list[Received]:
        self.calls += 1
        return [
            Received(queue=self.name, message_id=m.message_id, receipt=m.message_id, body=m.body, sent=m.sent)
            for m in await self._held.take_soon(BATCH, wait)
        ]

    async def delete(self, messages: Sequence[tuple[Received, Stored]]) -> None:
        self.calls += 1
        for message, stored in messages:
            assert stored.key == message.key, "deleted against another message's receipt"
            self._held.remove(message.message_id)

    async def largest(self) -> int | None:
        return self.limit

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        self.calls += 1
        sent = int(time.time() * 1000)
        self._held.add(HeldMessage(f"{self.name}-{next(self._numbers)}", body, attributes or {}, sent))

    @property
    def depth(self) -> Depth:
        return Depth(ready=self._held.ready, in_flight=self._held.in_flight)

    def redeliver(self) -> None:
        """Make everything that is in flight visible again."""
        self._held.show_all()

    @property
    def messages(self) -> list[tuple[str, Mapping[str, str]]]:
        """(body, attributes) of everything that is not deleted."""
        return [(message.body, message.attributes) for message in self._held]


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
