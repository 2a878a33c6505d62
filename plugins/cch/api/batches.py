"""Batches: one action for all instances that a search finds, carried out by the server."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response

from cch.api import airflow_runs, paging
from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.batch_models import (
    MOST_ARGUMENTS,
    BatchBody,
    BatchExample,
    BatchId,
    BatchPage,
    BatchPreview,
    BatchPreviewBody,
    BatchResultPage,
    BatchResultView,
    BatchView,
    BatchWish,
    MoveAction,
)
from cch.api.batch_selection import Selection, select, wanted_by
from cch.api.conditional import conditional
from cch.api.instances import Cursor
from cch.api.mapping import at, moment
from cch.api.models import FieldProblem
from cch.api.moving import target_version
from cch.api.problems import ApiError, not_found, responses
from cch.errors import CchError, DefinitionNotFoundError
from cch.ledger.batches import RESULT_KINDS, Batch, BatchResult, BatchState, ResultKind
from cch.ledger.payloads import dump
from cch.ledger.records import Instance
from cch.runtime.batch_actions import BatchAction
from cch.runtime.platform import Platform

router = APIRouter(tags=["batches"])

BatchIdPath = Annotated[BatchId, Path(description="Batch id.")]
#: Batches and results that one page looks at, at the most.
_MOST_EXAMINED = 2_000
#: Instances that are looked at at the same time.
_AT_ONCE = 10
#: Definitions in which a node is looked for.
_MOST_VERSIONS = 50
_PLACE = re.compile(r"at#\d{13}#[A-Za-z0-9_-]{1,64}")
#: From which states a batch comes into another one.
_STEPS: Mapping[BatchState, tuple[BatchState, ...]] = {
    "paused": ("running",), "running": ("paused",), "stopped": ("running", "paused"),
}  # fmt: skip


def _view(batch: Batch, *, can_edit: bool) -> BatchView:
    return BatchView(
        id=batch.id,
        state=batch.state,
        action=dict(batch.action),
        search=dict(batch.search["asked"]),
        by=batch.by,
        reason=batch.reason,
        rate=batch.rate,
        created=at(batch.created),
        ended=moment(batch.ended),
        total=batch.total,
        not_allowed=batch.not_allowed,
        left=batch.left,
        workflows=list(batch.workflows),
        can_edit=can_edit,
        **{kind: batch.counts.get(kind, 0) for kind in RESULT_KINDS},
    )


# --- what is wanted ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prepared:
    selection: Selection
    action: Mapping[str, Any]


async def _prepared(backend: Backend, access: Access, wish: BatchWish) -> _Prepared:
    """Whom the batch is for, and what it does.

    :raises ApiError: 404 or 422, something is wrong with the wish.
    """
    platform = await backend.platform()
    workflow_id = wish.search.workflow_id
    if workflow_id and not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    wanted = await wanted_by(backend, wish.search)
    action = wish.action.model_dump(exclude_defaults=True) | {"kind": wish.action.kind}
    if len(dump(action)) > MOST_ARGUMENTS:
        raise ApiError(422, "too_large", f"The action has more than {MOST_ARGUMENTS:,} characters of JSON.")
    if isinstance(wish.action, MoveAction):
        if not workflow_id:
            field = FieldProblem(location="body.search.workflow_id", message="each workflow has versions of its own")
            raise ApiError(422, "workflow_needed", "A batch that moves instances is for one workflow.", [field])
        target = await target_version(platform, workflow_id, wish.action.version, "body.action")
        action["digest"] = target.digest
    selection = await select(platform, access, wish.search, wanted)
    if not selection.ids and workflow_id:
        await _need_workflow(platform, workflow_id)
    await _check_names(platform, selection, action)
    return _Prepared(selection, action)


async def _need_workflow(platform: Platform, workflow_id: str) -> None:
    try:
        await asyncio.to_thread(platform.catalogue.current, workflow_id)
    except DefinitionNotFoundError:
        raise not_found("workflow", workflow_id) from None
    except CchError:
        pass  # it is there, with errors


async def _check_names(platform: Platform, selection: Selection, action: Mapping[str, Any]) -> None:
    """:raises ApiError: 422, no version that the instances run has the node, or the way, that the action names."""
    named = [action["node"]] if action.get("node") else action.get("nodes", [])
    keys = list(selection.versions)[:_MOST_VERSIONS]
    if not named or len(keys) < len(selection.versions) or not keys:
        return
    nodes: set[str] = set()
    ways: set[str] = set()
    for key in keys:
        try:
            graph = (await platform.plans.get(key)).graph
        except CchError:
            return  # each instance says so itself
        nodes |= set(graph.nodes)
        ways |= {way.label for node in named if node in graph.nodes for way in graph.outgoing(node)}
    for node in named:
        if node not in nodes:
            known = ", ".join(sorted(nodes)[:20])
            field = FieldProblem(location="body.action.node", message=f"there are {known}")
            raise ApiError(422, "node_unknown", f"No instance that matches has a node {node!r}.", [field])
    if (edge := action.get("edge")) and edge not in ways:
        field = FieldProblem(location="body.action.edge", message=f"there are {', '.join(sorted(ways)) or 'none'}")
        raise ApiError(422, "edge_unknown", f"{named[0]!r} has no way {edge!r}.", [field])


@router.post("/batches/preview", response_model=BatchPreview, responses=responses(404, 409, 413, 503))
async def preview_batch(
    body: Annotated[BatchPreviewBody, Body()], access: AccessDep, backend: BackendDep
) -> BatchPreview:
    """How many instances a batch would be for, and what it would do to the first few. Changes nothing."""
    found = await _prepared(backend, access, body)
    action = BatchAction.of(await backend.platform(), found.action, access.name, body.reason)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def example(instance: Instance) -> BatchExample:
        async with slots:
            seen = await action.preview(instance)
        return BatchExample(
            id=instance.id, workflow_id=instance.workflow_id, correlation_id=instance.correlation_id,
            possible=not seen.refused, refused=seen.refused, before=list(seen.before), after=list(seen.after),
        )  # fmt: skip

    return BatchPreview(
        count=len(found.selection.ids),
        not_allowed=found.selection.not_allowed,
        workflows=dict(found.selection.workflows),
        statuses=dict(found.selection.statuses),
        examples=await asyncio.gather(*map(example, found.selection.examples[: body.examples])),
    )


@router.post(
    "/batches",
    response_model=BatchView,
    status_code=201,
    responses={200: {"model": BatchView, "description": "It exists."}, **responses(404, 409, 413, 503)},
)
async def start_batch(
    body: Annotated[BatchBody, Body()], response: Response, access: AccessDep, backend: BackendDep
) -> BatchView:
    """Begin a batch: 201; with the id of one that you have begun: 200, that batch, and nothing changes.

    Its instances are those that match now. The server does them one after the other, also when nobody looks, and
    another server goes on if it dies. 409 `count_changed`: not as many match as were `expected`.
    """
    platform = await backend.platform()
    batch_id = body.id or str(uuid.uuid4())
    known = await platform.ledger.batches.get(batch_id)
    if known is None:
        known = await _start(backend, access, body, batch_id)
    else:
        response.status_code = 200
    if known.by != access.name:
        raise ApiError(409, "batch_id_taken", f"Batch {batch_id} exists already.")
    return _view(known, can_edit=True)


async def _start(backend: Backend, access: Access, body: BatchBody, batch_id: str) -> Batch:
    found = await _prepared(backend, access, body)
    count = len(found.selection.ids)
    if count != body.expected:
        raise ApiError(409, "count_changed", f"{count} instances match now, not {body.expected}: look again.")
    return await begin_batch(backend, access, body, found.selection, found.action, batch_id=batch_id)


async def begin_batch(
    backend: Backend, access: Access, body: BatchBody, selection: Selection, action: Mapping[str, Any], *, batch_id: str
) -> Batch:
    """Let the server do ``action`` to the instances that were selected."""
    platform = await backend.platform()
    batch = Batch(
        id=batch_id, state="running", action=action, by=access.name, created=platform.clock(),
        total=len(selection.ids), rate=body.rate, reason=body.reason,
        search={
            "asked": body.search.model_dump(mode="json", exclude_defaults=True), "wanted": selection.wanted.to_json(),
        },
        workflows=tuple(sorted(selection.workflows)), not_allowed=selection.not_allowed,
    )  # fmt: skip
    made, new = await platform.ledger.batches.create(batch, selection.ids)
    if new:
        facts = {"batch": batch_id, "action": action["kind"], "instances": batch.total, "reason": body.reason}
        await asyncio.to_thread(airflow_runs.audit, access.name, "cch_batch_start", facts=facts)
        backend.call_batches()
    return made


# --- looking ----------------------------------------------------------------------------------------------------------


async def _may_see(access: Access, batch: Batch) -> bool:
    """Whoever began it could see all of its workflows then; others must be able to see them now."""
    return set(batch.workflows) <= await access.readable()


async def _may_edit(access: Access, batch: Batch) -> bool:
    for workflow_id in batch.workflows:
        if not await access.may_edit(workflow_id):
            return False
    return True


async def _visible(platform: Platform, access: Access, batch_id: str) -> Batch:
    """:raises ApiError: 404."""
    batch = await platform.ledger.batches.get(batch_id)
    if batch is None or not await _may_see(access, batch):
        raise not_found("batch", batch_id)
    return batch


@router.get("/batches", response_model=BatchPage, responses=responses(503))
async def list_batches(
    request: Request,
    access: AccessDep,
    backend: BackendDep,
    *,
    limit: Annotated[int, Query(ge=1, le=200)] = 25,
    cursor: Cursor = None,
) -> Response:
    """Batches of workflows that you may all see, the newest first. They are kept for 30 days."""
    place = paging.decode(cursor) or ""
    if not isinstance(place, str) or (place and not _PLACE.fullmatch(place)):
        raise paging.bad_cursor()
    shown: list[BatchView] = []
    async with backend.reading() as platform:
        for _ in range(_MOST_EXAMINED // limit):
            found, place = await platform.ledger.batches.latest(limit - len(shown), place)
            seen = [batch for batch in found if await _may_see(access, batch)]
            shown += [_view(batch, can_edit=await _may_edit(access, batch)) for batch in seen]
            if not place or len(shown) >= limit:
                break
    return conditional(request, BatchPage(items=shown, next_cursor=paging.encode(place) if place else None))


@router.get("/batches/{batch_id}", response_model=BatchView, responses=responses(404, 503))
async def get_batch(request: Request, batch_id: BatchIdPath, access: AccessDep, backend: BackendDep) -> Response:
    """One batch, and how far it is. Supports `If-None-Match`."""
    async with backend.reading() as platform:
        batch = await _visible(platform, access, batch_id)
        return conditional(request, _view(batch, can_edit=await _may_edit(access, batch)))


@router.get("/batches/{batch_id}/results", response_model=BatchResultPage, responses=responses(404, 503))
async def list_batch_results(
    request: Request,
    batch_id: BatchIdPath,
    access: AccessDep,
    backend: BackendDep,
    *,
    result: Annotated[ResultKind | None, Query(description="Only these.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    """What has become of the instances of a batch, so far. A page may hold fewer than `limit` and still have a
    `next_cursor`.
    """
    after = paging.decode(cursor)
    if after is not None and not (isinstance(after, int) and 0 <= after < 10_000_000):
        raise paging.bad_cursor()
    last = -1 if after is None else after
    shown: list[BatchResultView] = []
    examined, more = 0, True
    async with backend.reading() as platform:
        await _visible(platform, access, batch_id)
        while more and len(shown) < limit and examined < _MOST_EXAMINED:
            found = await platform.ledger.batches.results(batch_id, last, limit)
            examined, more = examined + len(found), len(found) == limit
            fitting = [each for each in found if result in (None, each.result)]
            kept = fitting[: limit - len(shown)]
            shown += map(_result_view, kept)
            if len(kept) < len(fitting):
                last, more = kept[-1].number, True
            elif found:
                last = found[-1].number
    return conditional(request, BatchResultPage(items=shown, next_cursor=paging.encode(last) if more else None))


def _result_view(result: BatchResult) -> BatchResultView:
    return BatchResultView(
        instance_id=result.instance, workflow_id=result.workflow, correlation_id=result.correlation_id,
        result=result.result, reason=result.reason, at=at(result.at),
    )  # fmt: skip


# --- steering ---------------------------------------------------------------------------------------------------------


async def _steer(backend: Backend, access: Access, batch_id: str, state: BatchState) -> BatchView:
    """:raises ApiError: 403, 404, or 409, the batch has ended."""
    platform = await backend.platform()
    while True:
        batch = await _visible(platform, access, batch_id)
        if not await _may_edit(access, batch):
            raise ApiError(403, "not_allowed", "You may not edit runs of all workflows of this batch.")
        if batch.state == state:  # to repeat it changes nothing
            return _view(batch, can_edit=True)
        if batch.state not in _STEPS[state]:
            raise ApiError(409, "batch_ended", f"The batch is {batch.state}: it cannot be {state} any more.")
        steered = await platform.ledger.batches.steer(batch, state, platform.clock())
        if steered is not None:
            break
    facts = {"batch": batch_id}
    await asyncio.to_thread(airflow_runs.audit, access.name, f"cch_batch_{state}", facts=facts)
    backend.call_batches()
    return _view(steered, can_edit=True)


@router.post("/batches/{batch_id}/pause", response_model=BatchView, responses=responses(404, 409, 503))
async def pause_batch(batch_id: BatchIdPath, access: AccessDep, backend: BackendDep) -> BatchView:
    """Begin no other instance of the batch until it is resumed. What is being done is finished."""
    return await _steer(backend, access, batch_id, "paused")


@router.post("/batches/{batch_id}/resume", response_model=BatchView, responses=responses(404, 409, 503))
async def resume_batch(batch_id: BatchIdPath, access: AccessDep, backend: BackendDep) -> BatchView:
    """Go on with a paused batch."""
    return await _steer(backend, access, batch_id, "running")


@router.post("/batches/{batch_id}/stop", response_model=BatchView, responses=responses(404, 409, 503))
async def stop_batch(batch_id: BatchIdPath, access: AccessDep, backend: BackendDep) -> BatchView:
    """End a batch: what it has not begun stays undone. It cannot be resumed."""
    return await _steer(backend, access, batch_id, "stopped")
