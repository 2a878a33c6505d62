"""The paths of the dashboard project that this one replaces, without a login: only where a setting asks for them.

Whoever asks acts as one Airflow user, whom the setting names, with his permissions and under his name in the audit
log. No cookie is read, so no browser lends its login. A browser's page may ask only from an origin that is listed, and
only with JSON, which other origins cannot send without being listed.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi import Body as FromBody
from pydantic import AliasChoices, ConfigDict, Field
from starlette.middleware.cors import CORSMiddleware

from cch.api import problems
from cch.api.access import Access
from cch.api.actions import start_instance
from cch.api.backend import BackendDep, SeenAtOnce
from cch.api.details import DetailReader
from cch.api.instances import visible
from cch.api.models import (
    Body,
    GraphView,
    InstanceId,
    InstanceSummary,
    JsonObject,
    NodeView,
    StartBody,
    View,
    WorkflowId,
)
from cch.api.problems import ApiError
from cch.api.workflows import graph_view
from cch.settings import Settings


class OpenStart(Body):
    """What the first implementation's clients send; keys that it does not know are passed over."""

    model_config = ConfigDict(extra="ignore")

    workflow_id: WorkflowId = Field(validation_alias=AliasChoices("workflowId", "workflow_id"))
    instance_id: InstanceId | None = Field(
        default=None, validation_alias=AliasChoices("workflowInstanceId", "instanceId")
    )
    correlation_id: str = Field(default="", max_length=200, validation_alias="correlationId")
    context: JsonObject = Field(default={}, validation_alias=AliasChoices("context", "payload", "initialContext"))


class OpenTask(View):
    id: str
    name: str
    type: str
    status: str
    startedAt: str | None = None  # noqa: N815 - the clients' names
    reason: str = ""


class OpenGraph(View):
    nodes: list[dict[str, str]]
    edges: list[dict[str, str]]


class OpenWorkflow(View):
    """One instance."""

    id: str
    workflowInstanceId: str  # noqa: N815
    workflowId: str  # noqa: N815
    workflowName: str = ""  # noqa: N815
    correlationId: str = ""  # noqa: N815
    status: str
    startedAt: str | None = None  # noqa: N815
    endedAt: str | None = None  # noqa: N815
    reason: str = ""
    tasks: list[OpenTask] = Field(default=[])
    graph: OpenGraph | None = None


def open_user(name: str) -> Any:
    """The Airflow user of that name, as its auth manager knows users.

    :raises ApiError: 503, there is none, or the auth manager cannot tell.
    """
    manager = get_auth_manager()
    found: Any = None
    if hasattr(manager, "get_users"):  # Airflow's simple one
        found = next((user for user in manager.get_users() if user.username == name), None)
    elif type(manager).__name__ == "FabAuthManager":
        from airflow.providers.fab.auth_manager.models import User  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        with create_session() as session:
            key = session.scalar(select(User.id).where(User.username == name, User.active))
        found = None if key is None else manager.deserialize_user({"sub": str(key)})
    if found is None:
        raise ApiError(503, "no_open_user", f"CCH_OPEN_API_USER names {name!r}, and Airflow knows no such user.")
    return found


class _Origins:
    """Refuses what a page of an origin asks that is not listed, also what browsers send without asking first."""

    def __init__(self, app: Any, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(origin.encode() for origin in allowed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        origin = headers.get(b"origin")
        json = headers.get(b"content-type", b"").split(b";")[0].strip().lower() == b"application/json"
        if origin is not None and origin not in self._allowed:
            error = ApiError(403, "origin_not_listed", "CCH_OPEN_API_ORIGINS does not list this origin.")
        elif scope["type"] == "http" and scope["method"] == "POST" and not json:
            error = ApiError(415, "json_only", "Send application/json.")
        else:
            scope = {**scope, "headers": [pair for pair in scope.get("headers", ()) if pair[0] != b"cookie"]}
            await self._app(scope, receive, send)
            return
        await problems.answer(error)(scope, receive, send)


async def _access(request: Request) -> Access:
    return Access(await asyncio.to_thread(open_user, request.app.state.open_user))


OpenAccessDep = Annotated[Access, Depends(_access)]
router = APIRouter()


@router.post("/workflows", status_code=201)
async def start(
    body: Annotated[OpenStart, FromBody()], response: Response, access: OpenAccessDep, backend: BackendDep
) -> OpenWorkflow:
    """Start a workflow; 200 for the id of an instance that exists."""
    wish = StartBody(
        workflow_id=body.workflow_id,
        context=body.context,
        correlation_id=body.correlation_id,
        instance_id=body.instance_id,
    )
    made = await start_instance(wish, response, access, backend)
    del response.headers["Location"]  # it needs a login
    return _workflow(made)


@router.get("/workflows/{instance_id}")
async def look(instance_id: Annotated[InstanceId, Path()], access: OpenAccessDep, backend: BackendDep) -> OpenWorkflow:
    """One instance with its tasks and its graph."""
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        inspector = await backend.inspector()
        detail = await DetailReader(platform, inspector, access).read(instance)
        plan = await inspector.plan(instance)
    return _workflow(
        detail,
        endedAt=detail.ended.isoformat() if detail.ended else None,
        reason=detail.reason,
        tasks=[_task(node) for node in detail.nodes],
        graph=_graph(graph_view(plan.graph.definition)) if plan else None,
    )


def _workflow(instance: InstanceSummary, **more: Any) -> OpenWorkflow:
    """What is said of every instance, and ``more``."""
    return OpenWorkflow(
        id=instance.id,
        workflowInstanceId=instance.id,
        workflowId=instance.workflow_id,
        workflowName=instance.workflow_name,
        correlationId=instance.correlation_id,
        status=instance.state,
        startedAt=instance.started.isoformat(),
        **more,
    )


def _task(node: NodeView) -> OpenTask:
    since = node.since.isoformat() if node.since else None
    return OpenTask(
        id=node.name, name=node.title, type=node.type, status=node.state, reason=node.reason, startedAt=since
    )


def _graph(graph: GraphView) -> OpenGraph:
    return OpenGraph(
        nodes=[{"id": node.name, "label": node.title, "type": node.type} for node in graph.nodes],
        edges=[{"source": edge.source, "target": edge.target, "label": edge.label} for edge in graph.edges],
    )


def open_app(settings: Settings) -> FastAPI:
    """The application that is mounted where the setting asks for it."""
    app = FastAPI(title="CCH, open access", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.open_user = settings.open_api_user
    problems.install(app)
    app.add_middleware(SeenAtOnce)
    origins = [origin for origin in settings.open_api_origins if origin != "*"]
    app.add_middleware(
        CORSMiddleware, allow_origins=origins, allow_credentials=False, allow_methods=["GET", "POST"],
        allow_headers=["Content-Type"],
    )  # fmt: skip
    app.add_middleware(_Origins, allowed=tuple(origins))
    app.include_router(router)
    return app
