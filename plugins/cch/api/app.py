"""The FastAPI application that the plugin mounts under ``/cch``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cch import __version__
from cch.api import (
    actions,
    batches,
    contracts,
    health,
    holds,
    incidents,
    instances,
    mending,
    messages,
    moving,
    problems,
    statistics,
    tasks,
    versions,
    watching,
    workflows,
)
from cch.api.access import PAGE_HEADER, refuse_other_sites
from cch.api.backend import SeenAtOnce, close_backend
from cch.api.dashboard import Dashboard
from cch.api.models import Problem
from cch.api.open_access import open_app
from cch.api.problems import ApiError
from cch.envelope import MAX_BODY
from cch.errors import SettingsError
from cch.settings import load_settings

log = logging.getLogger(__name__)

#: Where the routes are, below the plugin's prefix.
PREFIX = "/api/v1"
#: Largest body of a request, in bytes: what a message may have.
MOST_BYTES = MAX_BODY

_DESCRIPTION = f"""Instances of workflows: looking at them, and doing something about them.

**Who you are.** Airflow's own login: the cookie of its UI, or `Authorization: Bearer` with a token of
`POST /auth/token`.
**What you may do** is what you may do with the workflow's DAG: read it, create its runs, edit its runs.

**Requests that change something** need the header `{PAGE_HEADER}: 1` unless they carry a Bearer token, so that no other
site can act with your cookie. All of them may be repeated.

**Errors** are `application/problem+json` with a stable `code`. **Lists** are paged by `cursor`. **Polling**: send the
`ETag` of the last answer as `If-None-Match`; 304 means that nothing has changed. **Being told**: `/watch` says which of
several routes have another answer. While DynamoDB does not answer, lists
and details are made from Airflow's database (`degraded`).
"""


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Refuses bodies that are larger than any message may be, also such as do not say their length."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._most:
            await self._refuse(scope, receive, send)
            return
        read, too_large = 0, False

        async def limited() -> Message:
            nonlocal read, too_large
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                too_large = True
                raise _TooLargeError
            return message

        async def unless_refused(message: Message) -> None:
            if not too_large:
                await send(message)

        try:
            await self._app(scope, limited, unless_refused)
        except _TooLargeError:
            pass  # FastAPI, or we: somebody must answer it
        if too_large:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = ApiError(413, "too_large", f"The body is larger than {self._most} bytes.")
        await problems.answer(error)(scope, receive, send)


def _announced(scope: Scope) -> int:
    """The length that the request says its body has; 0 if it does not say."""
    value = dict(scope["headers"]).get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await close_backend()


def create_app() -> FastAPI:
    """The application; it opens nothing before the first request."""
    app = FastAPI(
        title="CCH",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(SeenAtOnce)
    about = (workflows, versions, contracts, statistics, incidents, instances, tasks, messages, health, watching)
    for module in (*about, actions, moving, mending, batches, holds):
        app.include_router(module.router, prefix=PREFIX, dependencies=[Depends(refuse_other_sites)])

    @app.get("/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        # Relative, so that it works below whatever base URL Airflow has.
        return get_swagger_ui_html(openapi_url="openapi.json", title="CCH API")

    app.mount("/ui", Dashboard(), name="dashboard")
    _mount_open_access(app)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _describe_errors(plain())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _mount_open_access(app: FastAPI) -> None:
    try:
        settings = load_settings()
    except SettingsError as error:  # everything else says it, too
        log.warning("open access is not served: %s", error)
        return
    if settings.open_api_user:
        app.mount("/open", open_app(settings), name="open access")


def _describe_errors(document: dict[str, Any]) -> None:
    """Errors are problems, not what FastAPI writes there by itself."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    described = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas.update(described.pop("$defs", {}))
    schemas["Problem"] = described
