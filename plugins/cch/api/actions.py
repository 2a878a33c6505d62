"""Doing something with instances: through the same code as the command queue, so exactly as idempotent."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response

from cch.api import airflow_runs
from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.instances import InstanceIdPath, summaries, visible
from cch.api.models import (
    CancelBody,
    CommandId,
    EventBody,
    EventReceipt,
    FieldProblem,
    InstanceSummary,
    ResendReceipt,
    StartBody,
)
from cch.api.problems import ApiError, not_found, responses
from cch.definition.json_schemas import misfits
from cch.envelope import event_command, start_command
from cch.errors import DefinitionError, DefinitionNotFoundError, ServiceUnavailableError, WrongUseError
from cch.exchange import Settled, takes
from cch.identity import Address
from cch.ledger.messages import message_id
from cch.ledger.records import ENDED, Instance
from cch.messaging.outgoing import capability_queue, send_request
from cch.runtime.admission import context_problems, start_context
from cch.runtime.cancelling import cancel
from cch.runtime.choosing import Chooser
from cch.runtime.dispatch import Dispatcher
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.runtime.resending import BodyLostError, Rebuilder

router = APIRouter(tags=["actions"])


async def audit(access: Access, event: str, dag_id: str, run_id: str, **facts: Any) -> None:
    """One line in Airflow's audit log."""
    await asyncio.to_thread(airflow_runs.audit, access.name, event, dag_id=dag_id, run_id=run_id, facts=facts)


async def _check_start(platform: Platform, body: StartBody, key: str) -> str:
    """The address of the definition that the start names. ``key``: its business key.

    :raises ApiError: 404 or 422, with everything that is wrong with the version or the context.
    """
    chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
    try:
        definition = (await chooser.choose(body.workflow_id, body.version, key)).definition
    except WrongUseError as error:
        field = FieldProblem(location="body.version", message=str(error))
        raise ApiError(422, "version_unknown", "No version is called so.", [field]) from None
    except DefinitionNotFoundError:
        raise not_found("workflow", body.workflow_id) from None
    except DefinitionError as error:
        raise ApiError(422, "workflow_not_usable", f"The definition has errors: {error.problems[0]}") from None
    problems = context_problems(definition, start_context(definition, body.context))
    if problems:
        fields = [FieldProblem(location="body.context", message=problem) for problem in problems]
        raise ApiError(422, "context_not_accepted", "The context does not fit the workflow.", fields)
    return platform.catalogue.uri(body.workflow_id)


@router.post(
    "/instances",
    response_model=InstanceSummary,
    status_code=201,
    responses={200: {"model": InstanceSummary, "description": "It exists."}, **responses(404, 409, 413, 503)},
)
async def start_instance(
    body: Annotated[StartBody, Body()], response: Response, access: AccessDep, backend: BackendDep
) -> InstanceSummary:
    """Start a workflow: 201; with the id of an instance that exists: 200, that instance, and nothing changes.

    The instance is PENDING until Airflow has its run, which is usually at once.
    """
    if not await access.may_read(body.workflow_id):
        raise not_found("workflow", body.workflow_id)
    if not await access.may_start(body.workflow_id):
        raise ApiError(403, "not_allowed", f"You may not start {body.workflow_id}.")
    platform = await backend.platform()
    instance_id = body.instance_id or str(uuid.uuid4())
    known = await platform.ledger.instances.many([instance_id])
    if not known:
        uri = await _check_start(platform, body, body.correlation_id or instance_id)
        started = await platform.desk.start(
            start_command(
                instance=instance_id,
                command_id=str(uuid.uuid4()),
                definition_uri=uri,
                context=body.context,
                correlation_id=body.correlation_id or instance_id,
                now=platform.clock(),
                version=body.version,
            )
        )
        if started.new:
            await audit(access, "cch_start", body.workflow_id, instance_id, instance_id=instance_id)
            response.status_code = 201
        else:
            response.status_code = 200
        known = [started.instance]
    else:
        response.status_code = 200
    if known[0].workflow_id != body.workflow_id:
        raise ApiError(409, "instance_id_taken", f"Instance {instance_id} exists already, of another workflow.")
    if known[0].status == "pending":
        await Dispatcher(platform, airflow_runs.DatabaseRuns(access.name), 0.0).start_one(instance_id)
    response.headers["Location"] = f"{airflow_runs.root_path()}/cch/api/v1/instances/{instance_id}"
    return (await summaries(platform, await platform.ledger.instances.many([instance_id])))[0]


async def editable(backend: Backend, access: Access, instance_id: str) -> tuple[Platform, Instance]:
    """The platform and the instance, if the user may change it.

    :raises ApiError: 404 or 403.
    """
    platform = await backend.platform()
    instance = await visible(platform, access, instance_id)
    await access.need_edit(instance.workflow_id)
    return platform, instance


def _address(body: EventBody) -> Address:
    """The item that an event is for.

    :raises ApiError: 422, `branch` and `branch_path` name different items.
    """
    if body.branch_path and body.branch not in ("", body.branch_path[-1]):
        raise ApiError(422, "branch_not_clear", "`branch_path` must end in `branch`; give one of them.")
    return Address(tuple(body.branch_path)) if body.branch_path else Address.of_key(body.branch)


