"""A realistic workflow on a real Airflow: ours, the classic way, and Airflow's floor, one after the other."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from bench.figures import Figures, percentile
from cch.stack.layout import USER, aws_environment
from cch.stack.local import LocalStack

ROOT = Path(__file__).resolve().parents[1]
#: Nodes of the workflow: async → condition → set_state → async → end.
NODES = 5
#: Runs that are started together, and runs one after the other for the latency.
TOGETHER, ALONE = 20, 3
_PATIENCE = 600.0

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


class _Airflow:
    """Runs of the stack's Airflow, through its REST API."""

    def __init__(self, stack: LocalStack) -> None:
        self._url = stack.layout.ui_url
        self._password = stack.password
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if not self._token:
            self._token = self._login()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/api/v2{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _login(self) -> str:
        body = json.dumps({"username": USER, "password": self._password}).encode()
        request = urllib.request.Request(f"{self._url}/auth/token", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            token: str = json.load(answer)["access_token"]
        return token

    def wait_for_dag(self, dag_id: str) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                self.call("GET", f"/dags/{dag_id}")
            except urllib.error.HTTPError:
                time.sleep(0.5)
            else:
                return
        raise TimeoutError(dag_id)

    def run(self, dag_id: str, count: int) -> list[dict[str, Any]]:
        """Start runs together; all of them after their end."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        for run_id in ids:
            self.call("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": {}, "logical_date": None})
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            listed = self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
            ours = [run for run in listed if run["dag_run_id"] in ids]
            if len(ours) == count and all(run["state"] in ("success", "failed") for run in ours):
                return ours
            time.sleep(0.5)
        raise TimeoutError(f"{dag_id}: not finished within {_PATIENCE} s")


def _span(runs: list[dict[str, Any]]) -> float:
    queued = min(datetime.fromisoformat(run["queued_at"]) for run in runs)
    ended = max(datetime.fromisoformat(run["end_date"]) for run in runs)
    return (ended - queued).total_seconds()


def _calls(stack: LocalStack, method: str = "GET") -> Counter[str]:
    request = urllib.request.Request(f"{stack.layout.aws_url}/cch/calls", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return Counter(json.load(answer))


def _measure(airflow: _Airflow, stack: LocalStack, dag_id: str) -> tuple[tuple[float | int, ...], Counter[str]]:
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


def _prepare(stack: LocalStack) -> None:
    os.environ.update(aws_environment(stack.layout))
    prefix = "cch-dev-local-"
    for number in (1, 2):
        boto3.client("sqs").create_queue(QueueName=f"{prefix}bench-replies-{number}")
    boto3.client("s3").put_object(
        Bucket=f"{prefix}workflow-definitions-bucket", Key="bench_ours.yaml", Body=DEFINITION.encode()
    )


def measure_workflow() -> Figures:
    """nodes/s with 20 runs together, and the time of one run alone."""
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(path)},
        }
        for name, path in (("dags-folder", ROOT / "dags"), ("bench", ROOT / "bench" / "dags"))
    ]
    with tempfile.TemporaryDirectory() as home:
        os.environ["CCH_HOME"] = home
        os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(bundles)
        stack = LocalStack.open()
        try:
            stack.start(lambda _line: None, ("aws", "mock"))
            _prepare(stack)
            stack.start(lambda _line: None)
            airflow = _Airflow(stack)
            measured = {
                label: _measure(airflow, stack, dag_id)
                for label, dag_id in (("ours", "bench_ours"), ("classic", "bench_classic"), ("floor", "bench_floor"))
            }
        finally:
            stack.stop()
            for name in ("CCH_HOME", "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"):
                del os.environ[name]
    ours, classic = measured["ours"][0][0], measured["classic"][0][0]
    detail = ", ".join(
        f"{name} {number / (NODES * TOGETHER):.2f}" for name, number in measured["ours"][1].most_common()
    )
    return Figures(
        title=f"async → condition → set_state → async → end, {TOGETHER} runs together, SQLite, LocalExecutor",
        columns=("nodes/s", "all runs s", "one run s", "AWS calls a node", "failed runs"),
        rows=[(label, values) for label, (values, _) in measured.items()],
        notes=(
            f"ours / classic: {ours / classic:.1f} times the nodes/s",
            f"our AWS calls a node: {detail}",
            "classic is flattered: its own queue a node, any reply taken, polls every second instead of every minute",
        ),
    )
