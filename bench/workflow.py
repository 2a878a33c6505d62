"""A realistic workflow on a real Airflow: ours, the classic way, and Airflow's floor, one after the other."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections import Counter
from datetime import datetime
from typing import Any

import boto3

from bench.airflow import Airflow, bench_stack, publish
from bench.figures import Figures, percentile
from cch.stack.local import LocalStack

#: Nodes of the workflow: async → condition → set_state → async → end.
NODES = 5
#: Airflow's default: more often the DAG processor would compute for whoever takes longest.
PARSE_EVERY = 30
#: Runs that are started together, and runs one after the other for the latency.
TOGETHER, ALONE = 20, 3
#: The DAG whose runs come before everything that is measured.
_WARMING = "bench_floor"

DEFINITION = """
workflow_id: bench_ours
workflow_name: Benchmark
entry_point: First
nodes:
  First: {type: async_request, capability_id: "import#enrichment", on_response: Check, on_failure: Done}
  Check: {type: condition, condition_on_key: status, branches: {SUCCESS: Mark, _default: Done}}
  Mark: {type: set_state, static_outputs: {stage: enriched}, on_success: Second}
  Second: {type: async_request, capability_id: "import#enrichment", on_response: Done, on_failure: Done}
  Done: {type: end}
"""


def _span(runs: list[dict[str, Any]]) -> float:
    queued = min(datetime.fromisoformat(run["queued_at"]) for run in runs)
    ended = max(datetime.fromisoformat(run["end_date"]) for run in runs)
    return (ended - queued).total_seconds()


def aws_calls(stack: LocalStack, method: str = "GET") -> Counter[str]:
    """What the stand-in for AWS was asked, by kind; DELETE begins to count anew."""
    request = urllib.request.Request(f"{stack.layout.aws_url}/cch/calls", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return Counter(json.load(answer))


def _measure(
    airflow: Airflow, stack: LocalStack, dag_id: str, together: int
) -> tuple[tuple[float | int, ...], Counter[str]]:
    airflow.wait_for_dag(dag_id)
    airflow.run(dag_id, 1)  # the first run of a DAG pays for imports and caches
    alone = [_span(airflow.run(dag_id, 1)) for _ in range(ALONE)]
    aws_calls(stack, "DELETE")
    runs = airflow.run(dag_id, together)
    calls = aws_calls(stack)
    failed = sum(run["state"] != "success" for run in runs)
    total = sum(calls.values())
    rate = NODES * together / _span(runs)
    print(f"{dag_id}: {rate:.1f} nodes/s, one run alone {percentile(alone, 0.5):.1f} s", file=sys.stderr)
    return (rate, _span(runs), percentile(alone, 0.5), total / (NODES * together), failed), calls


def prepare() -> None:
    """The queues and definitions of the comparison."""
    for number in (1, 2):
        boto3.client("sqs").create_queue(QueueName=f"cch-dev-local-bench-replies-{number}")
    publish("bench_ours", DEFINITION)
    whole = DEFINITION.replace("workflow_id: bench_ours", "workflow_id: bench_whole")
    publish("bench_whole", whole + "execution: {granularity: workflow}\n")


def _ratios(rows: dict[str, tuple[float | int, ...]]) -> list[str]:
    """Our speed beside the others'; a column that lost runs carries no ratio."""
    found = []
    for base in ("classic", "floor"):
        for label in ("ours", "ours, granularity workflow"):
            lost = [name for name in (label, base) if rows[name][-1]]
            told = f"{', '.join(lost)} lost runs: no ratio" if lost else f"{rows[label][0] / rows[base][0]:.2f}"
            found.append(f"nodes/s, {label} / {base}: {told}")
    return found


def measure_workflow(together: int = TOGETHER) -> Figures:
    """nodes/s with so many runs together, and the time of one run alone."""
    with bench_stack(prepare, parse_every=PARSE_EVERY) as (stack, airflow):
        airflow.wait_for_dag(_WARMING)
        airflow.run(_WARMING, max(1, together // 5))  # else the first column would pay for a stack that has just begun
        measured = {
            label: _measure(airflow, stack, dag_id, together)
            for label, dag_id in (
                ("ours", "bench_ours"),
                ("ours, granularity workflow", "bench_whole"),
                ("floor", "bench_floor"),
                ("classic", "bench_classic"),  # last: it takes longer than all others
            )
        }
    ratios = _ratios({label: values for label, (values, _) in measured.items()})
    detail = ", ".join(
        f"{name} {number / (NODES * together):.2f}" for name, number in measured["ours"][1].most_common()
    )
    return Figures(
        title=f"async → condition → set_state → async → end, {together} runs together, PostgreSQL, LocalExecutor",
        columns=("nodes/s", "all runs s", "one run s", "AWS calls a node", "failed runs"),
        rows=[(label, values) for label, (values, _) in measured.items()],
        notes=(
            *ratios,
            f"starts that Airflow answered with an error and that were repeated: {airflow.repeated}",
            f"our AWS calls a node: {detail}",
            "classic is flattered: its own queue a node, any reply taken, polls every second instead of every minute",
        ),
    )
