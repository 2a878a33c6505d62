"""Draws the measured figures for the README, for light and dark pages: ``python -m bench.plots``."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

IMAGES = Path("docs/images")
MEASURED = Path("bench/measured/waiting.json")
#: Ink, the colour without the filter, the colour with it.
_THEMES = {"light": ("#24292f", "#b35900", "#0b5cad"), "dark": ("#e6edf3", "#e3a35c", "#6cb6ff")}


def draw_waiting(source: Path, theme: str) -> Figure:
    """Seconds that a hop of an unrelated DAG takes, by the number of waiting instances; logarithmic."""
    rows = json.loads(source.read_text())["waiting"]["rows"]
    ink, examined, left_out = _THEMES[theme]
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    for position, (label, values) in enumerate(reversed(rows.items())):
        axes.barh(position, values["p50"], color=left_out if label.endswith("left out") else examined, height=0.66)
        axes.text(values["p50"] * 1.08, position, f"{values['p50']:.2g} s", va="center", color=ink)
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set_xscale("log")
    axes.set_xlim(0.1, 60)
    axes.set_xlabel("seconds for one hop of somebody else's DAG (median)", color=ink)
    axes.tick_params(colors=ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    return figure


def main() -> None:
    mpl.rcParams["font.family"] = "DejaVu Sans"
    IMAGES.mkdir(parents=True, exist_ok=True)
    for theme in _THEMES:
        draw_waiting(MEASURED, theme).savefig(IMAGES / f"bench-waiting-{theme}.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main()
