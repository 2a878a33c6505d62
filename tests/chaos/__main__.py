"""``python -m tests.chaos``: inject faults while instances run, and prove that each instance has happened once."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.airflow import Airflow
from rich.console import Console
from rich.table import Table

from cch.ledger.audit import audit
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform, open_platform
from cch.stack.topology import TOPOLOGIES, topology_named
from tests.chaos.faults import BY_NAME, FAULTS, MIXED, Fault
from tests.chaos.fleet import WORKFLOWS, Fleet
from tests.chaos.leaks import leaked
from tests.chaos.world import DEFINITIONS, ChaosStack, World

#: Settings of Airflow and AWS that make a dead process be noticed soon; operators choose their own.
QUICK = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "CCH_MOCK_VISIBILITY_SECONDS": "10",
}
#: Instances of a mixed round meet so many faults.
_IN_A_MIX = 5


@dataclass(kw_only=True)
class Result:
    """One round. Times in seconds; ``recovered`` counts from the end of the fault to the end of the last instance."""

    fault: str
    faults: Sequence[str]
    instances: int
    seconds: float = 0.0
    recovered: float = 0.0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Harness:
    """``patience``: how long instances may take after a fault (s)."""

    world: World
    effects: Path
    patience: float
    console: Console
    results: list[Result] = field(default_factory=list)

    async def run(self, platform: Platform, name: str, faults: Sequence[Fault], count: int) -> Result:
        """One fleet, during whose run the faults come one after the other."""
        result = Result(fault=name, faults=[fault.name for fault in faults], instances=count)
        self.results.append(result)
        begun, refused = time.monotonic(), await self._refused(platform)
        fleet = Fleet(world=self.world, effects=self.effects)
        self._say(result, begun, f"{count} instances")
        fleet.start(count - count // 3)
        await self._until(platform, fleet, result, begun, share=0.1, patience=60.0)
        for number, fault in enumerate(faults):
            self._say(result, begun, f"{fault.name} begins")
            await asyncio.to_thread(fault.inject, self.world)
            if number == 0:
                fleet.start(count // 3)  # starts that come while it lasts
            await asyncio.sleep(self.world.hold)
            await asyncio.to_thread(fault.heal, self.world)
            self._say(result, begun, f"{fault.name} is over")
        over = time.monotonic()
        if not await self._until(platform, fleet, result, begun, share=1.0, patience=self.patience):
            missing = [f"{fleet.instances[i]} {i}" for i in fleet.instances if i not in fleet.ended]
            result.problems.append(f"not ended within {self.patience:g} s: {', '.join(missing)}")
        result.recovered = time.monotonic() - over
        result.problems += await self._settled(platform, fleet)
        result.refused = await self._refused(platform) - refused
        result.seconds = time.monotonic() - begun
        self._say(result, begun, "good" if not result.problems else "\n    ".join(["NOT GOOD", *result.problems[:20]]))
        return result

    async def _until(
        self, platform: Platform, fleet: Fleet, result: Result, begun: float, *, share: float, patience: float
    ) -> bool:
        until, shown = time.monotonic() + patience, 0.0
        while time.monotonic() < until:
            ended = (await fleet.look(platform)).total()
            if ended >= share * len(fleet.instances):
                return True
            if time.monotonic() - shown > 5.0:
                shown = time.monotonic()
                self._say(result, begun, f"{ended} of {len(fleet.instances)} have ended")
            await asyncio.sleep(0.5)
        return False

    async def _settled(self, platform: Platform, fleet: Fleet) -> list[str]:
        """What is wrong once everything has had the time to come to rest."""
        problems: list[str] = []
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            left = await asyncio.to_thread(fleet.left_in_queues)
            runs = await asyncio.to_thread(_unfinished_runs, self.world, fleet)
            lost = await asyncio.to_thread(leaked, self.world.stack)
            problems = [
                *(f"{number} messages are left in {queue}" for queue, number in left.items()),
                *runs,
                *(f"process {process} is left over" for process in lost),
            ]
            if not problems:
                break
            await asyncio.sleep(2.0)
        return [*problems, *await fleet.problems(platform)]

    async def _refused(self, platform: Platform) -> int:
        fates = (await audit(platform.ledger, Inspector(platform).plan, 0.0)).messages
        return sum(fates.get(fate, 0) for fate in ("duplicate", "late"))

    def _say(self, result: Result, begun: float, line: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {result.fault}: {line}", highlight=False)


def _unfinished_runs(world: World, fleet: Fleet) -> list[str]:
    """Airflow's runs of the fleet that have not succeeded."""
    airflow, states = Airflow(world.stack), dict[str, str]()
    for workflow in WORKFLOWS:
        for state in ("success", "failed", "running", "queued"):
            page, offset = [{}], 0
            while page:
                path = f"/dags/{workflow}/dagRuns?limit=100&offset={offset}&state={state}&order_by=-run_after"
                page = airflow.call("GET", path)["dag_runs"]
                states |= {run["dag_run_id"]: state for run in page}
                offset += len(page)
    bad = {instance: states.get(instance, "missing") for instance in fleet.instances}
    return [f"Airflow's run of {fleet.instances[i]} {i} is {state}" for i, state in bad.items() if state != "success"]


