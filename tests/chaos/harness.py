"""A round: a fleet of instances, faults while they run, and the proof that each instance has happened once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bench.airflow import Airflow

from cch.ledger.audit import audit
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.stack.patience import StandstillError, Stillness
from tests.chaos.faults import Fault
from tests.chaos.fleet import Fleet
from tests.chaos.leaks import leaked
from tests.chaos.world import World

#: Seconds between two lines that say how far it is.
_SHOWN_EVERY = 5.0
UNFINISHED = ("queued", "running", "missing")
FAILED = ("failed",)


@dataclass(kw_only=True)
class Result:
    """One round. Times in seconds; ``recovered`` counts from the end of the last fault to that of the last instance.

    ``refused`` counts replies that had no effect because another one was faster, or too late.
    """

    name: str
    faults: Sequence[str]
    instances: int
    seconds: float = 0.0
    recovered: float = 0.0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Round:
    """``still``: seconds without any progress after which instances, and what they leave behind, are given up."""

    world: World
    platform: Platform
    still: float
    result: Result
    _begun: float = field(default_factory=time.monotonic)

    async def run(self, faults: Sequence[Fault], *, overlapping: bool) -> None:
        """As many instances start while each fault begins as before the first one."""
        result, refused = self.result, await self._refused()
        fleet = Fleet(world=self.world)
        late = result.instances // (len(faults) + 1)
        self._say(f"{result.instances} instances")
        fleet.start(result.instances - late * len(faults))
        await self._until(fleet, 0.1 * len(fleet.instances))
        pause = self.world.hold / 2 if overlapping else 0.0
        under_way: list[asyncio.Task[None]] = []
        for fault in faults:
            under_way.append(asyncio.create_task(self._inject(fault)))
            fleet.start(late)
            await (asyncio.sleep(pause) if overlapping else under_way[-1])
        await asyncio.gather(*under_way)
        over = time.monotonic()
        if stands := await self._until(fleet, len(fleet.instances), supervised=True):
            missing = [f"{fleet.instances[i]} {i}" for i in fleet.instances if i not in fleet.ended]
            result.problems.append(f"{stands}; not ended: {', '.join(missing)}")
        result.recovered = time.monotonic() - over
        result.problems += await settled(self.platform, fleet, self.still)
        result.refused = await self._refused() - refused
        result.seconds = time.monotonic() - self._begun
        self._say("\n    ".join(["NOT GOOD", *result.problems[:20]]) if result.problems else "good")

    async def _inject(self, fault: Fault) -> None:
        self._say(f"{fault.name} begins")
        await asyncio.to_thread(fault.inject, self.world)
        await asyncio.sleep(self.world.hold)
        await asyncio.to_thread(fault.heal, self.world)
        self._say(f"{fault.name} is over")

    async def _until(self, fleet: Fleet, wanted: float, *, supervised: bool = False) -> str:
        """Wait until so many have ended; why it was given up, or ""."""
        watch, shown = Stillness(still=self.still), 0.0
        while True:
            if supervised:
                await asyncio.to_thread(self.world.supervise)
            ended = (await fleet.look(self.platform)).total()
            if ended >= wanted:
                return ""
            try:
                await asyncio.to_thread(_see, watch, fleet, "instances end")
            except StandstillError as error:
                return str(error)
            if time.monotonic() - shown > _SHOWN_EVERY:
                shown = time.monotonic()
                self._say(f"{ended} of {len(fleet.instances)} have ended")
            await asyncio.sleep(fleet.pause)

    async def _refused(self) -> int:
        fates = (await audit(self.platform.ledger, Inspector(self.platform).plan, 0.0)).messages
        return sum(fates.get(fate, 0) for fate in ("duplicate", "late"))

    def _say(self, line: str) -> None:
        self.world.say(f"{time.monotonic() - self._begun:6.1f} s  {self.result.name}: {line}")


def _see(watch: Stillness, fleet: Fleet, what: str, unrest: Sequence[str] = ()) -> None:
    """:raises StandstillError: the fleet has not moved for long."""
    if watch.due:
        watch.see({**fleet.signs(), "unrest": list(unrest)})
    watch.give_up_on(what)


async def settled(platform: Platform, fleet: Fleet, still: float) -> list[str]:
    """What is wrong once nothing moves any more."""
    watch = Stillness(still=still)
    while problems := await asyncio.to_thread(_unrest, fleet):
        try:
            await asyncio.to_thread(_see, watch, fleet, "everything comes to rest", problems)
        except StandstillError:
            break
        await asyncio.sleep(2.0)
    return [*problems, *await asyncio.to_thread(_runs, fleet, FAILED), *await fleet.problems(platform)]


def _unrest(fleet: Fleet) -> list[str]:
    return [
        *(f"{number} messages are left in {queue}" for queue, number in fleet.left_in_queues().items()),
        *_runs(fleet, UNFINISHED),
        *(f"process {process} is left over" for process in leaked(fleet.world.stack)),
    ]


def _runs(fleet: Fleet, states: Collection[str]) -> list[str]:
    """Airflow's runs of the fleet that are in one of these states."""
    airflow, found = Airflow(fleet.world.stack), dict[str, str]()
    for workflow in fleet.workflows:
        offset, page = 0, [{}]
        while page:
            page = airflow.call("GET", f"/dags/{workflow}/dagRuns?limit=100&offset={offset}")["dag_runs"]
            found |= {run["dag_run_id"]: run["state"] for run in page}
            offset += len(page)
    state_of = {instance: found.get(instance, "missing") for instance in fleet.instances}
    return [f"Airflow's run of {fleet.instances[i]} {i} is {state}" for i, state in state_of.items() if state in states]
