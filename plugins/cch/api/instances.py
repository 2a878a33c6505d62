"""Looking at instances."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BeforeValidator

from cch.api import paging
from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.conditional import conditional
from cch.api.details import DetailReader
from cch.api.fallback import degraded_detail, degraded_page
from cch.api.items import ItemReader
from cch.api.mapping import MOST_WAITS, summary, wait
from cch.api.models import (
    GraphView,
    InstanceDetail,
    InstanceId,
    InstancePage,
    InstanceState,
    InstanceSummary,
    MapItemDetail,
    MapItemPage,
    RequestDetail,
    WorkflowId,
)
from cch.api.problems import ApiError, not_found, responses
from cch.api.resending import sent_body
from cch.api.searching import Search, wanted_of
from cch.api.versions import Numbers, digest_named
from cch.api.workflows import graph_view
from cch.errors import CchError, ServiceUnavailableError
from cch.ledger.instances import KEY_HEAD
from cch.ledger.records import ENDED, Instance, instance_id_of_run
from cch.runtime.platform import Platform

router = APIRouter(tags=["instances"])

#: Rows whose waits are looked up at the same time.
_AT_ONCE = 50


def _iso(value: object) -> object:
    """Numbers are no dates here, whatever pydantic makes of them."""
    if isinstance(value, str) and "-" not in value[4:]:
        raise ValueError("write ISO 8601, for example 2026-01-05T08:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_iso)]
Cursor = Annotated[str | None, Query(max_length=paging.LONGEST, description="`next_cursor` of the page before.")]
InstanceIdPath = Annotated[InstanceId, Path(description="Instance id.")]


class Titles:
    """Names of workflows for people; kept by the catalogue, which reads them from its cache."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._names: dict[str, str] = {}

    async def of(self, workflow_id: str) -> str:
        if workflow_id not in self._names:
            try:
                definition = await asyncio.to_thread(self._platform.catalogue.current, workflow_id)
                self._names[workflow_id] = definition.workflow_name
            except CchError:
                self._names[workflow_id] = workflow_id
        return self._names[workflow_id]


async def summaries(platform: Platform, instances: Sequence[Instance]) -> list[InstanceSummary]:
    """Rows with what each instance waits for; one look a live instance."""
    titles, slots = Titles(platform), asyncio.Semaphore(_AT_ONCE)
    numbers = Numbers(platform)
    for workflow_id in dict.fromkeys(instance.workflow_id for instance in instances):
        await titles.of(workflow_id)
        await numbers.learn(workflow_id)

    async def one(instance: Instance) -> InstanceSummary:
        if instance.status in ENDED or instance.status == "pending":
            return summary(instance, await titles.of(instance.workflow_id), (), numbers.of(instance))
        async with slots:
            waits = await platform.ledger.waiting.of_instance(instance.id, MOST_WAITS)
        shown = [wait(each) for each in waits]
        return summary(instance, await titles.of(instance.workflow_id), shown, numbers.of(instance))

    return list(await asyncio.gather(*(one(instance) for instance in instances)))


async def visible(platform: Platform, access: Access, instance_id: str) -> Instance:
    """The instance, without its context.

    :raises ApiError: 404, there is none, or the user may not read its workflow; 410, it has expired.
    """
    found = await platform.ledger.instances.many([instance_id])
    if not found or not await access.may_read(found[0].workflow_id):
        raise not_found("instance", instance_id)
    if found[0].gone:
        raise ApiError(410, "expired", f"Instance {instance_id} has expired: what it did is no longer kept.")
    return found[0]


async def _page(backend: Backend, readable: frozenset[str], search: Search) -> InstancePage:
    position = paging.decode(search.cursor)
    if position is not None and not isinstance(position, dict):
        raise paging.bad_cursor()
    async with backend.reading() as platform:
        try:
            page = await platform.ledger.listing.page(
                search.wanted, search.limit, position, keep=lambda instance: instance.workflow_id in readable
            )
        except (ValueError, TypeError):
            raise paging.bad_cursor() from None
        rows = await summaries(platform, page.instances)
    # Whether a running instance waits is known only now; such pages may be shorter than asked for.
    kept = [row for row in rows if not search.states or row.state in search.states]
    return InstancePage(items=kept, next_cursor=paging.encode(page.position) if page.position else None)


