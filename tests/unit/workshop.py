"""A platform in memory with capabilities that answer by script, to drive regions by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import FragileStore
from processes import Process
from scripted import ManualClock
from tests.patience import finished

from cch.definition.catalogue import Catalogue
from cch.definition.model import Definition
from cch.definition.rules import NEWEST
from cch.definition.source import FolderSource
from cch.graph.build import build_graph
from cch.graph.checks import check, load
from cch.graph.plan import Plan, plan_tasks
from cch.identity import Box
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, InstanceView, JournalEntry, RegionKey, RequestRecord
from cch.runtime.admission import CatalogueAdmission
from cch.runtime.execution import execute_region
from cch.runtime.platform import Platform
from cch.runtime.region_task import RegionEnd, RegionTask
from cch.runtime.run_conf import CONF_INSTANCE
from cch.settings import Settings
from cch.testing.memory_queue import MemoryQueue, MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore

NOW = 1_700_000_000_000
INSTANCE = "11111111-1111-4111-8111-111111111111"

#: What a capability answers to one request: its status and payload; None: nothing.
Answer = tuple[str, Mapping[str, Any]] | None


class CapabilityQueue(MemoryQueue):
    """A queue that somebody serves at once."""

    serve: Callable[[dict[str, Any]], Any]

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        await super().send(body, attributes)
        await self.serve(json.loads(body))


class _AnsweringQueues(MemoryQueues):
    def __init__(self, serve: Callable[[dict[str, Any]], Any], *names: str) -> None:
        super().__init__(*names)
        self._serve = serve

    def make(self, name: str) -> MemoryQueue:
        if name not in self._queues and "capability" in name:
            queue = CapabilityQueue(name)
            queue.serve = self._serve
            self._queues[name] = queue
        return super().make(name)


@dataclass
class Workshop:
    """Definitions in a folder, a ledger that can die, and one instance of the first definition.

    Replies are taken off their queue by another process's router, so that a death hits the region alone.
    """

    folder: Path
    definitions: Mapping[str, str]
    context: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Callable[[dict[str, Any]], Answer]] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ("import", "screening", "a")
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        source = self.folder / "definitions"
        source.mkdir(parents=True, exist_ok=True)
        for name, text in self.definitions.items():
            (source / f"{name}.yaml").write_text(text)
        self.settings = Settings(mailbox_seconds=0.01)
        names = self.settings.names
        self.queues = _AnsweringQueues(
            self._serve, names.reply_queue, names.command_queue, names.rejected_queue(names.reply_queue)
        )
        for capability in self.capabilities:
            self.queues.make(names.capability_queue(f"{capability}#x"))
        self.data = MemoryStore()
        self.blobs = MemoryBlobs()
        self.ledger = Ledger(self.data, self.blobs)
        self.requests: list[dict[str, Any]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self.catalogue = Catalogue(FolderSource(source), self.folder / "cache", check, 0.0)
        admission = CatalogueAdmission(self.catalogue, self.ledger.versions, self.clock)
        self.postman = Process(
            ledger=self.ledger, queues=self.queues, names=names, admission=admission,
            clock=self.clock,
        )  # fmt: skip
        self.new_process()

    def new_process(self) -> None:
        """A triggerer that has just begun: nothing is left but what was stored."""
        self.store = FragileStore(self.data)
        self.platform = Platform(
            settings=self.settings, ledger=Ledger(self.store, self.blobs), queues=self.queues, catalogue=self.catalogue,
            read_object=lambda uri: json.dumps({"uri": uri}), clock=self.clock,
        )  # fmt: skip
        self.platform.exchange.id = "router"
        self.platform.router.start = lambda wait=0.0: None  # type: ignore[method-assign]

    # --- capabilities ----------------------------------------------------------------------------------------

    async def _serve(self, body: dict[str, Any]) -> None:
        self.requests.append(body)
        answer = self.answers.get(body["body"]["capability_id"], lambda _: ("SUCCESS", {}))(body)
        if answer is not None:
            await self.reply(body, *answer)

    async def reply(self, request: Mapping[str, Any], status: str, payload: Mapping[str, Any]) -> None:
        """Answer a request as a capability does, and let the other router take the answer."""
        header = request["header"]
        raw = {
            "workflowInstanceId": header["workflowInstanceId"],
            "command": {
                "type": "ASYNC_RESP", "id": f"reply to {header['commandId']}", "timestamp": header["timestamp"],
                "source": f"Capability:{request['body']['capability_id']}", "inReplyTo": header["commandId"],
                "status": status, "payload": dict(payload),
            },
        }  # fmt: skip
        await self.queues.make(self.settings.names.reply_queue).send(json.dumps(raw))
        task = asyncio.create_task(self.deliver())
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def deliver(self) -> None:
        """Take what is on the reply queue; wake this process's waiters through its mailbox."""
        await self.postman.take(self.queues.make(self.settings.names.reply_queue))
        wakes = await self.ledger.mailboxes.wakes("router")
        for command_id in wakes:
            await self.ledger.mailboxes.forget("router", command_id)
            self.platform.exchange.waiters.wake(command_id)

    # --- the instance ----------------------------------------------------------------------------------------

    @property
    def definition(self) -> Definition:
        name, text = next(iter(self.definitions.items()))
        return load(text, f"{name}.yaml")

    @property
    def plan(self) -> Plan:
        return plan_tasks(build_graph(self.definition))

    async def create(self) -> None:
        """As a START_WORKFLOW and the dispatcher do."""
        await self.ledger.instances.create(
            Instance(
                id=INSTANCE, workflow_id=self.definition.workflow_id, correlation_id="BL-7", status="pending",
                started=NOW, context=self.context, definition_uri="s3://b/d.yaml", start_message="m",
                reading_rules=NEWEST,
            )
        )  # fmt: skip

    def task(self, region: str, task_instance: str = "t1", **changes: Any) -> RegionTask:
        given = {
            "workflow_id": self.definition.workflow_id, "region": region, "run_id": INSTANCE,
            "task_instance": task_instance, "definition_digest": self.definition.digest,
            "structure_digest": self.plan.structure_digest, "conf": {CONF_INSTANCE: INSTANCE},
        }  # fmt: skip
        return RegionTask(**{**given, **changes})

    async def run(self, region: str, task_instance: str = "t1", **changes: Any) -> RegionEnd:
        """Execute one region; it must end within seconds."""
        return await finished(execute_region(self.task(region, task_instance, **changes), self.platform))

    async def run_all(self) -> dict[str, RegionEnd]:
        """Execute every region that tokens lead to, one after the other."""
        ends: dict[str, RegionEnd] = {}
        for head in self.plan.regions:
            ends[head] = await self.run(head)
        return ends

    async def view(self) -> InstanceView:
        view = await self.ledger.instances.view(INSTANCE)
        assert view is not None
        return view

    async def status(self) -> str:
        return (await self.view()).instance.status

    async def journal(self, region: str) -> list[JournalEntry]:
        return await self.ledger.journal.read(RegionKey(instance=INSTANCE, region=region))

    async def all_requests(self) -> list[RequestRecord]:
        return await self.ledger.requests.of_box(Box(INSTANCE))

    def stored(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Everything that counts: not messages and wakes, of which a death may cause more, nor what is only noted."""
        content = FragileStore(self.data).content("MSG#", "WAKE#", "ROUTERS", "EARLY")
        for item in content.values():
            item.pop("sent_at", None)
        return content
