"""Pauses between tries while something does not answer."""

from __future__ import annotations


class Pauses:
    """Seconds to the next try: the first pause, then twice the one before, up to the longest."""

    def __init__(self, first: float = 1.0, longest: float = 30.0) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause

    def reset(self) -> None:
        """It answers again."""
        self._next = self._first
