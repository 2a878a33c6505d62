"""``python -m tests.chaos``: inject faults while instances run, and prove that each instance has happened once."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.airflow import Airflow
from rich.console import Console
from rich.table import Table

from cch.runtime.platform import open_platform
from cch.stack.processes import interrupt_on
from cch.stack.topology import TOPOLOGIES, topology_named
from tests.chaos.faults import BY_NAME, FAULTS, MIXED, Fault
from tests.chaos.fleet import WORKFLOWS
from tests.chaos.harness import Result, Round
from tests.chaos.leaks import leaked
from tests.chaos.world import DEFINITIONS, EFFECTS, ChaosStack, World

#: Settings of Airflow and AWS that make a dead process be noticed soon; operators choose their own.
QUICK = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    # What Celery had handed to a worker that was killed is queued again after that; Airflow's default is 600.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "CCH_MOCK_VISIBILITY_SECONDS": "10",
}
#: Instances of a mixed round meet so many faults.
_IN_A_MIX = 5


def _rounds(names: Sequence[str], world: World) -> list[tuple[str, list[Fault]]]:
    """What each round injects: a fault, several (``a+b``), or a mix."""
    rounds: list[tuple[str, list[Fault]]] = []
    for name in names:
        parts = name.split("+")
        if name == "all":
            parts = [fault.name for fault in FAULTS if not fault.impossible(world)]
        elif name == "mixed":
            parts = world.random.sample([n for n in MIXED if not BY_NAME[n].impossible(world)], _IN_A_MIX)
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
        faults = result.name if result.name != "mixed" else f"mixed: {', '.join(result.faults)}"
        table.add_row(
            faults, str(result.instances), f"{result.seconds:.0f}", f"{result.recovered:.1f}", str(result.refused),
            verdict,
        )  # fmt: skip
    return table


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    count: int
    still: float
    seed: int
    output: Path


async def _work(world: World, rounds: Sequence[tuple[str, list[Fault]]], options: Options) -> list[Result]:
    results: list[Result] = []
    async with open_platform() as platform:
        for name, faults in rounds:
            result = Result(name=name, faults=[fault.name for fault in faults], instances=options.count)
            results.append(result)
            this = Round(world=world, platform=platform, still=options.still, result=result)
            await this.run(faults, overlapping=name == "mixed")
            _write(options, results)
    return results


def _write(options: Options, results: Sequence[Result], lost: Sequence[str] = ()) -> None:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"seed": options.seed, "leaked": list(lost), "rounds": [asdict(result) for result in results]}
    options.output.write_text(json.dumps(report, indent=2) + "\n")


def main() -> int:
    """Run the rounds; 0 only if every one of them was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    everything = [*(fault.name for fault in FAULTS), "mixed"]
    parser.add_argument(
        "--faults",
        default=",".join(everything),
        help="by comma; a+b: one after the other, while the same instances run; all: every one so;"
        " mixed: five at the same time",
    )
    parser.add_argument("--count", type=int, default=60, help="instances of a round")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds that a fault lasts")
    parser.add_argument(
        "--still", type=float, default=600.0, help="seconds without any progress after which a round is given up"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topology", default="cluster", choices=sorted(TOPOLOGIES))
    parser.add_argument("--output", type=Path, default=Path("build/chaos.json"))
    parser.add_argument("--keep", action="store_true", help="leave the stack running, to look at it")
    arguments = parser.parse_args()
    options = Options(count=arguments.count, still=arguments.still, seed=arguments.seed, output=arguments.output)
    interrupt_on(signal.SIGTERM, signal.SIGHUP)  # what is being written is finished then
    console = Console(width=max(Console().width, 120), soft_wrap=True)
    if "CCH_HOME" not in os.environ:
        os.environ["CCH_HOME"] = tempfile.mkdtemp(prefix="cch-chaos-")
    for name, value in QUICK.items():
        os.environ.setdefault(name, value)
    os.environ["CCH_MOCK_EFFECTS"] = f"{os.environ['CCH_HOME']}/{EFFECTS}"
    stack = ChaosStack.open(None if ChaosStack.open().running() else topology_named(arguments.topology))
    before = stack.running()
    if before:  # what is killed and started again still belongs to whoever has started the stack
        stack.processes.start_for(before[0])

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    world = World(stack=stack, hold=arguments.hold, random=random.Random(arguments.seed), say=say)
    results: list[Result] = []
    try:
        stack.start(console.print)
        os.environ.update(world.environment)
        world.cch("publish", *map(str, sorted(DEFINITIONS.glob("*.yaml"))))
        world.script_mock()
        for workflow in WORKFLOWS:
            Airflow(stack).wait_for_dag(workflow)
        rounds = _rounds(arguments.faults.split(","), world)
        results = asyncio.run(_work(world, rounds, options))
    finally:
        if arguments.keep:
            stack.keep()
        else:
            stack.stop(keep=before)
    lost = [] if before or arguments.keep else leaked(stack)
    console.print(_table(results))
    for process in lost:
        console.print(f"left over after the stack has stopped: {process}")
    _write(options, results, lost)
    return int(bool(lost) or any(result.problems for result in results))


if __name__ == "__main__":
    sys.exit(main())
