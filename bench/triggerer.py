"""Ten thousand requests waited for in Airflow's own triggerer: sending, memory, what waiting costs, and a kill.

One instance really waits; the others are copies of its rows in Airflow's database, triggers too. So the triggerer takes
them for tasks that begin there, and everything from then on is real: each makes its instance in the ledger, sends its
request and waits. PostgreSQL; AWS is moto's server, one request to DynamoDB at a time, whose own share is shown.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import psutil

from bench.airflow import Airflow, bench_stack, publish
from bench.copies import copy_run
from bench.figures import Figures
from cch.names import Names
from cch.stack.local import LocalStack
from cch.stack.topology import Topology

#: Waiting requests, and for how many triggerers.
COUNTS = (1_000, 10_000)
TWO = 20_000
NODES = 40
RUN = "bench-waits"
NAMES = Names(env="dev", owner="local")
#: Seconds for which everybody only waits.
IDLE = 60.0
#: DynamoDB calls a second while everybody waits; a router tells every 30 s how many do.
_CALM, _CALM_FOR = 10, 40
_PATIENCE = 3600.0
#: Requests are sent one by one; nobody else sends any.
_SEND = "AmazonSQS.SendMessage."


def definition() -> str:
    """A workflow of :data:`NODES` nodes whose first waits for a capability that nobody serves."""
    ask = "type: async_request, capability_id: nobody#ask, input_keys: [key]"
    nodes = [f"  N{number}: {{{ask}, on_response: N{number + 1}}}" for number in range(NODES - 1)]
    head = ["workflow_id: bench_waiters", "workflow_name: Waiters", "entry_point: N0", "nodes:"]
    return "\n".join([*head, *nodes, f"  N{NODES - 1}: {{type: end}}", ""])


def measure_triggerer() -> Figures:
    """One triggerer, as Airflow is and as we have it, with more and more requests; then two with as many each."""
    rows = _measured(1, COUNTS[:1], lean=False) + _measured(1, COUNTS) + _measured(2, (TWO,))
    label, floor = _floor(COUNTS[-1])
    rows.append((label, {**dict.fromkeys(rows[0][1], ""), **floor}))
    return Figures(
        title=f"real triggerers, a definition of {NODES} nodes, PostgreSQL, moto's server as AWS",
        columns=tuple(rows[0][1]),
        rows=[(label, tuple(figures.values())) for label, figures in rows],
        notes=(
            "began, restarted, went on: from the start of the triggerer until all wait",
            "after kill -9: with the half minute until Airflow declares the old one dead",
            "AWS's share: how long moto's server computed in that time, on one of two cores",
            "KB a waiter: of all the triggerer's processes, beyond what it has without any",
        ),
    )


@contextmanager
def _one_waiting(topology: Topology, *, lean: bool = True) -> Iterator[_Bench]:
    """A stack with one instance that waits, of which only AWS, the mock and the database go on."""
    os.environ["CCH_LEAN_WAITERS"] = str(lean)
    with bench_stack(lambda: publish("bench_waiters", definition()), topology) as (stack, airflow):
        never = json.dumps({"capabilities": {"nobody#ask": [{"never": True}]}}).encode()
        scenario = urllib.request.Request(f"{stack.layout.mock_url}/scenario", never, method="PUT")
        urllib.request.urlopen(scenario, timeout=30).close()
        airflow.wait_for_dag("bench_waiters")
        _one_waits(stack, airflow)
        stack.stop(keep=("postgresql", "aws", "mock"))
        yield _Bench(stack, [name for name in topology.airflow if name.startswith("triggerer")])


def _measured(triggerers: int, counts: tuple[int, ...], *, lean: bool = True) -> list[tuple[str, dict[str, Any]]]:
    with _one_waiting(Topology(database="postgresql", triggerers=triggerers), lean=lean) as bench:
        bench.begin(1)
        rows, there = [], 1
        empty = bench.memory()
        for count in counts:
            bench.stop()
            copy_run(bench.stack, RUN, count - there, there, "ours")
            there = count
            label = f"{count:,} waiting" + (f" in {triggerers} triggerers" if triggerers > 1 else "")
            label += "" if lean else ", Airflow as it is"
            rows.append((label, bench.measure(count, empty)))
            shown = ", ".join(f"{name} {value:,.4g}" for name, value in rows[-1][1].items())
            print(f"  {label}: {shown}", file=sys.stderr, flush=True)  # it takes half an hour
        return rows


def _floor(count: int) -> tuple[str, dict[str, Any]]:
    """What Airflow's triggerer needs for triggers of its own that only sleep, on the same DAG."""
    with _one_waiting(Topology(database="postgresql"), lean=False) as bench:
        bench.begin(1)
        empty = bench.memory()
        bench.stop()
        copy_run(bench.stack, RUN, count - 1, 1, "airflow")
        bench.stack.start(lambda _line: None, bench.names)
        log, until = bench.stack.processes.log("triggerer"), time.monotonic() + _PATIENCE
        while f"{count} triggers currently running" not in log.read_text():
            if time.monotonic() > until:
                raise TimeoutError(f"not all triggers run: see {log}")
            time.sleep(5)
        time.sleep(IDLE)
        return f"{count:,} of Airflow's own that sleep", bench.idle(count, empty)[0]


