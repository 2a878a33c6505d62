"""A batch over instances that wait, moved, held and released by the API server beside work that goes on meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3

from bench.airflow import Airflow, publish
from bench.copies import copy_run
from bench.figures import Figures, percentile
from bench.waiters import CAPABILITY, NAMES, RUN, WORKFLOW, calls_between, one_waiting
from bench.workflow import prepare
from cch.stack.local import LocalStack
from cch.stack.topology import LOCAL, Topology

#: Instances, if nobody says another number (``--instances``).
INSTANCES = 1_000
DEFINITION = f"""
workflow_id: {WORKFLOW}
workflow_name: Batch
entry_point: Wait
nodes:
  Wait: {{type: async_request, capability_id: "{CAPABILITY}", on_response: Done}}
  Done: {{type: end}}
"""
ACTIONS = ("move", "hold", "release")
#: Fastest that a batch may be (instances a second): what is measured is what the server makes of it.
_RATE = 1000
_PATIENCE = 7_200.0
#: Seconds for which the work goes on alone.
_ALONE = 60.0


def measure_batch(instances: int = INSTANCES, topology: Topology = LOCAL, actions: Sequence[str] = ACTIONS) -> Figures:
    """Time of one batch for each of the actions, what it asks AWS for, and how long other instances take meanwhile."""
    with one_waiting(topology, DEFINITION) as bench:
        stack = bench.stack
        begun = time.monotonic()
        copy_run(stack, RUN, instances - 1, 1, "ours")
        prepare()
        stack.start(lambda _line: None)
        _until_all_wait(instances)
        started = time.monotonic() - begun
        publish(WORKFLOW, DEFINITION.replace("Batch", "Moved"))
        airflow = Airflow(stack)
        airflow.wait_for_dag("bench_ours")
        airflow.run("bench_ours", 1)
        with _work(stack) as ended:
            before = bench.calls()
            time.sleep(_ALONE)
            idle = sum(calls_between(before, bench.calls()).values()) / _ALONE
            rows: list[tuple[str, tuple[float | int | str, ...]]] = [("no batch", ("", "", "", "", "", *_took(ended)))]
            for action in actions:
                before = bench.calls()
                took, counts = _batch(airflow, action, instances)
                calls = (sum(calls_between(before, bench.calls()).values()) - idle * took) / instances
                figures = (took, instances / took, calls, counts["done"], counts["refused"])
                rows.append((action, (*figures, *_took(ended))))
    return Figures(
        title=f"one batch over {instances:,} instances that wait, beside one instance after another of five nodes",
        columns=("s", "instances/s", "AWS calls/instance", "done", "refused", "others", "p50 s", "longest s"),
        rows=rows,
        notes=(
            f"{topology.database}, {topology.executor}; {', '.join(topology.airflow)}",
            f"All of them had begun in the triggerer and waited after {started:,.0f} s.",
            f"AWS calls of the work beside it ({idle:.1f} a second) are subtracted; the stand-in is one process.",
        ),
    )


def _until_all_wait(instances: int) -> None:
    table = boto3.client("dynamodb")
    arguments: dict[str, Any] = {
        "TableName": NAMES.table, "IndexName": "by_capability", "Select": "COUNT",
        "KeyConditionExpression": "open_capability = :asked",
        "ExpressionAttributeValues": {":asked": {"S": CAPABILITY}},
    }  # fmt: skip
    seen, moved = 0, time.monotonic()
    while time.monotonic() - moved < _PATIENCE:
        waiting = sum(page["Count"] for page in table.get_paginator("query").paginate(**arguments))
        if waiting >= instances:
            return
        if waiting > seen:
            seen, moved = waiting, time.monotonic()
        time.sleep(5)
    raise TimeoutError(f"{seen} of {instances} instances wait")


@contextmanager
def _work(stack: LocalStack) -> Iterator[list[float]]:
    """Instances run one after another; how long (s) each that has ended took."""
    ended: list[float] = []
    enough = threading.Event()

    def work() -> None:
        airflow = Airflow(stack)
        while not enough.is_set():
            begun = time.monotonic()
            airflow.run("bench_ours", 1)
            ended.append(time.monotonic() - begun)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ended
    finally:
        enough.set()
        thread.join()


def _took(ended: list[float]) -> tuple[int, float | str, float | str]:
    """How many ended since the last call, their p50 and the longest (s)."""
    taken = ended[:]
    del ended[: len(taken)]
    return (len(taken), percentile(taken, 0.5), max(taken)) if taken else (0, "", "")


def _batch(airflow: Airflow, action: str, expected: int) -> tuple[float, dict[str, Any]]:
    """Seconds from the confirmation to the last result, and the counts."""
    search = {"workflow_id": WORKFLOW, "state": ["WAITING"]}
    body = {"search": search, "action": {"kind": action}, "expected": expected, "rate": _RATE}
    begun = time.monotonic()
    batch = airflow.cch("POST", "/batches", body)
    while batch["state"] == "running":
        time.sleep(0.5)
        batch = airflow.cch("GET", f"/batches/{batch['id']}")
    return time.monotonic() - begun, batch
