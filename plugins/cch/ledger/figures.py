"""What instances did, as numbers: counts on nodes and ways, lengths of time, ends. Figures of any two can be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cch.ledger.histograms import Histogram

#: A way: where it leads from, its label, and where it leads to.
Way = tuple[str, str, str]


@dataclass(slots=True)
class NodeFigures:
    """Visits of one node. ``failed``: also those that somebody handled; ``took``: of visits that need time."""

    visits: int = 0
    failed: int = 0
    timed_out: int = 0
    took: Histogram = field(default_factory=Histogram)

    def merge(self, other: NodeFigures) -> None:
        self.visits += other.visits
        self.failed += other.failed
        self.timed_out += other.timed_out
        self.took.merge(other.took)

    def to_json(self) -> dict[str, Any]:
        """Field names are stored: do not rename."""
        counts = {"v": self.visits, "f": self.failed, "o": self.timed_out}
        took = {"d": self.took.to_json()} if self.took.counts else {}
        return {name: count for name, count in counts.items() if count} | took

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> NodeFigures:
        took = Histogram.from_json(raw["d"]) if "d" in raw else Histogram()
        return cls(raw.get("v", 0), raw.get("f", 0), raw.get("o", 0), took)


@dataclass(slots=True)
class Figures:
    """``ended``: status → ends; ``again``: those of instances that had ended before; ``took``: from start to end, of
    those that completed.
    """

    ended: Counter[str] = field(default_factory=Counter)
    again: int = 0
    took: Histogram = field(default_factory=Histogram)
    nodes: dict[str, NodeFigures] = field(default_factory=dict)
    ways: Counter[Way] = field(default_factory=Counter)

    def node(self, name: str) -> NodeFigures:
        """Those of one node, to be added to."""
        return self.nodes.setdefault(name, NodeFigures())

    def merge_ends(self, other: Figures) -> None:
        """Add ends alone, without nodes and ways."""
        self.ended.update(other.ended)
        self.again += other.again
        self.took.merge(other.took)

    def merge(self, other: Figures) -> None:
        self.merge_ends(other)
        for name, figures in other.nodes.items():
            self.node(name).merge(figures)
        self.ways.update(other.ways)

    def to_json(self) -> dict[str, Any]:
        """Field names are stored: do not rename."""
        return {
            "ended": dict(self.ended),
            "again": self.again,
            "took": self.took.to_json(),
            "nodes": {name: figures.to_json() for name, figures in self.nodes.items()},
            "ways": [[*way, count] for way, count in sorted(self.ways.items())],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Figures:
        return cls(
            ended=Counter(raw["ended"]),
            again=raw["again"],
            took=Histogram.from_json(raw["took"]),
            nodes={name: NodeFigures.from_json(each) for name, each in raw["nodes"].items()},
            ways=Counter({(source, label, target): count for source, label, target, count in raw["ways"]}),
        )