def _one_waits(stack: LocalStack, airflow: Airflow) -> None:
    """Start the instance that is copied, and return when its request has been sent."""
    airflow.call("POST", "/dags/bench_waiters/dagRuns", {"dag_run_id": RUN, "conf": {}, "logical_date": None})
    until = time.monotonic() + 120
    while _of(_calls(stack), _SEND) < 1:
        if time.monotonic() > until:
            raise TimeoutError(f"the instance sends nothing: see {stack.layout.logs}")
        time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Triggerers alone with AWS and the database."""

    stack: LocalStack
    names: list[str]

    def stop(self) -> None:
        self.stack.processes.stop(self.names)

    def measure(self, count: int, empty: int) -> dict[str, Any]:
        """Send, wait, restart, kill, go on. ``empty``: KB of the triggerers when they have next to nothing to do."""
        sending, by_aws = self.begin(count)
        idle, calls = self.idle(count, empty)
        self.stop()
        restarted, by_aws_then = self.begin(count)
        for name in self.names:
            self.stack.processes.signal(name, signal.SIGKILL)
        self.stop()
        before = _calls(self.stack)
        going_on, by_aws_again = self.begin(count)
        return {
            "began s": sending,
            "AWS's share s": by_aws,
            **idle,
            "idle DynamoDB calls/min": _of(calls, "DynamoDB") * 60 / IDLE,
            "idle SQS calls/min": _of(calls, "AmazonSQS") * 60 / IDLE,
            "restarted s": restarted,
            "AWS's share then s": by_aws_then,
            "went on after kill -9 s": going_on,
            "AWS's share again s": by_aws_again,
            "DynamoDB calls to go on": _of(_less(_calls(self.stack), before), "DynamoDB") / count,
            "sent again": _of(_calls(self.stack), _SEND) - count,
        }

    def idle(self, count: int, empty: int) -> tuple[dict[str, float], dict[str, int]]:
        """Memory, and what waiting for :data:`IDLE` costs; and AWS's calls in that time."""
        memory, worked, calls = self.memory(), self._cpu(), _calls(self.stack)
        time.sleep(IDLE)
        cpu = (self._cpu() - worked) / IDLE / len(self.names) * 100
        figures = {"MB": memory / 1024, "KB a waiter": (memory - empty) / count, "idle CPU %": cpu}
        return figures, _less(_calls(self.stack), calls)

    def begin(self, count: int) -> tuple[float, float]:
        """Start the triggerers; seconds until ``count`` requests are waited for, and AWS's seconds of CPU in them."""
        since, begun, aws = time.time() * 1000, time.monotonic(), self._aws_cpu()
        self.stack.start(lambda _line: None, self.names)
        calls, busy = _of(_calls(self.stack), "DynamoDB"), (begun, aws)
        while time.monotonic() - begun < _PATIENCE:
            time.sleep(1)
            now = time.monotonic()
            calls, before = _of(_calls(self.stack), "DynamoDB"), calls
            if calls - before > _CALM:
                busy = (now, self._aws_cpu())
            elif now - busy[0] > _CALM_FOR and self._waiters(since) >= count:
                return busy[0] - begun, busy[1] - aws
        raise TimeoutError(f"{self._waiters(since)} of {count} wait: see {self.stack.layout.logs}")

    def memory(self) -> int:
        """KB that are the triggerers' own."""
        return sum(each.memory_full_info().uss for each in self._processes()) // 1024

    def _cpu(self) -> float:
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def _aws_cpu(self) -> float:
        times = psutil.Process(self.stack.processes.pid("aws")).cpu_times()
        return float(times.user + times.system)

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


def _calls(stack: LocalStack) -> dict[str, int]:
    """Calls of AWS by operation, since its stand-in began."""
    with urllib.request.urlopen(f"{stack.layout.aws_url}/cch/calls", timeout=60) as answer:
        calls: dict[str, int] = json.load(answer)
    return calls


def _less(later: dict[str, int], earlier: dict[str, int]) -> dict[str, int]:
    return {name: number - earlier.get(name, 0) for name, number in later.items()}


def _of(calls: dict[str, int], service: str) -> int:
    return sum(number for name, number in calls.items() if name.startswith(service))
