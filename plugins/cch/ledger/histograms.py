"""Lengths of time as counts in buckets: small, and those of many days are added up.

Each bucket is 9 % wider than the one before, so a quantile is at most 4.5 % beside the truth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: Buckets in which a length doubles. Stored histograms depend on it: never change it.
_DOUBLES_IN = 8


@dataclass(slots=True)
class Histogram:
    """``buckets``: number → count; ``total`` and ``longest`` in ms."""

    buckets: Counter[int] = field(default_factory=Counter)
    total: int = 0
    longest: int = 0

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def add(self, milliseconds: int) -> None:
        length = max(0, milliseconds)
        self.buckets[math.ceil(math.log2(length) * _DOUBLES_IN) if length > 1 else 0] += 1
        self.total += length
        self.longest = max(self.longest, length)

    def merge(self, other: Histogram) -> None:
        self.buckets.update(other.buckets)
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    def quantile(self, share: float) -> int | None:
        """The length (ms) that ``share`` of all do not exceed; None if there are none.

        >>> h = Histogram.of([10, 20, 30, 40, 1000])
        >>> h.quantile(0.5), h.quantile(1.0)
        (29, 1000)
        """
        if share >= 1:
            return self.longest if self.buckets else None
        wanted, seen = share * self.count, 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return min(self.longest, round(2 ** ((bucket - 0.5) / _DOUBLES_IN)) if bucket else 0)
        return None

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Histogram:
        made = cls()
        for length in lengths:
            made.add(length)
        return made

    def to_json(self) -> dict[str, Any]:
        """Field names are stored: do not rename."""
        return {"b": sorted(self.buckets.items()), "t": self.total, "m": self.longest}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Histogram:
        return cls(Counter(dict(map(tuple, raw["b"]))), raw["t"], raw["m"])
