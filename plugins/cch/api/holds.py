"""Holds of whole workflows and capabilities."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import Field

from cch.api import airflow_runs
from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.batch_models import BatchBody, BatchSearch, HoldAction, Rate
from cch.api.batch_selection import select, wanted_by
from cch.api.batches import begin_batch
from cch.api.mapping import at, moment
from cch.api.models import Body as Model
from cch.api.models import Line, Reason, View
from cch.api.problems import ApiError, not_found, responses
from cch.ledger.holds import Hold, HoldKind, HoldTakenError
from cch.ledger.records import Instance
from cch.runtime.holding import RATE, all_held_for, held_for, let_go
from cch.runtime.platform import Platform

router = APIRouter(tags=["holds"])

#: Instances a second that are held when a hold is made: nothing is sent to anybody for it.
_HOLD_RATE = 100.0


class _What(Model):
    kind: HoldKind
    name: Annotated[Line, Field(min_length=1, description="Id of the workflow or the capability.")]
    reason: Reason = Field(default="", description="Kept with each instance and in the audit log.")


class MakeHoldBody(_What):
    """What is held from now on."""


class EndHoldBody(_What):
    """What is released."""

    rate: Rate = RATE


class HoldOfView(View):
    """A hold of a workflow or a capability."""

    kind: HoldKind
    name: str
    by: str
    since: datetime
    reason: str = ""
    released: datetime | None = Field(default=None, description="Null: it is in force. Else its instances are let go.")
    rate: float = Field(default=0.0, description="Instances a second that go on, once it is released.")
    batch: str = Field(default="", description="The batch that holds, or releases, its instances; empty: none.")
    held: int = Field(description="Instances of workflows that you may see which are held for it.")


class HoldList(View):
    items: list[HoldOfView]


async def _view(access: Access, hold: Hold, held: Sequence[Instance], batch: str = "") -> HoldOfView:
    """``held``: the instances that are held for it; only those that the user may see are counted."""
    readable = await access.readable()
    return HoldOfView(
        kind=hold.kind, name=hold.name, by=hold.by, since=at(hold.since), reason=hold.reason,
        released=moment(hold.released), rate=hold.rate, batch=batch or hold.batch,
        held=sum(instance.workflow_id in readable for instance in held),
    )  # fmt: skip


async def _concerned(platform: Platform, what: _What) -> list[str]:
    """The workflows whose instances it holds, as far as their definitions are served."""
    entries = (await asyncio.to_thread(platform.catalogue.snapshot)).entries
    if what.kind == "workflow":
        return [entry.workflow_id for entry in entries if entry.workflow_id == what.name]
    return [
        entry.workflow_id for entry in entries if entry.definition is not None and what.name in entry.definition.asked
    ]


async def _need_edit(platform: Platform, access: Access, what: _What) -> None:
    """:raises ApiError: 404, there is none that the user may see; 403, he may not edit runs of all its workflows."""
    concerned = await _concerned(platform, what)
    # Also of one that Airflow has not parsed yet, and so does not list.
    readable = [workflow_id for workflow_id in concerned if await access.may_read(workflow_id)]
    if not readable:
        raise not_found(what.kind, what.name)
    for workflow_id in concerned:
        if workflow_id not in readable:
            raise ApiError(403, "not_allowed", f"{what.name} is asked by workflows that you may not see.")
        await access.need_edit(workflow_id)


async def _audit(access: Access, event: str, what: _What, batch: str) -> None:
    facts = {"kind": what.kind, "name": what.name, "reason": what.reason, "batch": batch}
    await asyncio.to_thread(airflow_runs.audit, access.name, event, facts=facts)


@router.get("/holds", response_model=HoldList, responses=responses(503))
async def list_holds(access: AccessDep, backend: BackendDep) -> HoldList:
    """What is held as a whole, or still being released. Of workflows only those that you may see."""
    async with backend.reading() as platform:
        readable = await access.readable()
        holds = [each for each in await platform.ledger.holds.all() if each.kind != "workflow" or each.name in readable]
        held = await all_held_for(platform)
        return HoldList(items=[await _view(access, hold, held.get(hold.target, ())) for hold in holds])


@router.post(
    "/holds",
    response_model=HoldOfView,
    status_code=201,
    responses={200: {"model": HoldOfView, "description": "It is held already."}, **responses(404, 409, 413, 503)},
)
async def make_hold(
    body: Annotated[MakeHoldBody, Body()], response: Response, access: AccessDep, backend: BackendDep
) -> HoldOfView:
    """Hold a whole workflow, or a capability: who would ask it is held.

    Within a second, instances that would go on there are held. A batch holds those that wait already, so that their
    deadlines stand still. To repeat it (200) begins that batch for those that are not held yet.
    """
    platform = await backend.platform()
    await _need_edit(platform, access, body)
    hold = Hold(kind=body.kind, name=body.name, by=access.name, since=platform.clock(), reason=body.reason)
    try:
        await platform.ledger.holds.put(hold)
    except HoldTakenError as taken:
        known = await platform.ledger.holds.get(body.kind, body.name)
        if known is None or not known.is_in_force:
            raise ApiError(409, "conflict", f"It cannot be held now: {taken}.") from None
        hold, response.status_code = known, 200
    batch = await _hold_those_that_wait(backend, access, hold)
    await _audit(access, "cch_hold_of", body, batch)
    return await _view(access, hold, await held_for(platform, hold), batch)


async def _hold_those_that_wait(backend: Backend, access: Access, hold: Hold) -> str:
    """Id of the batch that does so; "" if there are none."""
    platform = await backend.platform()
    where = {"workflow": "workflow_id", "capability": "waiting_for"}[hold.kind]
    search = BatchSearch.model_validate({where: hold.name, "state": ["RUNNING", "WAITING"]})
    selection = await select(platform, access, search, await wanted_by(backend, search))
    held = {instance.id for instance in await held_for(platform, hold)}
    selection.ids = [each for each in selection.ids if each not in held]
    if not selection.ids:
        return ""
    body = BatchBody(
        search=search, action=HoldAction(kind="hold"), reason=hold.because[:500], expected=len(selection.ids),
        rate=_HOLD_RATE,
    )  # fmt: skip
    action = {"kind": "hold", "hold": hold.target}
    return (await begin_batch(backend, access, body, selection, action, batch_id=str(uuid.uuid4()))).id


@router.post("/holds/release", response_model=HoldOfView, responses=responses(404, 409, 413, 503))
async def end_hold(body: Annotated[EndHoldBody, Body()], access: AccessDep, backend: BackendDep) -> HoldOfView:
    """Release a workflow or a capability: a batch lets its instances go on, so many a second.

    New ones pass at once. The hold is gone when the last of its instances is released.
    """
    platform = await backend.platform()
    known = await platform.ledger.holds.get(body.kind, body.name)
    if known is None:
        raise not_found("hold", f"{body.kind} {body.name}")
    await _need_edit(platform, access, body)
    await platform.ledger.holds.release(known, platform.clock(), body.rate)
    released = await platform.ledger.holds.get(body.kind, body.name)
    left = await let_go(platform, released) if released is not None else None
    backend.call_batches()
    await _audit(access, "cch_release_of", body, left.batch if left else "")
    return await _view(access, left or released or known, await held_for(platform, known))
