"""Tens of thousands of requests waited for in Airflow's own triggerer: sending, memory, what waiting costs, and a kill.

PostgreSQL; AWS is a stand-in, one request to DynamoDB at a time, whose own share is shown.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from bench.copies import copy_run
from bench.figures import Figures
from bench.waiters import CAPABILITY, RUN, SENDS, WORKFLOW, WaitersBench, calls_between, number_of, one_waiting
from cch.stack.topology import Topology

#: Waiting requests in one triggerer.
SOME, MANY = 10_000, 20_000
NODES = 40
#: Seconds for which everybody only waits.
IDLE = 60.0
_PATIENCE = 3600.0


def definition() -> str:
    """A workflow of :data:`NODES` nodes whose first waits for a capability that nobody serves."""
    ask = f"type: async_request, capability_id: {CAPABILITY}, input_keys: [key]"
    nodes = [f"  N{number}: {{{ask}, on_response: N{number + 1}}}" for number in range(NODES - 1)]
    head = [f"workflow_id: {WORKFLOW}", "workflow_name: Waiters", "entry_point: N0", "nodes:"]
    return "\n".join([*head, *nodes, f"  N{NODES - 1}: {{type: end}}", ""])


def measure_triggerer() -> Figures:
    """One triggerer with some, with many, and with triggers of Airflow's own."""
    rows = [_measured(SOME), _measured(MANY)]
    label, floor = _floor(SOME)
    rows.append((label, {**dict.fromkeys(rows[0][1], ""), **floor}))
    return Figures(
        title=f"a real triggerer, a definition of {NODES} nodes, PostgreSQL",
        columns=tuple(rows[0][1]),
        rows=[(label, tuple(figures.values())) for label, figures in rows],
        notes=(
            "began, restarted, went on: from the start of the triggerer until all wait",
            "after kill -9: with the half minute until Airflow declares the old one dead",
            "AWS's share: how long its stand-in computed in that time, on one of two cores",
            "KB a waiter: of all the triggerer's processes, beyond what it has without any",
        ),
    )


@contextmanager
def _copied(count: int, triggers: Literal["ours", "airflow"]) -> Iterator[tuple[WaitersBench, int]]:
    """``count`` instances of which one waits already, and the KB of the triggerer with that one."""
    with one_waiting(Topology(database="postgresql"), definition(), lean=triggers == "ours") as bench:
        bench.begin(1)
        empty = bench.memory()
        bench.stop()
        copy_run(bench.stack, RUN, count - 1, 1, triggers)
        yield bench, empty


def _measured(count: int) -> tuple[str, dict[str, Any]]:
    with _copied(count, "ours") as (bench, empty):
        figures = _measure(bench, count, empty)
    label = f"{count:,} waiting"
    shown = ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
    print(f"  {label}: {shown}", file=sys.stderr, flush=True)  # it takes an hour
    return label, figures


def _floor(count: int) -> tuple[str, dict[str, Any]]:
    """What Airflow's triggerer needs for triggers of its own that only sleep, on the same DAG."""
    with _copied(count, "airflow") as (bench, empty):
        bench.stack.start(lambda _line: None, bench.names)
        log, until = bench.stack.processes.log("triggerer"), time.monotonic() + _PATIENCE
        while f"{count} triggers currently running" not in log.read_text():
            if time.monotonic() > until:
                raise TimeoutError(f"not all triggers run: see {log}")
            time.sleep(5)
        time.sleep(IDLE)
        return f"{count:,} of Airflow's own that sleep", _idle(bench, count, empty)[0]


def _measure(bench: WaitersBench, count: int, empty: int) -> dict[str, Any]:
    """Send, wait, restart, kill, go on. ``empty``: KB of the triggerer when it has next to nothing to do."""
    sending = bench.begin(count)
    bench.stack.processes.stop(["mock"])  # took the requests, and would go on asking for more
    idle, calls = _idle(bench, count, empty)
    bench.stop()
    restarted = bench.begin(count)
    settled = bench.memory()
    bench.stack.processes.stop(bench.names, signal.SIGKILL)
    before = bench.calls()
    going_on = bench.begin(count)
    return {
        "began s": sending.seconds,
        "AWS's share s": sending.by_aws,
        **idle,
        "idle DynamoDB calls/min": number_of(calls, "DynamoDB") * 60 / IDLE,
        "idle SQS calls/min": number_of(calls, "AmazonSQS") * 60 / IDLE,
        "restarted s": restarted.seconds,
        "AWS's share then s": restarted.by_aws,
        "peak DynamoDB calls/s then": restarted.peak,
        "KB a waiter then": (settled - empty) / count,
        "went on after kill -9 s": going_on.seconds,
        "AWS's share again s": going_on.by_aws,
        "DynamoDB calls to go on": number_of(calls_between(before, bench.calls()), "DynamoDB") / count,
        "sent again": number_of(bench.calls(), SENDS) - count,
    }


def _idle(bench: WaitersBench, count: int, empty: int) -> tuple[dict[str, float], dict[str, int]]:
    """Memory, and what waiting for :data:`IDLE` costs; and AWS's calls in that time."""
    memory, worked, calls = bench.memory(), bench.cpu(), bench.calls()
    time.sleep(IDLE)
    cpu = (bench.cpu() - worked) / IDLE / len(bench.names) * 100
    figures = {"MB": memory / 1024, "KB a waiter": (memory - empty) / count, "idle CPU %": cpu}
    return figures, calls_between(calls, bench.calls())
