"""Copies of tasks that are still to come: the next regions begin in the process in which the region before has left.

Airflow needs seconds until it lets the next task begin. A copy of that task, under the same id, begins at once; two
copies of one task are what regions expect anyway (docs/adr/0007), so the ledger does not know of it. When the task
itself comes to this process it takes its copy over; in another process it goes on from what the copy has written.
A copy that no task has taken over after :data:`PATIENCE` ends, at whatever point, as if its process had died.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cch.graph.scopes import map_body
from cch.interpreter.region import RegionRun
from cch.runtime.execution import execute_region
from cch.runtime.gating import HeldError

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.graph.regions import Region
    from cch.interpreter.flow import TokenFlow
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import InstanceView
    from cch.runtime.platform import Platform
    from cch.runtime.region_task import RegionEnd, RegionTask

log = logging.getLogger(__name__)

#: Seconds that a copy goes on by itself. Airflow's task comes within a few; a DAG that is paused lets none come.
PATIENCE = 60.0
#: Copies at the same time in one process.
MOST = 2_000

#: (workflow, run, ids of Airflow's tasks, task → the task instance that has left, of the tasks before them) → the ids
#: of those task instances that Airflow may let begin; None if nobody answers that here.
TasksToCome = Callable[[str, str, Sequence[str], Mapping[str, str]], Awaitable[Mapping[str, str] | None]]


@dataclass(frozen=True, slots=True)
class _Copy:
    work: asyncio.Task[RegionEnd | None]
    #: Ends the copy if its task does not come.
    timer: asyncio.TimerHandle


class Copies:
    """The copies of one process, by the id of the task instance."""

    def __init__(self, to_come: TasksToCome, *, patience: float = PATIENCE, most: int = MOST) -> None:
        self._to_come = to_come
        self._patience = patience
        self._most = most
        self._copies: dict[str, _Copy] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def follow(
        self,
        task: RegionTask,
        platform: Platform,
        plan: Plan,
        *,
        flow: TokenFlow,
        left: Sequence[Outcome],
        view: InstanceView,
    ) -> None:
        """Begin the regions that wait for nothing but these outcomes, with which the task's region has left."""
        heads = _next_regions(plan, flow, left)
        if not heads or len(self._copies) + len(self._asking) + len(heads) > self._most:
            return
        rests_on = _rests_on(plan, flow, heads, view)
        if rests_on is None:
            return
        # An empty context: what a copy logs, and its place in the turnstile, are not those of the task before.
        asking = asyncio.get_running_loop().create_task(
            self._begin(task, platform, {plan.task_of[head]: head for head in heads}, rests_on, view),
            name=f"after {task.region}", context=contextvars.Context(),
        )  # fmt: skip
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def taken_over(self, task_instance: str) -> RegionEnd | None:
        """The end of the task that runs ahead, once it ends; None if none does, or it has stopped by itself."""
        copy = self._copies.pop(task_instance, None)
        if copy is None:
            return None
        copy.timer.cancel()
        log.info("the task goes on from a copy that has begun before it")
        return await copy.work  # cancelled with whoever waits for it

    async def _begin(
        self,
        task: RegionTask,
        platform: Platform,
        regions: Mapping[str, str],
        rests_on: Mapping[str, str],
        view: InstanceView,
    ) -> None:
        try:
            found = await self._to_come(task.workflow_id, task.run_id, list(regions), rests_on)
        except Exception:
            log.exception("cannot ask which tasks are to come: they begin when Airflow lets them")
            return
        if found is None:
            self._most = 0
            log.info("this triggerer does not answer which tasks are to come: they begin when Airflow lets them")
            return
        for task_id, task_instance in found.items():
            if task_id in regions and task_instance not in self._copies:
                copied = replace(task, region=regions[task_id], task_instance=task_instance, item=None, ahead=True)
                self._start(copied, platform, view)

    def _start(self, copied: RegionTask, platform: Platform, view: InstanceView) -> None:
        loop = asyncio.get_running_loop()
        work = loop.create_task(
            _execute(copied, platform, view), name=f"ahead {copied.region}", context=contextvars.Context()
        )
        timer = loop.call_later(self._patience, self._give_up, copied.task_instance, work)
        self._copies[copied.task_instance] = _Copy(work, timer)
        work.add_done_callback(lambda _: self._forget(copied.task_instance, work))

    def _give_up(self, task_instance: str, work: asyncio.Task[RegionEnd | None]) -> None:
        self._forget(task_instance, work)  # first: a task that comes now is not to wait for what is cancelled
        work.cancel()

    def _forget(self, task_instance: str, work: asyncio.Task[RegionEnd | None]) -> None:
        copy = self._copies.get(task_instance)
        if copy is not None and copy.work is work:
            copy.timer.cancel()
            del self._copies[task_instance]


async def _execute(copied: RegionTask, platform: Platform, view: InstanceView) -> RegionEnd | None:
    try:
        return await execute_region(copied, platform, view)
    except HeldError:
        return None
    except Exception:
        log.exception("the copy of a task that is to come could not go on: the task itself will")
        return None


def _next_regions(plan: Plan, flow: TokenFlow, left: Sequence[Outcome]) -> list[str]:
    """Heads of the regions of the triggerer that these outcomes have let begin.

    Others may also be ready: those that run already. Who would call somebody waits for its task.
    """
    own = {outcome.id for outcome in left}
    reached = {ready.node for ready in flow.ready() if own.intersection(ready.parents)}
    return [
        head
        for head, region in plan.regions.items()
        if region.kind != "call" and not region.mapped and reached.intersection(region.nodes)
        and RegionRun.may_begin(region, flow) and not _calls_somebody(plan, region)
    ]  # fmt: skip


def _rests_on(plan: Plan, flow: TokenFlow, heads: Sequence[str], view: InstanceView) -> Mapping[str, str] | None:
    """All that has led to the regions: Airflow's task → its task instance that has left. None: it is not known of all.

    Airflow knows whether one of these was cleared since; the ledger does not, before the new task instance begins.
    Those further back count, too: a copy goes on with what one of them had left before it was cleared.
    """
    nodes = {name for head in heads for name in plan.regions[head].nodes}
    led = flow.ways_to(parent for ready in flow.ready() if ready.node in nodes for parent in ready.parents)
    amendments, found = view.instance.amendments, {}
    for left in view.exits:
        if own := led.intersection(amendments.read(outcome).id for outcome in left.outcomes):
            led -= own
            found[plan.task_of.get(amendments.now(left.region), left.region)] = left.task_instance
    return None if led else found


def _calls_somebody(plan: Plan, region: Region) -> bool:
    """Whether a function or an endpoint may be called in the region, one of the library included.

    A request has one id, whoever sends it, and its queue and capability know it. A call has a key alone: a copy in one
    triggerer and the task in another would both call, day by day, and only after a kill may that be.
    """
    executed, todo = set(region.nodes), list(region.nodes)
    while todo:
        if (name := todo.pop()) in plan.graph.maps:
            body = map_body(plan.graph, name).reachable - executed
            executed |= body
            todo.extend(body)
    asked = (plan.graph.nodes[name].asks for name in executed)
    return any(one is not None and one.answerer != "queue" for one in asked)
