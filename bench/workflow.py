"""A realistic workflow on a real Airflow: ours, the classic way, and Airflow's floor, one after the other."""

from __future__ import annotations

import json
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
#: Runs that are started together, and runs one after the other for the latency.
TOGETHER, ALONE = 20, 3

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


def _calls(stack: LocalStack, method: str = "GET") -> Counter[str]:
    request = urllib.request.Request(f"{stack.layout.aws_url}/cch/calls", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return Counter(json.load(answer))


def _measure(airflow: Airflow, stack: LocalStack, dag_id: str) -> tuple[tuple[float | int, ...], Counter[str]]:
    airflow.wait_for_dag(dag_id)
    airflow.run(dag_id, 1)  # the first run of a DAG pays for imports and caches
    alone = [_span(airflow.run(dag_id, 1)) for _ in range(ALONE)]
    _calls(stack, "DELETE")
    runs = airflow.run(dag_id, TOGETHER)
    calls = _calls(stack)
    failed = sum(run["state"] != "success" for run in runs)
    total = sum(calls.values())
    rate = NODES * TOGETHER / _span(runs)
    return (rate, _span(runs), percentile(alone, 0.5), total / (NODES * TOGETHER), failed), calls


def _prepare() -> None:
    for number in (1, 2):
        boto3.client("sqs").create_queue(QueueName=f"cch-dev-local-bench-replies-{number}")
    publish("bench_ours", DEFINITION)
    whole = DEFINITION.replace("workflow_id: bench_ours", "workflow_id: bench_whole")
    publish("bench_whole", whole + "execution: {granularity: workflow}\n")


def measure_workflow() -> Figures:
    """nodes/s with 20 runs together, and the time of one run alone."""
    with bench_stack(_prepare) as (stack, airflow):
        measured = {
            label: _measure(airflow, stack, dag_id)
            for label, dag_id in (
                ("ours", "bench_ours"),
                ("ours, granularity workflow", "bench_whole"),
                ("classic", "bench_classic"),
                ("floor", "bench_floor"),
            )
        }
    ours, whole, classic = (measured[name][0][0] for name in ("ours", "ours, granularity workflow", "classic"))
    detail = ", ".join(
        f"{name} {number / (NODES * TOGETHER):.2f}" for name, number in measured["ours"][1].most_common()
    )
    return Figures(
        title=f"async → condition → set_state → async → end, {TOGETHER} runs together, PostgreSQL, LocalExecutor",
        columns=("nodes/s", "all runs s", "one run s", "AWS calls a node", "failed runs"),
        rows=[(label, values) for label, (values, _) in measured.items()],
        notes=(
            f"nodes/s: ours / classic {ours / classic:.1f}, with granularity workflow {whole / classic:.1f}",
            f"our AWS calls a node: {detail}",
            "classic is flattered: its own queue a node, any reply taken, polls every second instead of every minute",
        ),
    )