@router.get("/instances", response_model=InstancePage, responses=responses())
async def list_instances(
    request: Request,
    access: AccessDep,
    backend: BackendDep,
    *,
    workflow_id: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[list[InstanceState] | None, Query(max_length=6, description="May be repeated.")] = None,
    correlation_id: Annotated[str, Query(max_length=200, description="Exactly this business key.")] = "",
    correlation_prefix: Annotated[
        str, Query(max_length=200, description=f"Business keys that begin so; at least {KEY_HEAD} characters.")
    ] = "",
    version: Annotated[
        str, Query(max_length=200, description="Of `workflow_id`: a number, @label, or the beginning of a digest.")
    ] = "",
    waiting_for: Annotated[
        str, Query(max_length=200, description="Id of the capability that is waited for; `event`: any event.")
    ] = "",
    incident: Annotated[str, Query(max_length=40, description="Failed instances of this group of `/incidents`.")] = "",
    failed_node: Annotated[str, Query(max_length=200, description="Instances that failed there.")] = "",
    error_code: Annotated[str, Query(max_length=200, description="Instances that failed with this code.")] = "",
    started_after: Annotated[Moment | None, Query(description="Started then or later.")] = None,
    started_before: Annotated[Moment | None, Query(description="Started then or earlier.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 25,
    cursor: Cursor = None,
) -> Response:
    """Instances that you may see: newest first, by key with `correlation_prefix`, longest wait first with
    `waiting_for`, latest failure first with `incident`.

    A page may hold fewer than `limit` and still have a `next_cursor`. Supports `If-None-Match`. While the ledger
    does not answer the page is made from Airflow's runs (`degraded`).
    """
    readable = await access.readable()
    states = frozenset(state or ())
    wanted = wanted_of(
        workflow_id=workflow_id,
        states=sorted(states),
        correlation_id=correlation_id,
        correlation_prefix=correlation_prefix,
        waiting_for=waiting_for,
        started_after=started_after,
        started_before=started_before,
        digest=await digest_named(backend, workflow_id, version),
        incident=incident,
        failed_node=failed_node,
        error_code=error_code,
    )
    search = Search(wanted=wanted, states=states, limit=limit, cursor=cursor)
    try:
        page = await backend.shared.get((readable, search), lambda: _page(backend, readable, search))
    except ServiceUnavailableError as away:
        page = await degraded_page(str(away), readable, search)
    return conditional(request, page)


@router.get("/instances/{instance_id}", response_model=InstanceDetail, responses=responses(404, 410))
async def get_instance(
    request: Request, instance_id: InstanceIdPath, access: AccessDep, backend: BackendDep
) -> Response:
    """One instance: nodes, visits, waits, requests and replies, events, errors, context.

    Supports `If-None-Match`. While the ledger does not answer: what Airflow knows of its run (`degraded`).
    """

    async def look() -> InstanceDetail:
        async with backend.reading() as platform:
            instance = await visible(platform, access, instance_id)
            return await DetailReader(platform, await backend.inspector(), access).read(instance)

    try:
        detail = await backend.shared.get(("instance", instance_id, access.name), look)
    except ServiceUnavailableError as away:
        detail = await degraded_detail(str(away), instance_id, access)
    return conditional(request, detail)


@router.get("/instances/{instance_id}/graph", response_model=GraphView, responses=responses(404, 410, 503))
async def get_instance_graph(
    request: Request, instance_id: InstanceIdPath, access: AccessDep, backend: BackendDep
) -> Response:
    """The graph of the version that the instance runs, which need not be the published one.

    Supports `If-None-Match`; an instance's graph never changes. 404 also if that version is lost.
    """
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        plan = await (await backend.inspector()).plan(instance)
        if plan is None:
            raise not_found("definition", instance.definition_digest)
        return conditional(request, graph_view(plan.graph.definition))


@router.get("/workflows/{workflow_id}/runs/{run_id}", response_model=InstanceSummary, responses=responses(404, 503))
async def get_instance_of_run(
    request: Request,
    workflow_id: Annotated[WorkflowId, Path(description="Id of the workflow, which is that of its DAG.")],
    run_id: Annotated[str, Path(max_length=250, description="Run id, as Airflow knows it.")],
    access: AccessDep,
    backend: BackendDep,
) -> Response:
    """The instance of an Airflow run: most runs have its id, those that Airflow's UI or API started have not."""
    async with backend.reading() as platform:
        found = await platform.ledger.instances.many([run_id, instance_id_of_run(workflow_id, run_id)])
        own = [instance for instance in found if instance.workflow_id == workflow_id]
        if not own or not await access.may_read(workflow_id):
            raise not_found("run", run_id)
        return conditional(request, (await summaries(platform, own[:1]))[0])


@router.get(
    "/instances/{instance_id}/requests/{command_id}", response_model=RequestDetail, responses=responses(404, 410, 503)
)
async def get_request(
    request: Request,
    instance_id: InstanceIdPath,
    command_id: Annotated[str, Path(max_length=64)],
    access: AccessDep,
    backend: BackendDep,
) -> Response:
    """One request with the message that was sent; made again from the ledger and checked against its digest."""
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        record = await platform.ledger.requests.get(command_id)
        if record is None or record.instance != instance.id:
            raise not_found("request", command_id)
        return conditional(request, await sent_body(platform, await backend.inspector(), record))


@router.get("/instances/{instance_id}/items", response_model=MapItemPage, responses=responses(404, 410, 503))
async def list_map_items(
    request: Request,
    instance_id: InstanceIdPath,
    node: Annotated[str, Query(max_length=300, description="The map.")],
    access: AccessDep,
    backend: BackendDep,
    *,
    visit: Annotated[int | None, Query(ge=1, le=1_000_000, description="Default: the latest.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    first: Annotated[int, Query(ge=0, le=9_999_999, description="Index to begin at, without a `cursor`.")] = 0,
    cursor: Cursor = None,
) -> Response:
    """The items of a map in the order of its list, page by page."""
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        items = ItemReader(platform, await backend.inspector(), instance)
        return conditional(request, await items.page(node, visit, limit, cursor, first))


@router.get(
    "/instances/{instance_id}/items/{index}",
    response_model=MapItemDetail,
    responses=responses(404, 410, 503),
)
async def get_map_item(
    request: Request,
    instance_id: InstanceIdPath,
    node: Annotated[str, Query(max_length=300, description="The map.")],
    index: Annotated[int, Path(ge=0, le=9_999_999)],
    access: AccessDep,
    *,
    backend: BackendDep,
    visit: Annotated[int | None, Query(ge=1, le=1_000_000, description="Of the map. Default: the latest.")] = None,
) -> Response:
    """One item of a map with all it did."""
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        items = ItemReader(platform, await backend.inspector(), instance)
        return conditional(request, await items.detail(node, visit, index))