def _rounds(names: Sequence[str], world: World) -> list[tuple[str, list[Fault]]]:
    """What each round injects: a fault, several (``a+b``), or a mix."""
    rounds: list[tuple[str, list[Fault]]] = []
    for name in names:
        chosen = [n for n in MIXED if not BY_NAME[n].impossible(world)]
        parts = world.random.sample(chosen, _IN_A_MIX) if name == "mixed" else name.split("+")
        faults = [BY_NAME[part] for part in parts]
        if reasons := [reason for fault in faults if (reason := fault.impossible(world))]:
            world.say(f"{name} is left out: {reasons[0]}")
        else:
            rounds.append((name, faults))
    return rounds


def _table(results: Sequence[Result]) -> Table:
    table = Table("fault", "instances", "round (s)", "recovered (s)", "duplicates, late", "verdict")
    for result in results:
        verdict = "good" if not result.problems else f"{len(result.problems)} problems"
        faults = result.fault if len(result.faults) == 1 else f"{result.fault}: {', '.join(result.faults)}"
        table.add_row(
            faults, str(result.instances), f"{result.seconds:.0f}", f"{result.recovered:.1f}", str(result.refused),
            verdict,
        )  # fmt: skip
    return table


async def _work(harness: Harness, rounds: Sequence[tuple[str, list[Fault]]], count: int) -> None:
    async with open_platform() as platform:
        for name, faults in rounds:
            await harness.run(platform, name, faults, count)


def main() -> int:
    """Run the rounds; 0 only if every one of them was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    everything = [*(fault.name for fault in FAULTS), "mixed"]
    parser.add_argument("--faults", default=",".join(everything), help="by comma; a+b one after the other; mixed")
    parser.add_argument("--count", type=int, default=60, help="instances of a round")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds that a fault lasts")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds until all must have ended")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topology", default="cluster", choices=sorted(TOPOLOGIES))
    parser.add_argument("--output", type=Path, default=Path("build/chaos.json"))
    parser.add_argument("--keep", action="store_true", help="leave the stack running, to look at it")
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 120), soft_wrap=True)
    if "CCH_HOME" not in os.environ:
        os.environ["CCH_HOME"] = tempfile.mkdtemp(prefix="cch-chaos-")
    for name, value in QUICK.items():
        os.environ.setdefault(name, value)
    os.environ["CCH_MOCK_EFFECTS"] = effects = f"{os.environ['CCH_HOME']}/effects.jsonl"
    stack = ChaosStack.open(None if ChaosStack.open().running() else topology_named(arguments.topology))
    before = stack.running()
    world = World(stack=stack, hold=arguments.hold, random=random.Random(arguments.seed), say=console.print)
    harness = Harness(world=world, effects=Path(effects), patience=arguments.patience, console=console)
    try:
        stack.start(console.print)
        os.environ.update(world.environment)
        world.cch("publish", *map(str, sorted(DEFINITIONS.glob("*.yaml"))))
        world.script_mock()
        for workflow in WORKFLOWS:
            Airflow(stack).wait_for_dag(workflow)
        asyncio.run(_work(harness, _rounds(arguments.faults.split(","), world), arguments.count))
    finally:
        if not arguments.keep:
            stack.stop(keep=before)
    lost = [] if before or arguments.keep else leaked(stack)
    console.print(_table(harness.results))
    for process in lost:
        console.print(f"left over after the stack has stopped: {process}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(result) for result in harness.results]
    arguments.output.write_text(json.dumps({"seed": arguments.seed, "leaked": lost, "rounds": rows}, indent=2) + "\n")
    return int(bool(lost) or any(result.problems for result in harness.results))


if __name__ == "__main__":
    sys.exit(main())
