"""An environment in memory for the command line: a ledger, queues, a folder of definitions, and somebody who works."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cch.definition.catalogue import Catalogue
from cch.definition.source import FolderSource
from cch.envelope import iso, start_command
from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.plan import plan_tasks
from cch.identity import Box
from cch.ledger.ledger import Ledger
from cch.runtime.execution import execute_region
from cch.runtime.platform import Platform, now_ms
from cch.runtime.progress import live_regions
from cch.runtime.region_task import RegionTask
from cch.settings import load_settings
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryArchive, MemoryBlobs, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from cch.ledger.mailboxes import PendingStart

ENRICH = """\
workflow_id: enrich_v1
workflow_name: Enrich a shipment
entry_point: Enrich
initial_context: [shipmentId]
nodes:
  Enrich:
    type: async_request
    capability_id: import#enrichment
    request_output_keys: [uri]
    timeout: 30d
    on_response: Mark
    on_failure: Report
  Mark:
    type: set_state
    static_outputs: {marked: true}
    on_success: Done
  Report:
    type: log_error
    default_error_code: E-1
    default_message: the enrichment failed
    on_success: Done
  Done:
    type: end
"""


@dataclass
class Office:
    """What commands work on. ``answers``: capability → (status, payload); a capability that is missing never answers.

    ``works`` False: nobody takes commands, as when Airflow is down.
    """

    home: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    answers: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    works: bool = True
    archive: MemoryArchive | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def published(self) -> Path:
        return self.home / "published"

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.blobs, load_settings().retention_days)

    def write(self, name: str, text: str = ENRICH) -> Path:
        """A definition file where a person keeps it."""
        path = self.home / "workflow-definitions" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def publish(self, name: str, text: str = ENRICH) -> Path:
        path = self.published / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Platform]:
        settings = load_settings()
        names = settings.names
        self.published.mkdir(exist_ok=True)
        queues = MemoryQueues()
        for name in (names.command_queue, names.reply_queue, names.fallback_queue):
            # New queues for every command's event loop, but never the same message id twice.
            queues.make(name)._numbers = self._numbers
        platform = Platform(
            settings=settings,
            ledger=self.ledger,
            queues=queues,
            catalogue=Catalogue(FolderSource(self.published), settings.cache_path, check, 0.0),
            read_object=lambda uri: uri,
            archive=self.archive,
        )
        worker = asyncio.create_task(self._work(platform)) if self.works else None
        try:
            yield platform
        finally:
            if worker is not None:
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)
                await platform.router.stop()

    # --- the triggerer, the dispatcher, the workers and the capabilities, in one ----------------------------------

    async def _work(self, platform: Platform) -> None:
        platform.router.start(wait=0.02)
        names = platform.settings.names
        commands = await platform.queues.find(names.command_queue)
        requests = await platform.queues.find(names.fallback_queue)
        replies = await platform.queues.find(names.reply_queue)
        assert commands is not None
        assert requests is not None
        assert replies is not None
        async with asyncio.TaskGroup() as runs:
            while True:
                await commands.delete(await platform.router.intake.handle(await commands.receive(0)))
                for start in await platform.ledger.mailboxes.starts():
                    await platform.ledger.instances.dispatched(start.instance, start.instance)
                    await platform.ledger.mailboxes.remove_start(start.instance)
                    runs.create_task(self._run(platform, start))
                for message in await requests.receive(0):
                    request = json.loads(message.body)
                    self.sent.append(request)
                    if answer := self.answers.get(request["body"]["capability_id"]):
                        await replies.send(reply_to(request, *answer))
                await asyncio.sleep(0.005)

    async def _run(self, platform: Platform, start: PendingStart) -> None:
        instance = await platform.ledger.instances.find(start.instance)
        assert instance is not None
        definition = platform.catalogue.by_digest(instance.definition_digest, start.workflow_id)
        plan = plan_tasks(build_graph(definition))
        done: set[str] = set()
        while True:
            view = await platform.ledger.instances.view(start.instance)
            assert view is not None
            heads = [head for head in live_regions(plan, view) if head not in done]
            if not heads:
                return
            done.update(heads)
            tasks = [
                RegionTask(
                    workflow_id=start.workflow_id,
                    region=head,
                    run_id=start.instance,
                    task_instance=f"{next(self._numbers):08d}",
                    definition_digest=definition.digest,
                    structure_digest=plan.structure_digest,
                    conf={"_cch_instance": start.instance},
                )
                for head in heads
            ]
            await asyncio.gather(*(execute_region(task, platform) for task in tasks))

    # --- for tests ------------------------------------------------------------------------------------------------

    def do(self, work: Callable[[Platform], Awaitable[Any]]) -> Any:
        """Run something on the platform."""

        async def inside() -> Any:
            async with self.open() as platform:
                return await work(platform)

        return asyncio.run(inside())

    def start(
        self,
        instance: str,
        *,
        workflow: str = "enrich_v1",
        until: str = "ended",
        correlation_id: str = "",
        **context: Any,
    ) -> None:
        """Let an instance of ``enrich_v1`` run until it has ended, waits, or its start was rejected."""

        async def work(platform: Platform) -> None:
            queue = await platform.queues.find(platform.settings.names.command_queue)
            assert queue is not None
            await queue.send(
                start_command(
                    instance=instance,
                    command_id=str(uuid.uuid4()),
                    definition_uri=f"{workflow}.yaml",
                    context={"shipmentId": "S-1", **context},
                    correlation_id=correlation_id or instance,
                    now=now_ms(),
                )
            )
            for _ in range(1000):
                found = await platform.ledger.instances.find(instance)
                asked = await platform.ledger.requests.of_box(Box(instance))
                if until == "rejected" and await platform.ledger.messages.unmatched("rejected"):
                    return
                if (found and found.ended) or (until == "waiting" and asked and asked[0].sent_at):
                    return
                await asyncio.sleep(0.005)
            raise AssertionError(f"{instance} is not {until}")

        self.do(work)


def reply_to(request: dict[str, Any], status: str, payload: dict[str, Any]) -> str:
    """A capability's answer in the common envelope."""
    header = request["header"]
    command = {
        "type": "ASYNC_RESP",
        "id": str(uuid.uuid4()),
        "source": f"Capability:{request['body']['capability_id']}",
        "timestamp": iso(now_ms()),
        "status": status,
        "payload": payload,
        "inReplyTo": header["commandId"],
    }
    return json.dumps({"workflowInstanceId": header["workflowInstanceId"], "command": command})
