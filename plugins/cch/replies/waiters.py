"""Who waits for what in this process: register first, then read the ledger, then wait to be woken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Waiters:
    """Events by command id.

    Two copies of a trigger may wait for the same request at the same time; each registers an object of its own,
    so that one that leaves does not take the other's place.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def registered(self, command_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the request may have changed."""
        event = asyncio.Event()
        self._waiting.setdefault(command_id, set()).add(event)
        try:
            yield event
        finally:
            events = self._waiting.get(command_id, set())
            events.discard(event)
            if not events:
                self._waiting.pop(command_id, None)

    def wake(self, command_id: str) -> None:
        for event in self._waiting.get(command_id, ()):
            event.set()

    def wake_all(self) -> None:
        for command_id in tuple(self._waiting):
            self.wake(command_id)
