"""Lengths of time as counts in buckets: small, and those of many days are added up.

Each bucket is 9 % wider than the one before, so a quantile is at most 4.5 % beside the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import add
from typing import Any

#: Buckets in which a length doubles. Stored histograms depend on it: never change it.
_DOUBLES_IN = 8


@dataclass(slots=True)
class Histogram:
    """``counts``: of the buckets from number ``first`` on, neither the first nor the last of them 0; times in ms."""

    first: int = 0
    counts: list[int] = field(default_factory=list)
    total: int = 0
    longest: int = 0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def _cover(self, first: int, end: int) -> None:
        """Have room for the buckets from ``first`` to before ``end``."""
        if not self.counts:
            self.first, self.counts = first, [0] * (end - first)
            return
        if first < self.first:
            self.counts = [0] * (self.first - first) + self.counts
            self.first = first
        self.counts += [0] * (end - self.first - len(self.counts))

    def add(self, milliseconds: int) -> None:
        length = max(0, milliseconds)
        bucket = math.ceil(math.log2(length) * _DOUBLES_IN) if length > 1 else 0
        self._cover(bucket, bucket + 1)
        self.counts[bucket - self.first] += 1
        self.total += length
        self.longest = max(self.longest, length)

    def merge(self, other: Histogram) -> None:
        if not other.counts:
            return
        end = other.first + len(other.counts)
        self._cover(other.first, end)
        place = slice(other.first - self.first, end - self.first)
        self.counts[place] = map(add, self.counts[place], other.counts)
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    def quantile(self, share: float) -> int | None:
        """The length (ms) that ``share`` of all do not exceed; None if there are none.

        >>> h = Histogram.of([10, 20, 30, 40, 1000])
        >>> h.quantile(0.5), h.quantile(1.0)
        (29, 1000)
        """
        if share >= 1:
            return self.longest if self.counts else None
        wanted, seen = share * self.count, 0
        for bucket, count in enumerate(self.counts, self.first):
            seen += count
            if seen and seen >= wanted:
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
        return {"b": self.first, "c": self.counts, "t": self.total, "m": self.longest}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Histogram:
        if "c" in raw:
            return cls(raw["b"], raw["c"], raw["t"], raw["m"])
        made = cls(total=raw["t"], longest=raw["m"])  # as it was stored at first: pairs of bucket and count
        for bucket, count in raw["b"]:
            made._cover(bucket, bucket + 1)
            made.counts[bucket - made.first] += count
        return made
