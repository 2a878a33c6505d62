"""Airflow's own app with the plugin, on a platform in memory."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from uuid6 import uuid7

from cch.definition.catalogue import Catalogue
from cch.definition.source import FolderSource
from cch.errors import ServiceUnavailableError
from cch.graph.checks import check
from cch.ledger.ledger import Ledger
from cch.runtime.execution import execute_region
from cch.runtime.platform import Platform, use_opener
from cch.runtime.region_task import RegionTask
from cch.runtime.run_conf import CONF_DIGEST, CONF_INSTANCE
from cch.settings import Settings
from cch.testing.memory_queue import MemoryQueue, MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore
from tests.airflow_home import HOME, USERS
from tests.api import definitions as texts

API = "/cch/api/v1"


class BreakableStore(MemoryStore):
    """A table that can be away."""

    away = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("get", "get_many", "put", "update", "delete", "query", "listed", "counted") and type(self).away:
            return self._away
        return super().__getattribute__(name)

    async def _away(self, *args: Any, **kwargs: Any) -> Any:
        raise ServiceUnavailableError("the table: nothing answers")


@pytest.fixture(scope="session")
def airflow_app() -> Any:
    """Airflow's API server with our plugin, on a migrated database that knows the DAGs."""
    from airflow.utils.db import initdb

    initdb()
    from airflow.api_fastapi.app import create_app

    _register_dags()
    return create_app(apps="core")


def _register_dags() -> None:
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    from cch.compiler.dag import compile_workflow

    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
    for text in texts.GOOD:
        definition, problems = check(text, "d.yaml")
        assert definition is not None, problems
        dag = LazyDeserializedDAG.from_dag(_placed(compile_workflow(definition)))
        with create_session() as session:
            SerializedDAG.bulk_write_to_db("tests", None, [dag], session=session)
        with create_session() as session:
            SerializedDagModel.write_dag(dag, bundle_name="tests", session=session)


def _placed(dag: Any) -> Any:
    dag.fileloc = str(HOME / "dags.py")
    Path(dag.fileloc).write_text("# nobody reads it\n")
    dag.relative_fileloc = "dags.py"
    return dag


