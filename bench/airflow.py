"""A stack to measure on, and its Airflow's REST API."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from cch.stack.layout import USER, aws_environment
from cch.stack.local import LocalStack
from cch.stack.topology import LOCAL, Topology

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 900.0


@contextmanager
def bench_stack(prepare: Callable[[], None], topology: Topology = LOCAL) -> Iterator[tuple[LocalStack, Airflow]]:
    """A stack of its own with the DAGs of the comparison; ``prepare`` publishes before Airflow starts."""
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(path)},
        }
        for name, path in (("dags-folder", ROOT / "dags"), ("bench", ROOT / "bench" / "dags"))
    ]
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        os.environ["CCH_HOME"] = home
        os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(bundles)
        stack = LocalStack.open(topology)
        try:
            stack.start(lambda _line: None, ("aws", "mock"))
            os.environ.update(aws_environment(stack.layout))
            prepare()
            stack.start(lambda _line: None)
            yield stack, Airflow(stack)
        finally:
            stack.stop()
            os.environ.clear()
            os.environ.update(before)


def publish(workflow_id: str, text: str) -> None:
    """Put a definition where the stack reads it."""
    bucket = "cch-dev-local-workflow-definitions-bucket"
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{workflow_id}.yaml", Body=text.encode())


class Airflow:
    """Runs of the stack's Airflow, through its REST API."""

    def __init__(self, stack: LocalStack) -> None:
        self._url = stack.layout.ui_url
        self._password = stack.password
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Airflow's API."""
        return self._ask(method, f"/api/v2{path}", body)

    def cch(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API of CCH in the same server."""
        return self._ask(method, f"/cch/api/v1{path}", body)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        if not self._token:
            self._token = self._login()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)
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

    def run(self, dag_id: str, count: int, context: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Start runs together; all of them after their end."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        for run_id in ids:
            self.call(
                "POST",
                f"/dags/{dag_id}/dagRuns",
                {"dag_run_id": run_id, "conf": dict(context or {}), "logical_date": None},
            )
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            listed = self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
            ours = [run for run in listed if run["dag_run_id"] in ids]
            if len(ours) == count and all(run["state"] in ("success", "failed") for run in ours):
                return ours
            time.sleep(0.5)
        raise TimeoutError(f"{dag_id}: not finished within {_PATIENCE} s")
