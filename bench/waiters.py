"""A stack where one instance really waits in a triggerer; the others are copies of its rows in Airflow's database.

The triggerer takes the copies for tasks that begin there, and everything from then on is real: each makes its instance
in the ledger, sends its request and waits.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
import psutil

from bench.airflow import Airflow, bench_stack, publish
from cch.names import Names
from cch.stack.local import LocalStack
from cch.stack.topology import Topology

RUN, WORKFLOW = "bench-waits", "bench_waiters"
NAMES = Names(env="dev", owner="local")
#: Nobody serves it; the mock takes its requests and says nothing.
CAPABILITY = "nobody#ask"
#: Calls that send one request; nobody else sends one message a call.
SENDS = "AmazonSQS.SendMessage."
#: DynamoDB calls a second of a triggerer while everybody waits, each of whom looks for itself now and then; and for
#: how long (s): a router tells every 30 s how many there are.
_CALM, _CALM_FOR = 10, 40
_PATIENCE = 3600.0


@contextmanager
def one_waiting(topology: Topology, definition: str, *, lean: bool = True) -> Iterator[WaitersBench]:
    """A stack with one instance that waits, of which only AWS, the mock and the database go on.

    ``definition``: of a workflow named :data:`WORKFLOW` whose first node asks :data:`CAPABILITY`.
    """
    os.environ["CCH_LEAN_WAITERS"] = str(lean)
    with bench_stack(lambda: publish(WORKFLOW, definition), topology) as (stack, airflow):
        never = json.dumps({"capabilities": {CAPABILITY: [{"never": True}]}}).encode()
        scenario = urllib.request.Request(f"{stack.layout.mock_url}/scenario", never, method="PUT")
        urllib.request.urlopen(scenario, timeout=30).close()
        airflow.wait_for_dag(WORKFLOW)
        bench = WaitersBench(stack, [name for name in topology.airflow if name.startswith("triggerer")])
        _one_waits(bench, airflow)
        stack.stop(keep=("postgresql", "aws", "mock"))
        yield bench


@dataclass(frozen=True, slots=True)
class Beginning:
    """From the start of the triggerers until all wait. ``peak``: most calls of DynamoDB in a second."""

    seconds: float
    #: How long AWS's stand-in computed (s).
    by_aws: float
    peak: float


@dataclass(frozen=True, slots=True)
class WaitersBench:
    """Triggerers alone with AWS and the database."""

    stack: LocalStack
    names: list[str]

    def stop(self) -> None:
        self.stack.processes.stop(self.names)

    def begin(self, count: int) -> Beginning:
        """Start the triggerers, and return when ``count`` requests are waited for."""
        since, begun, aws = time.time() * 1000, time.monotonic(), self.aws_cpu()
        self.stack.start(lambda _line: None, self.names)
        calls, last, peak = number_of(self.calls(), "DynamoDB"), time.monotonic(), 0.0
        busy = (begun, aws)
        while time.monotonic() - begun < _PATIENCE:
            time.sleep(1)
            now, more = time.monotonic(), number_of(self.calls(), "DynamoDB")
            rate, calls, last = (more - calls) / (now - last), more, now
            peak = max(peak, rate)
            if rate > _CALM * len(self.names):
                busy = (now, self.aws_cpu())
            elif now - busy[0] > _CALM_FOR and self._waiters(since) >= count:
                return Beginning(busy[0] - begun, busy[1] - aws, peak)
        raise TimeoutError(f"{self._waiters(since)} of {count} wait: see {self.stack.layout.logs}")

    def memory(self) -> int:
        """KB that are the triggerers' own."""
        return sum(each.memory_full_info().uss for each in self._processes()) // 1024

    def cpu(self) -> float:
        """Seconds that the triggerers have computed."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def aws_cpu(self) -> float:
        """Seconds that AWS's stand-in has computed."""
        times = psutil.Process(self.stack.processes.pid("aws")).cpu_times()
        return float(times.user + times.system)

    def calls(self) -> dict[str, int]:
        """Calls of AWS by operation, since its stand-in began."""
        with urllib.request.urlopen(f"{self.stack.layout.aws_url}/cch/calls", timeout=60) as answer:
            calls: dict[str, int] = json.load(answer)
        return calls

    def _processes(self) -> list[psutil.Process]:
        heads = [psutil.Process(self.stack.processes.pid(name)) for name in self.names]
        return [each for head in heads for each in (head, *head.children(recursive=True))]

    def _waiters(self, since: float) -> int:
        """What the routers have said last, of those that have said something since then (ms)."""
        table = boto3.resource("dynamodb").Table(NAMES.table)
        items = table.query(KeyConditionExpression="PK = :routers", ExpressionAttributeValues={":routers": "ROUTERS"})[
            "Items"
        ]
        return sum(int(item["waiters"]) for item in items if int(item["seen"]) > since)


def _one_waits(bench: WaitersBench, airflow: Airflow) -> None:
    """Start the instance that is copied, and return when its request has been sent."""
    airflow.call("POST", f"/dags/{WORKFLOW}/dagRuns", {"dag_run_id": RUN, "conf": {}, "logical_date": None})
    until = time.monotonic() + 120
    while number_of(bench.calls(), SENDS) < 1:
        if time.monotonic() > until:
            raise TimeoutError(f"the instance sends nothing: see {bench.stack.layout.logs}")
        time.sleep(0.5)


def number_of(calls: dict[str, int], service: str) -> int:
    """Calls whose operation begins so."""
    return sum(number for name, number in calls.items() if name.startswith(service))


def calls_between(earlier: dict[str, int], later: dict[str, int]) -> dict[str, int]:
    """Calls that came in between."""
    return {name: number - earlier.get(name, 0) for name, number in later.items()}
