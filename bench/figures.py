"""A table of measured figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Value = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Rows of (label, one value a column)."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Value]]]
    notes: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, object]:
        rows = {label: dict(zip(self.columns, values, strict=True)) for label, values in self.rows}
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
