"""Where the time goes: seconds of CPU for each instance, by process, and its calls of AWS."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter

import psutil

from bench.airflow import Airflow, bench_stack
from bench.figures import Figures
from bench.workflow import NODES, PARSE_EVERY, TOGETHER, aws_calls, prepare
from cch.stack.local import LocalStack

#: Seconds over which is measured what the stack computes while nothing is to be done.
_IDLE = 30.0
_COLUMNS = (("ours", "bench_ours"), ("granularity workflow", "bench_whole"), ("floor", "bench_floor"))
#: Kinds of calls of AWS that are named.
_NAMED = 8


def cpu_by_process(stack: LocalStack) -> dict[str, float]:
    """Seconds of CPU so far: of each service itself, and of all that it has started, whether it lives or not."""
    found: dict[str, float] = {}
    for name in stack.topology.services:
        pid = stack.processes.pid(name)
        if not pid:
            continue
        with contextlib.suppress(psutil.Error):
            head = psutil.Process(pid)
            own = head.cpu_times()
            found[name] = own.user + own.system
            started = own.children_user + own.children_system
            for child in head.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    times = child.cpu_times()
                    started += times.user + times.system + times.children_user + times.children_system
            found[f"{name}: what it starts"] = started
    return found


def cpu_idle(stack: LocalStack) -> dict[str, float]:
    """Seconds of CPU a second while nothing is to be done."""
    before = cpu_by_process(stack)
    time.sleep(_IDLE)
    after = cpu_by_process(stack)
    return {name: (after[name] - before.get(name, 0.0)) / _IDLE for name in after}


def _measured(airflow: Airflow, stack: LocalStack, dag_id: str) -> tuple[dict[str, float], Counter[str], float]:
    """(seconds of CPU by process, AWS calls by kind), each for one instance; and how long (s) all of them took."""
    airflow.wait_for_dag(dag_id)
    airflow.run(dag_id, 1)
    aws_calls(stack, "DELETE")
    before, begun = cpu_by_process(stack), time.monotonic()
    airflow.run(dag_id, TOGETHER)
    took, after = time.monotonic() - begun, cpu_by_process(stack)
    return {name: (after[name] - before.get(name, 0.0)) / TOGETHER for name in after}, aws_calls(stack), took


def measure_account() -> Figures:
    """An account of one run of the measured workflow."""
    with bench_stack(prepare, parse_every=PARSE_EVERY) as (stack, airflow):
        airflow.wait_for_dag("bench_ours")
        idle = cpu_idle(stack)
        measured = {label: _measured(airflow, stack, dag_id) for label, dag_id in _COLUMNS}
    names = sorted(idle, key=lambda name: -measured["ours"][0].get(name, 0.0))
    rows = [(name, (*(cpu.get(name, 0.0) for cpu, _, _ in measured.values()), idle[name] * 100)) for name in names]
    sums = tuple(sum(cpu.values()) for cpu, _, _ in measured.values())
    rows.append(("all", (*sums, sum(idle.values()) * 100)))
    calls = [
        f"{label}: {sum(found.values()) / TOGETHER:.0f} AWS calls an instance: "
        + ", ".join(f"{name} {number / TOGETHER:.1f}" for name, number in found.most_common(_NAMED))
        for label, (_, found, _) in measured.items()
        if found
    ]
    took = ", ".join(f"{label} {seconds:.0f} s" for label, (_, _, seconds) in measured.items())
    return Figures(
        title=f"seconds of CPU for one instance of {NODES} nodes, {TOGETHER} together",
        columns=(*(label for label, _ in _COLUMNS), "idle % of a core"),
        rows=rows,
        notes=(
            *calls,
            f"all of them took: {took}; what is computed while nothing is to be done is part of each column",
            f"{os.cpu_count()} cores; the scheduler starts the executor and its task processes (LocalExecutor)",
        ),
    )
