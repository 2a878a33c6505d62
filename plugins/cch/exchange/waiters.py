"""Who waits for what in this process: register first, then read the ledger, then wait to be woken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cch.ledger.requests import Closed


class Wake(asyncio.Event):
    """Set whenever what is waited for may have changed; ``closed``: the request, if this process saw it closed."""

    closed: Closed | None = None


class Waiters:
    """Wakes by the id of a request or wait.

    Two copies of a trigger may wait for the same request at the same time; each registers an object of its own,
    so that one that leaves does not take the other's place.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[Wake]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def registered(self, waited_for: str) -> Iterator[Wake]:
        """A wake for a request or wait, as long as the block runs."""
        mine = Wake()
        self._waiting.setdefault(waited_for, set()).add(mine)
        try:
            yield mine
        finally:
            others = self._waiting.get(waited_for, set())
            others.discard(mine)
            if not others:
                self._waiting.pop(waited_for, None)

    def wake(self, waited_for: str, closed: Closed | None = None) -> None:
        for wake in self._waiting.get(waited_for, ()):
            wake.closed = closed or wake.closed
            wake.set()

    def all(self) -> tuple[str, ...]:
        """The ids of everything that is waited for now."""
        return tuple(self._waiting)
