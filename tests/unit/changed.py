"""An instance that is changed from outside while its regions run as Airflow's tasks would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import FragileStore
from world import World, eventually, open_memory_platform

from cch.definition.model import Definition
from cch.graph.checks import check
from cch.graph.plan import Plan
from cch.interpreter.flow import TokenFlow
from cch.interpreter.replay import flow_of
from cch.ledger.records import ENDED, InstanceView, RequestRecord
from cch.runtime.moving import MoveWish
from cch.runtime.platform import Platform, now_ms
from cch.runtime.progress import live_regions
from cch.runtime.task_wishes import RunWish

FIRST = """
workflow_id: moved
workflow_name: Before
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Then, error_reply: failure}
  Then: {type: async_request, capability_id: a#then, on_response: E, error_reply: failure}
  E: {type: end}
"""
#: ``Ask`` may be called ``Enquire``; behind it something is set, and an event is waited for instead of ``Then``.
SECOND = """
workflow_id: moved
workflow_name: After
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Set, error_reply: failure}
  Set: {type: set_state, static_outputs: {set: true}, on_success: Wait}
  Wait: {type: event_wait, event_key: go, on_event: E}
  E: {type: end}
"""
RENAMED = SECOND.replace("Ask", "Enquire")


class Tables:
    """Airflow's tables in memory. ``before``: called while the run is locked, before it is changed."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.before = before
        self.wishes: list[RunWish] = []
        self.revived: list[bool] = []

    def prepare(self, dag_id: str, version: str) -> None:
        pass

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish], *, revive: bool = False) -> None:
        if self.before is not None:
            self.before()
        self.wishes.append(work())
        self.revived.append(revive)


@dataclass
class Moved(World):
    """An instance whose regions run like Airflow's tasks do, by whatever version it has."""

    running: asyncio.Task[None] | None = None
    tasks: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def version(self, text: str) -> Definition:
        definition, problems = check(text, "d.yaml")
        assert definition is not None, problems
        return definition

    def wish(self, text: str = SECOND, **renamed: str) -> MoveWish:
        definition = self.version(text)
        self.platform.catalogue.keep(definition)  # as for every version that was served
        return MoveWish(definition=definition, renamed=renamed, by="ada", reason="a mistake")

    async def plan_now(self) -> Plan:
        plan = await self.platform.plans.of((await self.view()).instance)
        assert plan is not None
        return plan

    def go_on(self) -> None:
        """Airflow begins the triggers anew, also those of an instance that had ended."""
        for task in self.tasks.values():
            task.cancel()
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self.run())

    def flow_of(self, plan: Plan, view: InstanceView) -> TokenFlow:
        return flow_of(plan, view.instance.context, view.outcomes(), view.instance.amendments)

    async def run(self) -> None:
        """Execute every region that has something to do, until the instance has ended."""
        try:
            if not (await self.view()).instance.structure_digest:
                self.tasks["t-Ask"] = asyncio.create_task(self.execute(self.definition.entry_point, "t-Ask"))
            while (view := await self.view()).instance.status not in ENDED:
                if view.instance.structure_digest:
                    amendments = view.instance.amendments
                    for head in live_regions(await self.plan_now(), view):
                        name = f"t-{amendments.recorded(head)}"
                        if name not in self.tasks or self.tasks[name].done():
                            self.tasks[name] = asyncio.create_task(self.execute(head, name))
                await asyncio.sleep(0.005)
        finally:
            for task in self.tasks.values():
                task.cancel()

    async def asked(self) -> list[RequestRecord]:
        return await self.platform.ledger.requests_of((await self.view()).instance)

    async def one_open(self, source: str) -> RequestRecord:
        found: list[RequestRecord] = []

        async def look() -> bool:
            found[:] = [r for r in await self.asked() if r.source == source and r.state == "open" and r.sent_at]
            return bool(found)

        await eventually(look)
        return found[0]

    async def reply(self, request: RequestRecord, status: str = "SUCCESS", **payload: Any) -> None:
        queue = await self.platform.queues.find(self.platform.settings.names.reply_queue)
        assert queue is not None
        command = {
            "type": "ASYNC_RESP", "id": f"r-{request.command_id}", "source": f"Capability:{request.source}",
            "timestamp": "2026-01-05T08:00:00Z", "status": status,
            "payload": {"answered": request.node, **payload},
            "inReplyTo": request.command_id,
        }  # fmt: skip
        await queue.send(json.dumps({"workflowInstanceId": self.instance, "command": command}))

    async def has_ended(self) -> list[str]:
        async def look() -> bool:
            return (await self.view()).instance.status in ENDED

        await eventually(look)
        assert (await self.view()).instance.status == "completed", (await self.view()).instance.reason
        return await self.visited()


@asynccontextmanager
async def waiting(
    tmp_path: Path,
    store: FragileStore | None = None,
    *,
    text: str = FIRST,
    clock: Callable[[], int] = now_ms,
    awaited: frozenset[str] = frozenset(),
) -> AsyncIterator[tuple[Moved, RequestRecord]]:
    """An instance of the first version that waits for the reply to its first request."""
    async with open_memory_platform(tmp_path, text, store=store, clock=clock) as platform:
        world = Moved(platform, text, awaited=awaited)
        await world.create()
        world.go_on()
        try:
            yield world, await world.one_open("a#ask")
        finally:
            assert world.running is not None
            world.running.cancel()
            with suppress(asyncio.CancelledError):
                await world.running


async def gates(platform: Platform, instance: str) -> list[str]:
    head = await platform.ledger.instances.head(instance)
    assert head is not None
    return [gate.kind for gate in head.closed]
