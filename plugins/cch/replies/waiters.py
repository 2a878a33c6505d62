"""Who waits for what in this process: register first, then read the ledger, then wait to be woken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cch.ledger.records import RequestRecord


class Wake(asyncio.Event):
    """Set whenever what is waited for may have changed; ``closed``: the request, if this process saw it closed."""

    closed: RequestRecord | None = None


class Waiters:
    """Wakes by command id.

    Two copies of a trigger may wait for the same request at the same time; each registers an object of its own,
    so that one that leaves does not take the other's place.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[Wake]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def registered(self, command_id: str) -> Iterator[Wake]:
        """A wake for the request, while it is waited for."""
        mine = Wake()
        self._waiting.setdefault(command_id, set()).add(mine)
        try:
            yield mine
        finally:
            others = self._waiting.get(command_id, set())
            others.discard(mine)
            if not others:
                self._waiting.pop(command_id, None)

    def wake(self, command_id: str, closed: RequestRecord | None = None) -> None:
        for wake in self._waiting.get(command_id, ()):
            wake.closed = closed or wake.closed
            wake.set()

    def all(self) -> tuple[str, ...]:
        """What is waited for now."""
        return tuple(self._waiting)
