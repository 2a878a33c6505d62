"""What one call costs: of an endpoint and a Lambda function, by a worker and by the triggerer, beside Airflow's own."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.account import cpu_by_process, cpu_idle
from bench.airflow import ROOT, Airflow, bench_stack, publish
from bench.bound import BOUND
from bench.figures import Figures
from bench.workflow import PARSE_EVERY
from cch.stack.local import LocalStack

#: Calls of one run, one after the other; runs that are started together; and how often each DAG has its turn, so that
#: a machine that becomes slower does so for all.
CALLS, TOGETHER, TURNS = 5, 24, 3
#: Services that stand in for somebody else's computers.
_STAND_INS = ("aws", "mock")
_FUNCTION = "{prefix}orchestra-b3"
#: Ends the name of a definition whose whole run is one task, and asks for that.
_WHOLE = "_whole"
#: What is measured → its DAG, and the DAG that does the same without tasks for code.
_ROWS = {
    "empty PythonOperator": ("bench_python", "bench_none"),
    "sensor of Airflow's, triggerer": ("bench_sensor", "bench_none"),
    "Python, worker": ("bench_calls_python", "bench_calls_none"),
    "HTTP, worker": ("bench_calls_http_worker", "bench_calls_none"),
    "HTTP, triggerer": ("bench_calls_http_triggerer", "bench_calls_none"),
    "Lambda, worker": ("bench_calls_lambda_worker", "bench_calls_none"),
    "Lambda, triggerer": ("bench_calls_lambda_triggerer", "bench_calls_none"),
    "HTTP, triggerer, one task a run": ("bench_calls_http_triggerer_whole", "bench_calls_none_whole"),
    "Lambda, triggerer, one task a run": ("bench_calls_lambda_triggerer_whole", "bench_calls_none_whole"),
}


class _Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def _endpoint() -> Iterator[str]:
    """The address of an endpoint in this process, which is none of the stack's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _settings(url: str) -> Iterator[None]:
    """What the triggerer calls is bound by the setting, and what a worker calls in code."""
    bindings = {"bench#http_triggerer": url, "bench#lambda_triggerer": f"lambda:{_FUNCTION}"}
    given = {
        "CCH_CALLS_IN_TRIGGERER": "true",
        "CCH_CAPABILITY_BINDINGS": json.dumps(bindings),
        "CCH_CAPABILITY_MODULES": "bench.bound",
        "PYTHONPATH": str(ROOT),
        BOUND: json.dumps({"http": url, "lambda": _FUNCTION}),
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _definition(workflow_id: str) -> str:
    """A chain of calls of the capability that the workflow is named after; of nothing for ``none``."""
    kind = workflow_id.removeprefix("bench_calls_").removesuffix(_WHOLE)
    if kind == "none":
        nodes = "  N0: {type: set_state, static_outputs: {}, on_success: Done}\n"
    else:
        after = [f"N{number}" for number in range(1, CALLS)] + ["Done"]
        nodes = "".join(
            f"  N{number}: {{type: sync_call, capability_id: 'bench#{kind}', on_success: {then}}}\n"
            for number, then in enumerate(after)
        )
    layout = "execution: {granularity: workflow}\n" if workflow_id.endswith(_WHOLE) else ""
    head = f"workflow_id: {workflow_id}\nworkflow_name: {workflow_id}\n{layout}entry_point: N0\nnodes:\n"
    return f"{head}{nodes}  Done: {{type: end}}\n"


def _prepare() -> None:
    for workflow_id in {dag for pair in _ROWS.values() for dag in pair if dag.startswith("bench_calls_")}:
        publish(workflow_id, _definition(workflow_id))


def _cpu(stack: LocalStack) -> tuple[float, float]:
    """Seconds of CPU so far: of the stack, and of its stand-ins."""
    found = cpu_by_process(stack)
    others = sum(value for name, value in found.items() if name.split(":")[0] in _STAND_INS)
    return sum(found.values()) - others, others


def _measured(airflow: Airflow, stack: LocalStack, dag_id: str, idle: float) -> tuple[float, float, int]:
    """Of each run: seconds of CPU of the stack, without what it takes when nothing is to do, and of its stand-ins.

    And how many runs have failed.
    """
    before, begun = _cpu(stack), time.monotonic()
    runs = airflow.run(dag_id, TOGETHER)
    took, after = time.monotonic() - begun, _cpu(stack)
    failed = sum(run["state"] != "success" for run in runs)
    return (after[0] - before[0] - idle * took) / TOGETHER, (after[1] - before[1]) / TOGETHER, failed


def measure_calls() -> Figures:
    """Seconds of CPU that one call costs."""
    with _endpoint() as url, _settings(url), bench_stack(_prepare, parse_every=PARSE_EVERY) as (stack, airflow):
        dags = list(dict.fromkeys(dag for pair in _ROWS.values() for dag in pair))
        for dag_id in dags:
            airflow.wait_for_dag(dag_id)
            airflow.run(dag_id, 1)  # the first run of a DAG pays for imports and caches
        idle = sum(value for name, value in cpu_idle(stack).items() if name.split(":")[0] not in _STAND_INS)
        turns = [{dag_id: _measured(airflow, stack, dag_id, idle) for dag_id in dags} for _ in range(TURNS)]
    found = {
        dag_id: [sum(figures) for figures in zip(*(turn[dag_id] for turn in turns), strict=True)] for dag_id in dags
    }
    calls = CALLS * TURNS
    costs = {label: (found[dag][0] - found[base][0]) / calls for label, (dag, base) in _ROWS.items()}
    one = costs["empty PythonOperator"]
    return Figures(
        title=f"seconds of CPU for one call: {TURNS} times {TOGETHER} runs together, with {CALLS} calls each",
        columns=("CPU s a call", "of an empty PythonOperator", "CPU s of the stand-ins", "failed runs"),
        rows=[
            (label, (costs[label], costs[label] / one, found[dag][1] / calls, found[dag][2]))
            for label, (dag, _) in _ROWS.items()
        ],
        notes=(
            "a run without calls, and what the stack computes while nothing is to be done, are taken off",
            "all of Airflow's processes with their database; a function of Lambda runs in a process of its stand-in",
        ),
    )