@pytest.fixture
def tokens(airflow_app: Any) -> dict[str, str]:
    """User → Bearer token."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return {
        name: get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        for name, role in USERS.items()
    }


@dataclass
class Office:
    """The API and what stands behind it."""

    platform: Platform
    client: httpx.AsyncClient
    tokens: dict[str, str]
    store: BreakableStore
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def call(self, method: str, path: str, user: str = "ada", **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[user]}", **given.pop("headers", {})}
        return await self.client.request(method, f"{API}{path}", headers=headers, **given)

    async def get(self, path: str, user: str = "ada", **query: Any) -> httpx.Response:
        return await self.call("GET", path, user, **({"params": query} if query else {}))

    async def post(self, path: str, body: Any = None, user: str = "ada") -> httpx.Response:
        return await self.call("POST", path, user, json={} if body is None else body)

    async def fallback_queue(self) -> MemoryQueue:
        queue = await self.platform.queues.find(self.platform.settings.names.fallback_queue)
        assert isinstance(queue, MemoryQueue)
        return queue

    async def start(self, workflow_id: str = "open_ask", user: str = "ada", **body: Any) -> str:
        """A new instance, its id."""
        context = body.pop("context", {"bl": "MEDU1"})
        answer = await self.post("/instances", {"workflow_id": workflow_id, "context": context, **body}, user)
        assert answer.status_code in (200, 201), answer.text
        identifier: str = answer.json()["id"]
        return identifier

    def execute(self, instance: str, workflow_id: str, region: str, task_instance: str = "") -> asyncio.Task[Any]:
        """Run one region in the background, as Airflow would."""
        from cch.graph.build import build_graph
        from cch.graph.plan import plan_tasks

        definition = self.platform.catalogue.current(workflow_id)
        task = RegionTask(
            workflow_id=workflow_id,
            region=region,
            run_id=instance,
            task_instance=task_instance or str(uuid7()),
            definition_digest=definition.digest,
            structure_digest=plan_tasks(build_graph(definition)).structure_digest,
            conf={CONF_INSTANCE: instance, CONF_DIGEST: definition.digest},
        )
        running = asyncio.ensure_future(execute_region(task, self.platform))
        self._tasks.append(running)
        return running

    async def until(self, look: Callable[[], Any]) -> Any:
        """The first true value that ``look`` returns."""
        for _ in range(500):
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)
        pytest.fail("it never happened")

    async def waiting(self, instance: str) -> dict[str, Any]:
        """The instance, once it waits for something."""

        async def look() -> Any:
            found = (await self.call("GET", f"/instances/{instance}", headers={"X-Try": "1"})).json()
            return found if found["waits"] else None

        found: dict[str, Any] = await self.until(look)
        return found

    async def wait_of(self, instance: str, kind: str) -> Any:
        """The instance's open wait of this kind, if there is one."""
        waits = (await self.get(f"/instances/{instance}")).json()["waits"]
        return next((wait for wait in waits if wait["kind"] == kind), None)

    async def _reply(self, instance: str, payload: dict[str, Any], source: str, **command: Any) -> None:
        body = {
            "workflowInstanceId": instance,
            "command": {
                "type": "ASYNC_RESP", "id": str(uuid.uuid4()), "source": f"Capability:{source}",
                "timestamp": "2026-01-05T08:00:00Z", "status": "SUCCESS", "payload": payload, **command,
            },
        }  # fmt: skip
        queue = await self.platform.queues.find(self.platform.settings.names.reply_queue)
        assert queue is not None
        await queue.send(json.dumps(body))

    async def reply(self, instance: str, command_id: str, payload: dict[str, Any]) -> None:
        """What a capability answers."""
        await self._reply(instance, payload, "authority#ask", inReplyTo=command_id)

    async def orphan(self, *, instance: str, source: str = "authority#ask") -> str:
        """A reply that echoes a request which nobody sent; its id."""
        await self._reply(instance, {"found": "in the mail"}, source, inReplyTo="nobody-sent-this")

        async def look() -> Any:
            return (await self.get("/messages")).json()["items"]

        identifier: str = (await self.until(look))[0]["id"]
        return identifier

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.platform.router.stop()


@pytest.fixture
def broken_aws() -> Iterator[Callable[[bool], None]]:
    """Switches the table off and on."""

    def switch(away: bool) -> None:
        BreakableStore.away = away

    yield switch
    BreakableStore.away = False


@pytest.fixture
async def office(
    airflow_app: Any, tokens: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    """Airflow's app; the definitions of :mod:`tests.api.definitions`; queues and a table in memory."""
    from cch.api import backend, conditional

    monkeypatch.setattr(conditional, "_SHARED", 0.0)
    monkeypatch.setattr(backend, "_OUTAGE", 0.0)
    monkeypatch.setattr(
        conditional.Shared.__init__, "__defaults__", (0.0, *conditional.Shared.__init__.__defaults__[1:])
    )
    settings = Settings(cache_folder=str(tmp_path / "cache"), mailbox_seconds=0.01)
    names = settings.names
    folder = tmp_path / "definitions"
    folder.mkdir()
    for file, text in texts.FILES.items():
        (folder / file).write_text(text)
    store = BreakableStore()
    platform = Platform(
        settings=settings,
        ledger=Ledger(store, MemoryBlobs()),
        queues=MemoryQueues(names.command_queue, names.reply_queue, names.fallback_queue),
        catalogue=Catalogue(FolderSource(folder), settings.cache_path, check, 0.0),
        read_object=lambda uri: uri,
    )

    @asynccontextmanager
    async def opener() -> AsyncIterator[Platform]:
        yield platform

    before = use_opener(opener)
    platform.router.start(0.05)
    transport = httpx.ASGITransport(app=airflow_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow.test") as client:
        opened = Office(platform=platform, client=client, tokens=tokens, store=store)
        try:
            yield opened
        finally:
            BreakableStore.away = False
            await opened.close()
            await backend.close_backend()
            use_opener(before)
