"""How long others wait for the scheduler while thousands of instances wait: with the filter of idle runs, and without.

One instance really waits for a reply; the others are copies of its rows in Airflow's database (without a trigger), made
in seconds. The scheduler cannot tell them apart. PostgreSQL, one scheduler.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.airflow import Airflow, bench_stack, publish
from bench.copies import copy_run
from bench.figures import Figures, percentile
from cch.stack.local import LocalStack
from cch.stack.topology import Topology

#: Waiting instances.
COUNTS = (0, 1_000, 5_000)
#: Without the filter, a hop with more than this many takes minutes.
MOST_UNFILTERED = 1_000
#: Runs of the other DAG for one figure, and their hops.
RUNS, HOPS = 5, 2
PLAN = Path("build/idle-runs-plan.txt")

DEFINITION = """
workflow_id: bench_waits
workflow_name: Waits
entry_point: A
nodes:
  A: {type: async_request, capability_id: "nobody#one", on_response: B, on_failure: Log}
  B: {type: async_request, capability_id: "nobody#two", on_response: C, on_failure: Log}
  C: {type: async_request, capability_id: "nobody#three", on_response: Done, on_failure: Log}
  Log: {type: log_error, default_error_code: E, default_message: failed, on_success: Failed}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""


def measure_waiting() -> Figures:
    """Seconds from the end of one task to the end of the next, of a DAG that has nothing to do with us."""
    with bench_stack(lambda: publish("bench_waits", DEFINITION), Topology(database="postgresql")) as (stack, airflow):
        for dag_id in ("bench_hop", "bench_waits"):
            airflow.wait_for_dag(dag_id)
        run = _one_waits(stack, airflow)
        airflow.run("bench_hop", 1)
        rows = []
        there = 1
        for count in COUNTS:
            wanted = max(1, count)
            copy_run(stack, run, wanted - there, there, "none")
            there = wanted
            for skip in (True, False):
                if skip or count <= MOST_UNFILTERED:
                    hops = _hops(stack, airflow, skip=skip)
                    label = f"{count:,} waiting, {'idle runs left out' if skip else 'all examined'}"
                    rows.append((label, (percentile(hops, 0.5), max(hops), len(hops))))
        PLAN.parent.mkdir(exist_ok=True)
        PLAN.write_text(_explained(stack))
    none, most = rows[0][1][0], next(values[0] for label, values in rows if label.startswith(f"{COUNTS[-1]:,} "))
    return Figures(
        title="a hop of an unrelated DAG while instances wait, PostgreSQL, one scheduler (s)",
        columns=("p50", "longest", "hops"),
        rows=rows,
        notes=(
            f"with {COUNTS[-1]:,} waiting instances {most / none:.1f} times as long as with none (aim: at most 2)",
            f"how PostgreSQL finds the runs: {PLAN}",
        ),
    )


def _one_waits(stack: LocalStack, airflow: Airflow) -> str:
    """Start one instance; its run, when its request has been sent and the scheduler has nothing more to do for it."""
    never = json.dumps({"capabilities": {"nobody#one": [{"never": True}]}}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{stack.layout.mock_url}/scenario", never, method="PUT"), timeout=30)
    run = "bench-waits"
    airflow.call("POST", "/dags/bench_waits/dagRuns", {"dag_run_id": run, "conf": {}, "logical_date": None})
    until = time.monotonic() + 120
    while time.monotonic() < until:
        tasks = airflow.call("GET", f"/dags/bench_waits/dagRuns/{run}/taskInstances")["task_instances"]
        if any(task["state"] == "deferred" for task in tasks):
            time.sleep(40)  # a changed run is examined again, at the latest 30 s later
            return run
        time.sleep(1)
    raise TimeoutError(f"the instance does not wait: see {stack.layout.logs}")


def _hops(stack: LocalStack, airflow: Airflow, *, skip: bool) -> Sequence[float]:
    """Seconds of each hop, one run after the other, with a scheduler that has just been started."""
    os.environ["CCH_SKIP_IDLE_RUNS"] = str(skip)
    stack.processes.stop(["scheduler"])
    stack.start(lambda _line: None)
    airflow.run("bench_hop", 1)
    hops: list[float] = []
    for _ in range(RUNS):
        (run,) = airflow.run("bench_hop", 1)
        tasks = airflow.call("GET", f"/dags/bench_hop/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        ends = sorted(datetime.fromisoformat(task["end_date"]) for task in tasks)
        hops += [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(ends)]
    return hops


def _explained(stack: LocalStack) -> str:
    """:func:`_explain` in a process of its own: Airflow reads its configuration once."""
    program = [sys.executable, "-m", "bench.waiting"]
    environment = {**os.environ, **stack.environment()}
    answer = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return answer.stdout


def _explain() -> str:
    """How PostgreSQL runs the query of one round of the scheduler, with the filter."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import event

    from cch.scheduling.idle_runs import install
    from cch.settings import load_settings

    assert install(load_settings())
    seen: list[tuple[str, Any]] = []
    with create_session() as session:
        engine = session.get_bind()

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "FROM dag_run" in statement:
                seen.append((statement, parameters))

        event.listen(engine, "before_cursor_execute", note)
        list(DagRun.get_running_dag_runs_to_examine(session=session))
        event.remove(engine, "before_cursor_execute", note)
        statement, parameters = seen[0]
        plan = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
        return "\n".join(row[0] for row in plan)


if __name__ == "__main__":
    print(_explain())
