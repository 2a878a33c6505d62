"""Runs the measurements, prints tables, and writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.account import measure_account
from bench.api import INSTANCES as API_INSTANCES
from bench.api import measure_api
from bench.batch import ACTIONS, INSTANCES, measure_batch
from bench.calls import measure_calls
from bench.expressions import measure_expressions
from bench.figures import Figures
from bench.language import measure_language
from bench.pages import measure_pages
from bench.parsing import measure_parsing
from bench.regions import measure_regions
from bench.replies import measure_replies
from bench.router import measure_router
from bench.stand_ins import measure_stand_ins
from bench.triggerer import measure_triggerer
from bench.versions import measure_versions
from bench.waiting import measure_waiting
from bench.workflow import TOGETHER, measure_workflow
from cch.stack.layout import usual_stand_in
from cch.stack.processes import interrupt_on
from cch.stack.topology import STAND_INS, TOPOLOGIES

MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "language": measure_language,
    "expressions": measure_expressions,
    "router": measure_router,
    "parsing": measure_parsing,
    "versions": measure_versions,
    "regions": measure_regions,
    "api": measure_api,
    "pages": measure_pages,
    "workflow": measure_workflow,
    "account": measure_account,
    "calls": measure_calls,
    "replies": measure_replies,
    "triggerer": measure_triggerer,
    "waiting": measure_waiting,
    "batch": measure_batch,
    "stand-ins": measure_stand_ins,
}

#: Those that start a local stack, on the stand-in for AWS that is chosen; the others have none, or moto.
ON_A_STACK = frozenset({"account", "batch", "calls", "regions", "replies", "triggerer", "waiting", "workflow"})


def _show(console: Console, name: str, figures: Figures) -> None:
    table = Table("what", *figures.columns, title=f"{name}: {figures.title}", title_justify="left")
    for label, values in figures.rows:
        table.add_row(label, *(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in values))
    console.print(table)
    for note in figures.notes:
        console.print(f"  {note}", style="dim")


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(MEASUREMENTS), help="may be repeated")
    parser.add_argument("--instances", type=int, help=f"of the batch ({INSTANCES}), or of the API ({API_INSTANCES})")
    parser.add_argument("--action", action="append", choices=ACTIONS, help="of the batch; may be repeated (all)")
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="local", help="of the batch")
    parser.add_argument("--together", type=int, default=TOGETHER, help="runs of the workflow that are started together")
    parser.add_argument("--aws", choices=STAND_INS, default=usual_stand_in(), help="what stands in for AWS in a stack")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    arguments = parser.parse_args()
    interrupt_on(signal.SIGTERM, signal.SIGHUP)  # stacks and their folders are removed then, too
    os.environ["CCH_STACK_AWS"] = arguments.aws
    console = Console(width=max(Console().width, 110))
    result: dict[str, object] = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    }
    sized = {
        "batch": partial(
            measure_batch,
            arguments.instances or INSTANCES,
            TOPOLOGIES[arguments.topology],
            arguments.action or ACTIONS,
        ),
        "api": partial(measure_api, arguments.instances or API_INSTANCES),
        "workflow": partial(measure_workflow, arguments.together),
    }
    for name in arguments.only or MEASUREMENTS:
        begun, load = time.monotonic(), os.getloadavg()[0]
        is_quiet = load <= (os.cpu_count() or 1)
        figures = sized.get(name, MEASUREMENTS[name])()
        if name in ON_A_STACK:
            figures = replace(figures, title=f"{figures.title}, on {arguments.aws} in place of AWS")
        _show(console, name, figures)
        said = f"load of the machine at the start: {load:.1f} on {os.cpu_count()} cores"
        console.print(f"  {said}" if is_quiet else f"  [red]{said}: it was busy, and these are no figures[/red]")
        took = round(time.monotonic() - begun, 1)
        result[name] = {**figures.as_json(), "load_at_start": round(load, 2), "good": is_quiet, "took_seconds": took}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
