"""What is to happen later."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Timetable(Generic[T]):
    """Items by due time; one thread may wait for thousands of them. Thread-safe.

    Items due at the same time come in the order in which they were put. Nothing runs here: `take` hands out.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()

    def put(self, due: float, item: T) -> None:
        with self._changed:
            heapq.heappush(self._heap, (due, next(self._order), item))
            if self._heap[0][2] is item:
                self._changed.notify()

    def take(self, timeout: float = 0.0) -> list[T]:
        """All items that are due; waits for the first one, at most `timeout` seconds."""
        with self._changed:
            if timeout > 0:
                until_next = self._heap[0][0] - self._clock() if self._heap else timeout
                if until_next > 0:
                    self._changed.wait(min(timeout, until_next))
            due: list[T] = []
            while self._heap and self._heap[0][0] <= self._clock():
                due.append(heapq.heappop(self._heap)[2])
            return due

    def __len__(self) -> int:
        with self._changed:
            return len(self._heap)
