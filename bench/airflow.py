"""A stack to measure on, and its Airflow's REST API."""

from __future__ import annotations

import json
import os
import sys
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

from cch.stack.layout import USER, aws_environment, usual_stand_in
from cch.stack.local import LocalStack
from cch.stack.topology import LOCAL, Topology

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 900.0
#: Seconds between two lines about runs that go on.
_TELL_EVERY = 30.0


@contextmanager
def bench_stack(
    prepare: Callable[[], None], topology: Topology = LOCAL, *, parse_every: float = 3
) -> Iterator[tuple[LocalStack, Airflow]]:
    """A stack of its own with the DAGs of the comparison; ``prepare`` publishes before Airflow starts.

    ``parse_every``: seconds between two looks at one DAG file (Airflow's default is 30).
    AWS's stand-in is the one that ``CCH_STACK_AWS`` names.
    """
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
        os.environ["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = f"{parse_every:g}"
        stack = LocalStack.open(topology.on(usual_stand_in()))
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
        #: Starts that Airflow answered with an error of its own, and that were repeated.
        self.repeated = 0

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
            self._start(dag_id, {"dag_run_id": run_id, "conf": dict(context or {}), "logical_date": None})
        ended: dict[str, dict[str, Any]] = {}
        seen = 0
        begun = moved = told = time.monotonic()
        while time.monotonic() - moved < _PATIENCE:
            ended |= {run["dag_run_id"]: run for run in self._ended(dag_id, count) if run["dag_run_id"] in ids}
            if len(ended) == count:
                return list(ended.values())
            if len(ended) > seen:
                seen, moved = len(ended), time.monotonic()
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                print(f"{dag_id}: {seen} of {count} runs have ended after {told - begun:.0f} s", file=sys.stderr)
            time.sleep(0.5 + count / 200)
        raise TimeoutError(f"{dag_id}: {seen} of {count} have ended, and none in the last {_PATIENCE:g} s")

    def _start(self, dag_id: str, body: Mapping[str, Any]) -> None:
        """Start a run, again and again while the server cannot: SQLite may be busy."""
        while True:
            try:
                self.call("POST", f"/dags/{dag_id}/dagRuns", dict(body))
            except urllib.error.HTTPError as error:
                if error.code == 409:  # the answer was an error, and the run was made all the same
                    return
                if error.code < 500:
                    raise
                self.repeated += 1
                time.sleep(0.2)
            else:
                return

    def _ended(self, dag_id: str, count: int) -> Iterator[dict[str, Any]]:
        """The newest runs that have ended."""
        for offset in range(0, count, 100):
            path = f"/dags/{dag_id}/dagRuns?limit=100&offset={offset}&order_by=-run_after"
            yield from (run for run in self.call("GET", path)["dag_runs"] if run["state"] in ("success", "failed"))
