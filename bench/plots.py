"""Draws the measured figures for the README, for light and dark pages: ``python -m bench.plots``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

IMAGES, MEASURED = Path("docs/images"), Path("bench/measured")
#: Ink, Airflow as it is, Airflow with ours.
_THEMES = {"light": ("#24292f", "#b35900", "#0b5cad"), "dark": ("#e6edf3", "#e3a35c", "#6cb6ff")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    label: str
    value: float
    #: Airflow with what we change of it.
    ours: bool


def bars(bars: Iterable[Bar], theme: str, *, axis: str, unit: str, span: tuple[float, float], scale: str) -> Figure:
    """One bar below the other, in the order given; ``span``: the ends of the axis."""
    ink, as_it_is, ours = _THEMES[theme]
    drawn = list(bars)[::-1]
    figure = Figure(figsize=(7.2, 0.9 + 0.4 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale(scale)
    axes.set_xlim(*span)
    for position, bar in enumerate(drawn):
        axes.barh(position, bar.value, color=ours if bar.ours else as_it_is, height=0.66)
        text = f"{bar.value:,.0f}" if bar.value >= 100 else f"{bar.value:.2g}"
        axes.annotate(
            f"{text} {unit}", (bar.value, position), xytext=(6, 0), textcoords="offset points", va="center", color=ink
        )
    axes.set_yticks(range(len(drawn)), [bar.label for bar in drawn])
    axes.set_xlabel(axis, color=ink)
    axes.tick_params(colors=ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    return figure


def waiting(theme: str) -> Figure:
    """Seconds that a hop of an unrelated DAG takes, by the number of waiting instances; logarithmic."""
    rows = json.loads((MEASURED / "waiting.json").read_text())["waiting"]["rows"]
    drawn = [Bar(label=label, value=row["p50"], ours=label.endswith("left out")) for label, row in rows.items()]
    axis = "seconds for one hop of somebody else's DAG (median)"
    return bars(drawn, theme, axis=axis, unit="s", span=(0.1, 60), scale="log")


def triggerer(theme: str) -> Figure:
    """Memory of the triggerers, by what waits in them."""
    rows = json.loads((MEASURED / "triggerer.json").read_text())["triggerer"]["rows"]
    drawn = [Bar(label=label, value=row["MB"], ours="Airflow" not in label) for label, row in rows.items()]
    most = max(bar.value for bar in drawn)
    return bars(drawn, theme, axis="MB of memory, all processes", unit="MB", span=(0, 1.25 * most), scale="linear")


def workflow(theme: str) -> Figure:
    """Nodes a second of the benchmark's workflow, by how it is run."""
    rows = json.loads((MEASURED / "workflow.json").read_text())["workflow"]["rows"]
    drawn = [Bar(label=label, value=row["nodes/s"], ours=label.startswith("ours")) for label, row in rows.items()]
    most = max(bar.value for bar in drawn)
    return bars(drawn, theme, axis="nodes a second, all runs together", unit="", span=(0, 1.15 * most), scale="linear")


def main() -> None:
    mpl.rcParams["font.family"] = "DejaVu Sans"
    IMAGES.mkdir(parents=True, exist_ok=True)
    for draw in (workflow, waiting, triggerer):
        for theme in _THEMES:
            draw(theme).savefig(IMAGES / f"bench-{draw.__name__}-{theme}.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main()
