"""Mending an instance: retry from a node, decide by hand, patch the context, hold and release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Body

from cch.api.access import Access, AccessDep
from cch.api.actions import audit, editable
from cch.api.backend import Backend, BackendDep
from cch.api.instances import InstanceIdPath, summaries
from cch.api.mending_models import DecideBody, HoldBody, MendView, PatchBody, RetryBody
from cch.api.messages import visible_message
from cch.api.models import InstanceSummary
from cch.api.problems import ApiError, responses
from cch.api.run_tasks import DatabaseTasks
from cch.ledger.gates import GateTakenError
from cch.runtime.decisions import Decision
from cch.runtime.mending import Mend, apply, decide, hold, patch, preview, release, retry
from cch.runtime.platform import Platform
from cch.runtime.standing_still import RefusedChangeError
from cch.runtime.task_wishes import RunBusyError

router = APIRouter(tags=["actions"])


@contextmanager
def unless_taken(done: str) -> Iterator[None]:
    """Says that an instance cannot be changed now because somebody else does, or a worker has a step of it.

    :raises ApiError: 409, with the reason.
    """
    try:
        yield
    except RunBusyError as busy:
        raise ApiError(409, "busy", f"It cannot be {done} now: {busy}.") from None
    except GateTakenError as taken:
        raise ApiError(409, "conflict", f"It cannot be {done} now: {taken}.") from None


def _view(decision: Decision[None], *, done: bool) -> MendView:
    todo = decision.todo
    return MendView(
        done=done,
        before=list(decision.before),
        after=list(decision.after),
        set_aside=sorted(name for dropped in todo.drop.values() for name in dropped),
        superseded=[*todo.supersede, *todo.supersede_waits],
    )


async def _mend(backend: Backend, access: Access, instance_id: str, mend: Mend, *, dry_run: bool) -> MendView:
    platform, instance = await editable(backend, access, instance_id)
    try:
        with unless_taken("done"):
            if dry_run:
                return _view(await preview(platform, instance_id, mend), done=False)
            decision = await apply(platform, DatabaseTasks(), instance_id, mend)
    except RefusedChangeError as refused:
        raise ApiError(409, "not_possible", f"It cannot be done: {refused}.") from None
    await audit(
        access, f"cch_{mend.kind}", instance.workflow_id, instance.run_id,
        instance_id=instance_id, node=mend.about.get("node", ""), reason=mend.reason,
    )  # fmt: skip
    return _view(decision, done=True)


@router.post("/instances/{instance_id}/retry", response_model=MendView, responses=responses(404, 409, 413, 503))
async def retry_node(
    instance_id: InstanceIdPath, body: Annotated[RetryBody, Body()], access: AccessDep, backend: BackendDep
) -> MendView:
    """Begin a node anew, in a live, failed or completed instance. What came after it does not count any more.

    Its capability is asked under new command ids; open requests of what is set aside are superseded.
    """
    if body.adopt and body.item:
        raise ApiError(422, "invalid_request", "A reply is adopted for the instance itself, not for an item of a map.")
    adopt = (await visible_message(await backend.platform(), access, body.adopt))[0] if body.adopt else None
    mend = retry(body.node, body.visit, by=access.name, reason=body.reason, adopt=adopt, item=body.item)
    return await _mend(backend, access, instance_id, mend, dry_run=body.dry_run)


@router.post("/instances/{instance_id}/decide", response_model=MendView, responses=responses(404, 409, 413, 503))
async def decide_node(
    instance_id: InstanceIdPath, body: Annotated[DecideBody, Body()], access: AccessDep, backend: BackendDep
) -> MendView:
    """Complete, skip or fail a node that waits or has failed. Its outcome says who decided, and why."""
    mend = decide(
        body.node, body.verdict, by=access.name, now=(await backend.platform()).clock(), reason=body.reason,
        edge=body.edge, payload=body.payload,
    )  # fmt: skip
    return await _mend(backend, access, instance_id, mend, dry_run=body.dry_run)


@router.post("/instances/{instance_id}/patch", response_model=MendView, responses=responses(404, 409, 413, 503))
async def patch_context(
    instance_id: InstanceIdPath, body: Annotated[PatchBody, Body()], access: AccessDep, backend: BackendDep
) -> MendView:
    """Add to what the nodes know that come next. Requests that were sent keep their bodies."""
    mend = patch(body.patch, body.nodes, by=access.name, reason=body.reason)
    return await _mend(backend, access, instance_id, mend, dry_run=body.dry_run)


async def _summary(platform: Platform, instance_id: str) -> InstanceSummary:
    return (await summaries(platform, await platform.ledger.instances.many([instance_id])))[0]


@router.post("/instances/{instance_id}/hold", response_model=InstanceSummary, responses=responses(404, 409, 413, 503))
async def hold_instance(
    instance_id: InstanceIdPath,
    access: AccessDep,
    backend: BackendDep,
    body: Annotated[HoldBody | None, Body()] = None,
) -> InstanceSummary:
    """Stop an instance: nothing is sent or decided until it is released, and its deadlines wait.

    What is being sent may finish. Replies and events are taken and kept.
    """
    platform, instance = await editable(backend, access, instance_id)
    reason = body.reason if body else ""
    try:
        await hold(platform, instance, by=access.name, reason=reason)
    except GateTakenError as taken:
        raise ApiError(409, "conflict", f"It cannot be held: {taken}.") from None
    await audit(access, "cch_held", instance.workflow_id, instance.run_id, instance_id=instance_id, reason=reason)
    return await _summary(platform, instance_id)


@router.post(
    "/instances/{instance_id}/release", response_model=InstanceSummary, responses=responses(404, 409, 413, 503)
)
async def release_instance(
    instance_id: InstanceIdPath,
    access: AccessDep,
    backend: BackendDep,
    body: Annotated[HoldBody | None, Body()] = None,
) -> InstanceSummary:
    """Let a held instance go on. Deadlines of what it waits for have moved by the length of the hold."""
    platform, instance = await editable(backend, access, instance_id)
    reason = body.reason if body else ""
    try:
        await release(platform, instance, by=access.name, reason=reason)
    except RefusedChangeError as refused:
        raise ApiError(409, "conflict", f"{refused}.".capitalize()) from None
    await audit(access, "cch_released", instance.workflow_id, instance.run_id, instance_id=instance_id, reason=reason)
    return await _summary(platform, instance_id)
