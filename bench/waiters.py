"""Ten thousand requests waited for in one process: memory a waiter, what waiting costs, and going on after a restart.

Real triggers on the in-memory ledger and queues, with a definition of 40 nodes. What Airflow's triggerer itself keeps
for each trigger comes on top.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bench.figures import Figures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cch.runtime.platform import Platform

COUNTS = (1_000, 10_000)
NODES = 40
#: Seconds for which everybody only waits.
IDLE = 30.0
#: Waiters that are there before memory is measured: they load what all share.
_FIRST = 100


def _definition() -> str:
    ask = "type: async_request, capability_id: nobody#ask, input_keys: [key]"
    nodes = [f"  N{number}: {{{ask}, on_response: N{number + 1}}}" for number in range(NODES - 1)]
    head = ["workflow_id: bench_waiters", "workflow_name: Waiters", "entry_point: N0", "nodes:"]
    return "\n".join([*head, *nodes, f"  N{NODES - 1}: {{type: end}}", ""])


def measure_waiters() -> Figures:
    """Each number in two processes: one sends the requests, the next one goes on waiting."""
    rows: list[tuple[str, tuple[float, ...]]] = []
    columns: tuple[str, ...] = ()
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as home:
            figures = {**_process(home, "send", count), **_process(home, "wait", count)}
        columns = tuple(figures)
        rows.append((f"{count:,} waiting", tuple(figures.values())))
    return Figures(
        title=f"one process, a definition of {NODES} nodes, ledger and queues in memory",
        columns=columns,
        rows=rows,
        notes=(
            f"KB a waiter: resident memory, beyond what {_FIRST} waiters need; Airflow's triggerer keeps more for each",
            "calls a minute: to the ledger, while nothing comes (aim: the same whatever the number)",
        ),
    )


def _process(home: str, what: str, count: int) -> dict[str, float]:
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    program = [sys.executable, "-m", "bench.waiters", what, str(count), home]
    answer = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


# --- the process ------------------------------------------------------------------------------------------------


class _Counted:
    """Counts the calls of the methods of a store or queue."""

    def __init__(self, inner: Any, counts: Counter[str]) -> None:
        self._inner, self._counts = inner, counts

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if callable(value) and not name.startswith("_"):
            self._counts[name] += 1
        return value


def _resident() -> int:
    """KB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def _measure(what: str, count: int, home: Path) -> dict[str, float]:
    from cch.definition.catalogue import Catalogue
    from cch.definition.source import FolderSource
    from cch.graph.checks import check
    from cch.ledger.ledger import Ledger
    from cch.runtime import platform as platforms
    from cch.settings import Settings
    from cch.testing.memory_queue import MemoryQueues
    from cch.testing.memory_store import MemoryBlobs, MemoryStore

    definitions, kept = home / "definitions", home / "ledger.pickle"
    definitions.mkdir(exist_ok=True)
    (definitions / "bench_waiters.yaml").write_text(_definition())
    settings, counts = Settings(), Counter[str]()
    names = settings.names
    queues = MemoryQueues(names.reply_queue, names.command_queue, names.fallback_queue)
    catalogue = Catalogue(FolderSource(definitions), home / "cache", check, 5.0)
    data: MemoryStore = pickle.loads(kept.read_bytes()) if what == "wait" else MemoryStore()

    @asynccontextmanager
    async def opener() -> AsyncIterator[Platform]:
        ledger = Ledger(_Counted(data, counts), MemoryBlobs())  # type: ignore[arg-type]
        yield platforms.Platform(
            settings=settings, ledger=ledger, queues=queues, catalogue=catalogue, read_object=str
        )  # fmt: skip

    platforms.use_opener(opener)
    requests = queues.make(names.fallback_queue)
    begun = time.perf_counter()
    tasks = await _begin(range(_FIRST), catalogue)
    before = _resident()
    tasks += await _begin(range(_FIRST, count), catalogue)
    took = time.perf_counter() - begun
    if what == "send":
        assert len(requests.messages) == count
        await _stop(tasks)
        kept.write_bytes(pickle.dumps(data))
        return {"send all s": took}
    each = (_resident() - before) / (count - _FIRST)
    counts.clear()
    worked = time.process_time()
    await asyncio.sleep(IDLE)
    idle = (time.process_time() - worked) / IDLE
    calls = sum(counts.values()) * 60 / IDLE
    await _stop(tasks)
    return {
        "go on after restart s": took,
        "sent again": len(requests.messages),
        "KB a waiter": each,
        "idle CPU %": idle * 100,
        "calls a minute": calls,
    }


async def _begin(numbers: range, catalogue: Any) -> list[asyncio.Task[None]]:
    """Start triggers as Airflow does; returns when all wait."""
    from cch.graph.build import build_graph
    from cch.graph.plan import plan_tasks
    from cch.runtime.platform import shared_platform
    from cch.triggers.region import RegionTrigger

    definition = catalogue.current("bench_waiters")
    structure = plan_tasks(build_graph(definition)).structure_digest

    async def one(number: int) -> None:
        trigger = RegionTrigger(
            workflow_id="bench_waiters", region="N0", definition_digest=definition.digest, structure_digest=structure
        )
        trigger.task_instance = SimpleNamespace(
            id=f"t{number}", task_id="N0", dag_id="bench_waiters", run_id=f"run-{number}", map_index=-1, task=None
        )
        run = SimpleNamespace(run_id=f"run-{number}", conf={"key": f"MEDU{number:07d}"})
        trigger.render_template_fields({"dag_run": run})
        async for _ in trigger.run():
            raise AssertionError("nobody answers")

    tasks = [asyncio.create_task(one(number)) for number in numbers]
    router = (await shared_platform()).router
    while len(router.waiters) < numbers.stop:
        ended = next((task for task in tasks if task.done()), None)
        if ended is not None:
            ended.result()
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    return tasks


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))))