async def _check_payload(platform: Platform, inspector: Inspector, instance: Instance, body: EventBody) -> None:
    """What a person sends must fit the form of the node that is going to take it.

    :raises ApiError: 422, with everything that does not.
    """
    plan = await inspector.plan(instance)
    waits = await platform.ledger.waits.of_box(instance.box(_address(body).branch)) if plan else []
    for wait in waits:
        node = plan.graph.nodes.get(wait.node) if plan else None
        addressed = wait.state == "open" and _address(body).fits(wait.path)
        fits = addressed and await takes(wait, body.payload)
        if fits and node is not None and node.form is not None:
            fields = [
                FieldProblem(location=".".join(map(str, ("body", "payload", *place))), message=message)
                for place, message in misfits(node.form, body.payload)
            ]
            if fields:
                raise ApiError(422, "payload_not_accepted", f"The payload does not fit {wait.node!r}.", fields)


async def _wake(platform: Platform, settled: Settled) -> None:
    """Let the processes that wait look again."""
    for owner, waiter in settled.owners():
        await platform.ledger.mailboxes.wake(owner, [waiter], platform.clock())


@router.post(
    "/instances/{instance_id}/events",
    response_model=EventReceipt,
    status_code=202,
    responses=responses(404, 409, 410, 413, 503),
)
async def send_event(
    instance_id: InstanceIdPath, body: Annotated[EventBody, Body()], access: AccessDep, backend: BackendDep
) -> EventReceipt:
    """Send an event, or resolve what waits for a person. It is kept until a wait takes it or the instance ends."""
    platform, instance = await editable(backend, access, instance_id)
    event_id = body.event_id or str(uuid.uuid4())
    command = event_command(
        instance=instance_id,
        command_id=event_id,
        payload=body.payload,
        address=_address(body),
        status=body.status,
        now=platform.clock(),
    )
    await _check_payload(platform, await backend.inspector(), instance, body)
    key, settled = await platform.desk.event(command)
    if settled.fate == "orphan":
        found = await platform.ledger.messages.get(key)
        raise ApiError(409, "event_not_clear", f"Nobody gets the event: {found.reason if found else ''}.")
    if settled.fate == "late":
        raise ApiError(409, "instance_ended", "The instance has ended: nothing waits there any more.")
    await _wake(platform, settled)
    await audit(
        access, "cch_event", instance.workflow_id, instance.run_id,
        instance_id=instance_id, event_id=event_id, branch="/".join(_address(body).path), state=settled.fate,
    )  # fmt: skip
    fate = settled.fate if settled.fate in ("held", "matched") else "duplicate"
    return EventReceipt(event_id=event_id, message_id=message_id(key), state=fate, waiting=len(settled.waits))


@router.post(
    "/instances/{instance_id}/cancel", response_model=InstanceSummary, responses=responses(404, 409, 410, 413, 503)
)
async def cancel_instance(
    instance_id: InstanceIdPath,
    access: AccessDep,
    backend: BackendDep,
    body: Annotated[CancelBody | None, Body()] = None,
) -> InstanceSummary:
    """End an instance as CANCELLED: its open requests are superseded and its Airflow run is set to failed.

    To cancel it again changes nothing: 200. One that has ended otherwise: 409.
    """
    platform, instance = await editable(backend, access, instance_id)
    said = (body.reason if body else "").strip()
    reason = f"cancelled by {access.name}{': ' + said if said else ''}"
    if not await cancel(platform, instance, reason):
        raise ApiError(409, "instance_ended", "The instance has ended before.")
    if instance.run_id:
        await asyncio.to_thread(airflow_runs.fail_run, instance.workflow_id, instance.run_id)
    if instance.status not in ENDED:
        await audit(access, "cch_cancel", instance.workflow_id, instance.run_id, instance_id=instance_id)
    return (await summaries(platform, await platform.ledger.instances.many([instance_id])))[0]


@router.post(
    "/instances/{instance_id}/requests/{command_id}/resend",
    response_model=ResendReceipt,
    responses=responses(404, 409, 410, 503),
)
async def resend_request(
    instance_id: InstanceIdPath, command_id: Annotated[CommandId, Path()], access: AccessDep, backend: BackendDep
) -> ResendReceipt:
    """Send an open request again: same command id, same body. A capability that has done it must not do it twice."""
    platform, instance = await editable(backend, access, instance_id)
    record = await platform.ledger.requests.get(command_id)
    if record is None or record.instance != instance_id:
        raise not_found("request", command_id)
    if record.state != "open" or instance.status in ENDED:
        raise ApiError(409, "request_closed", f"The request has {record.state.replace('_', ' ')}.")
    try:
        body = await Rebuilder(platform, await backend.inspector()).body(record)
    except BodyLostError as lost:
        raise ApiError(409, "body_lost", f"The message cannot be made again: {lost}") from None
    queue = await capability_queue(platform.queues, platform.settings.names, record.source)
    if queue is None:
        raise ServiceUnavailableError(f"there is no queue for {record.source}")
    await send_request(queue, body, instance_id, command_id)
    if record.sent_at:  # else whoever asks has not looked for early replies yet, and will send it too
        await platform.ledger.requests.sent(command_id, platform.clock())
    await audit(
        access, "cch_resend", instance.workflow_id, instance.run_id, instance_id=instance_id, command_id=command_id
    )
    return ResendReceipt(command_id=command_id, queue=queue.name)
