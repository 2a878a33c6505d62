"""A batch over instances that wait: moved, held and released, each by the API server, on PostgreSQL beside the rest."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from typing import Any

import boto3

from bench.airflow import Airflow, bench_stack, publish
from bench.figures import Figures
from cch.stack.local import LocalStack
from cch.stack.topology import Topology

#: Instances, if nobody says another number (``--instances``).
INSTANCES = 1_000
WORKFLOW = "bench_batch"
DEFINITION = """
workflow_id: bench_batch
workflow_name: Batch
entry_point: Wait
nodes:
  Wait: {type: event_wait, event_key: go, on_event: Done}
  Done: {type: end}
"""
#: Fastest that a batch may be (instances a second): what is measured is what the server makes of it.
_RATE = 1000
_TABLE, _PATIENCE = "cch-dev-local-workflow-state-table", 7_200.0
#: Seconds over which the calls of those who only wait are counted.
_IDLE = 20.0


def measure_batch(instances: int = INSTANCES) -> Figures:
    """Time of one batch for each of the actions, and what it asks AWS for."""
    with bench_stack(lambda: publish(WORKFLOW, DEFINITION), Topology(database="postgresql")) as (stack, airflow):
        airflow.wait_for_dag(WORKFLOW)
        begun = time.monotonic()
        _start(instances)
        _until_all_wait(instances)
        started = time.monotonic() - begun
        publish(WORKFLOW, DEFINITION.replace("Batch", "Moved"))
        time.sleep(60)  # every process has seen it
        idle = _idle_calls(stack)
        rows = []
        for action in ({"kind": "move"}, {"kind": "hold"}, {"kind": "release"}):
            before = _calls(stack)
            took, counts = _batch(airflow, action, instances)
            calls = (_calls(stack) - before - idle * took) / instances
            rows.append((action["kind"], (took, instances / took, calls, counts["done"], counts["refused"])))
    return Figures(
        title=f"one batch over {instances:,} instances that wait, PostgreSQL, one API server",
        columns=("s", "instances/s", "AWS calls/instance", "done", "refused"),
        rows=rows,
        notes=(
            f"They were started and waited after {started:,.0f} s.",
            f"AWS calls of those who only wait ({idle:.1f} a second) are subtracted; the stand-in is one process.",
        ),
    )


def _start(instances: int) -> None:
    """Send the starts, ten a message batch."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="cch-dev-local-orchestrator-command-queue")["QueueUrl"]
    bodies = [_message(number) for number in range(instances)]
    for first in range(0, instances, 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[first : first + 10])]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _message(number: int) -> str:
    bucket = "cch-dev-local-workflow-definitions-bucket"
    command = {
        "type": "START_WORKFLOW", "id": str(uuid.uuid4()), "source": "bench", "timestamp": "2026-01-05T08:00:00Z",
        "payload": {},
    }  # fmt: skip
    return json.dumps(
        {
            "workflowInstanceId": str(uuid.uuid4()), "correlationId": f"MEDU{number:07d}",
            "workflowDefinitionURI": f"s3://{bucket}/{WORKFLOW}.yaml", "command": command,
        }
    )  # fmt: skip


def _until_all_wait(instances: int) -> None:
    table = boto3.client("dynamodb")
    arguments: dict[str, Any] = {
        "TableName": _TABLE, "IndexName": "by_capability", "Select": "COUNT",
        "KeyConditionExpression": "open_capability = :event", "ExpressionAttributeValues": {":event": {"S": "!event"}},
    }  # fmt: skip
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if sum(page["Count"] for page in table.get_paginator("query").paginate(**arguments)) >= instances:
            return
        time.sleep(5)
    raise TimeoutError(f"{instances} instances do not wait")


def _calls(stack: LocalStack) -> int:
    """How often AWS was called since it began."""
    with urllib.request.urlopen(f"{stack.environment()['AWS_ENDPOINT_URL']}/cch/calls", timeout=60) as answer:
        return sum(json.load(answer).values())


def _idle_calls(stack: LocalStack) -> float:
    """Calls a second while nothing happens."""
    before = _calls(stack)
    time.sleep(_IDLE)
    return (_calls(stack) - before) / _IDLE


def _batch(airflow: Airflow, action: dict[str, str], expected: int) -> tuple[float, dict[str, Any]]:
    """Seconds from the confirmation to the last result, and the counts."""
    search = {"workflow_id": WORKFLOW, "state": ["WAITING"]}
    body = {"search": search, "action": action, "expected": expected, "rate": _RATE}
    begun = time.monotonic()
    batch = airflow.cch("POST", "/batches", body)
    while batch["state"] == "running":
        time.sleep(0.5)
        batch = airflow.cch("GET", f"/batches/{batch['id']}")
    return time.monotonic() - begun, batch
