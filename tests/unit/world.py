"""One instance on a platform in memory, its regions executed by hand."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.patience import finished

from cch.definition.catalogue import Catalogue
from cch.definition.rules import NEWEST
from cch.definition.source import FolderSource
from cch.envelope import event_command
from cch.errors import CapabilityError
from cch.graph.checks import check
from cch.graph.plan import plan_of
from cch.graph.planners import planner_for
from cch.identity import Address
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, InstanceView
from cch.ledger.store import ItemStore
from cch.runtime.execution import execute_region
from cch.runtime.platform import Platform, now_ms
from cch.runtime.region_task import RegionEnd, RegionTask
from cch.runtime.run_conf import CONF_INSTANCE
from cch.settings import Settings
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore


@dataclass
class World:
    """One instance of one definition, executed by hand."""

    platform: Platform
    text: str
    context: dict[str, Any] = field(default_factory=dict)
    instance: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    by_branch: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    #: Capabilities whose calls the tasks leave to the triggerer.
    awaited: frozenset[str] = frozenset()

    def answer_for(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The answer scripted for the request's branch, else the next one; the last one repeats."""
        branch = request["header"].get("routingHint", {}).get("branchKey", "")
        if branch in self.by_branch:
            return self.by_branch[branch]
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def define(self) -> None:
        definition, problems = check(self.text, "d.yaml")
        assert definition is not None, problems
        self.definition = definition
        self.planner = planner_for(definition, self.awaited)
        self.plan = plan_of(definition, self.planner)

    async def create(self) -> None:
        self.define()
        definition = self.definition
        await self.platform.ledger.instances.create(
            Instance(
                id=self.instance, workflow_id=definition.workflow_id, run_id=self.instance, correlation_id="c",
                status="pending", started=1, context=self.context, start_message="m", reading_rules=NEWEST,
            )
        )  # fmt: skip

    def task(self, region: str, task_instance: str = "t1", item: str | None = None) -> RegionTask:
        return RegionTask(
            workflow_id=self.definition.workflow_id, region=region, run_id=self.instance,
            task_instance=task_instance, definition_digest=self.definition.digest,
            structure_digest=self.plan.structure_digest, conf={CONF_INSTANCE: self.instance}, item=item,
            planner=self.planner,
        )  # fmt: skip

    async def execute(self, region: str, task_instance: str = "t1", item: str | None = None) -> RegionEnd:
        return await execute_region(self.task(region, task_instance, item), self.platform)

    async def event(
        self, payload: dict[str, Any], event_id: str = "", *, branch: str | tuple[str, ...] = "", status: str = ""
    ) -> None:
        queue = await self.platform.queues.find(self.platform.settings.names.command_queue)
        assert queue is not None
        await queue.send(
            event_command(
                instance=self.instance, command_id=event_id or str(uuid.uuid4()), payload=payload,
                address=Address.of_key(branch) if isinstance(branch, str) else Address(branch),
                status=status, now=1,
            )
        )  # fmt: skip

    async def view(self) -> InstanceView:
        view = await self.platform.ledger.instances.view(self.instance)
        assert view is not None
        return view

    async def visited(self) -> list[str]:
        outcomes = [o for exit_ in (await self.view()).exits for o in exit_.outcomes]
        return [o.node for o in sorted(outcomes, key=lambda o: o.stamp)]

    async def fates(self) -> list[str]:
        items = await self.platform.ledger.store.scan("MSG#")
        return sorted(item["fate"] for item in items if item["kind"] == "EVENT_WAIT_RESP")


async def eventually(look: Callable[[], Any]) -> None:
    for _ in range(2000):
        found = look()
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never happened")


def _read(objects: dict[str, str], uri: str) -> str:
    if uri not in objects:
        raise CapabilityError(f"there is no {uri}")
    return objects[uri]


@asynccontextmanager
async def open_memory_platform(
    tmp_path: Path,
    *texts: str,
    store: ItemStore | None = None,
    clock: Callable[[], int] = now_ms,
    objects: dict[str, str] | None = None,
    dialect: str = "cch",
    retention_days: int = 0,
) -> AsyncIterator[Platform]:
    """A platform with these definitions, whose router takes replies and commands."""
    settings = Settings(cache_folder=str(tmp_path / "cache"), mailbox_seconds=0.01, dialect=dialect)
    names = settings.names
    folder = tmp_path / "definitions"
    folder.mkdir(exist_ok=True)
    for text in texts:
        definition, problems = check(text, "d.yaml")
        assert definition is not None, problems
        (folder / f"{definition.workflow_id}.yaml").write_text(text)
    opened = Platform(
        settings=settings,
        ledger=Ledger(store or MemoryStore(), MemoryBlobs(), retention_days),
        queues=MemoryQueues(names.command_queue, names.reply_queue, names.fallback_queue),
        catalogue=Catalogue(FolderSource(folder), settings.cache_path, check, 0.0),
        read_object=(lambda uri: uri) if objects is None else partial(_read, objects),
        write_object=({} if objects is None else objects).__setitem__,
        clock=clock,
    )
    opened.router.start(0.05)
    opened.router.attach_doorbell(lambda: None)
    try:
        yield opened
    finally:
        await opened.router.stop()


async def answer(world: World) -> None:
    """A capability that gives the world's answers in order; the last one repeats."""
    platform = world.platform
    requests = await platform.queues.find(platform.settings.names.fallback_queue)
    replies = await platform.queues.find(platform.settings.names.reply_queue)
    assert requests is not None
    assert replies is not None
    while True:
        for received in await requests.receive(0.05):
            header = json.loads(received.body)["header"]
            status, payload = world.answer_for(json.loads(received.body))
            hint = {"routingHint": header["routingHint"]} if "routingHint" in header else {}
            command = {
                **hint,
                "type": "ASYNC_RESP", "id": str(uuid.uuid4()), "source": "Capability:x", "status": status,
                "timestamp": "2026-01-05T08:00:00Z", "payload": payload, "inReplyTo": header["commandId"],
            }  # fmt: skip
            await replies.send(json.dumps({"workflowInstanceId": world.instance, "command": command}))
        await asyncio.sleep(0)


async def with_answers(world: World, work: Any) -> Any:
    capability = asyncio.create_task(answer(world))
    try:
        return await finished(work)
    finally:
        capability.cancel()
