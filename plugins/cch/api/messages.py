"""Messages that found nobody, and what a person can do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response

from cch.api import airflow_runs, paging
from cch.api.access import Access, AccessDep
from cch.api.backend import BackendDep
from cch.api.conditional import conditional
from cch.api.instances import Cursor
from cch.api.mapping import as_message, at, message_view
from cch.api.models import (
    AttachBody,
    AttachReceipt,
    Candidate,
    LateFor,
    MessageDetail,
    MessageId,
    MessagePage,
    MessageState,
)
from cch.api.problems import ApiError, not_found, responses
from cch.envelope import Command
from cch.errors import RejectedMessageError
from cch.ledger.messages import ATTACHABLE, key_of
from cch.ledger.records import ENDED, Instance, MessageRecord
from cch.ledger.store import Place
from cch.ledger.waiting import EVENTS
from cch.messaging.desk import NotAttachableError, attachable
from cch.runtime.lingering import is_exact
from cch.runtime.platform import Platform

router = APIRouter(tags=["messages"])

#: Messages that one page looks at, at the most.
_EXAMINED = 1000
#: Open requests that are offered for a message.
_MOST_CANDIDATES = 20

MessageIdPath = Annotated[MessageId, Path(description="`<queue>:<MessageId>`, as lists give it.")]


class _Owners:
    """Whose messages they are: the workflow of the instance that they name, if there is one."""

    def __init__(self, platform: Platform, access: Access) -> None:
        self._platform = platform
        self._access = access

    async def visible(self, records: Sequence[MessageRecord]) -> list[tuple[MessageRecord, str]]:
        """Those that the user may see, each with its workflow."""
        named = list(dict.fromkeys(record.instance for record in records if record.instance))
        found: dict[str, Instance] = {}
        for start in range(0, len(named), 100):
            found |= {one.id: one for one in await self._platform.ledger.instances.many(named[start : start + 100])}
        readable, everything = await self._access.readable(), await self._access.may_read_everything()
        shown = []
        for record in records:
            workflow_id = found[record.instance].workflow_id if record.instance in found else ""
            if workflow_id in readable or (not workflow_id and everything):
                shown.append((record, workflow_id))
        return shown


def _place(cursor: Any) -> Place | None:
    if cursor is None:
        return None
    match cursor:
        case [str(pk), str(sk), int(received)]:
            return Place((pk, sk), received)
        case _:
            raise paging.bad_cursor()


async def _page(platform: Platform, access: Access, state: MessageState, limit: int, cursor: str | None) -> MessagePage:
    place = _place(paging.decode(cursor))
    owners = _Owners(platform, access)
    shown: list[tuple[MessageRecord, str]] = []
    examined, more = 0, True
    while len(shown) < limit and more and examined < _EXAMINED:
        wanted = limit - len(shown)
        records = await platform.ledger.messages.unmatched(state, wanted, place)
        examined += len(records)
        more = len(records) == wanted
        if records:
            place = Place((records[-1].key, "-"), records[-1].received)
        shown += await owners.visible(records)
    return MessagePage(
        items=[as_message(record, workflow_id) for record, workflow_id in shown],
        next_cursor=paging.encode([*place.key, place.sort]) if more and place else None,
    )


@router.get("/messages", response_model=MessagePage, responses=responses(503))
async def list_messages(
    request: Request,
    access: AccessDep,
    backend: BackendDep,
    *,
    state: Annotated[MessageState, Query()] = "orphan",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    """Messages in a state, newest first: of instances that you may see, and, if you may see every workflow, those
    that belong to no known instance.
    """
    async with backend.reading() as platform:
        return conditional(request, await _page(platform, access, state, limit, cursor))


async def visible_message(platform: Platform, access: Access, identifier: str) -> tuple[MessageRecord, str]:
    """A message that the user may see, and the workflow of its instance ("": of none that is known).

    :raises ApiError: 404, there is none.
    """
    record = await platform.ledger.messages.get(key_of(identifier))
    found = await _Owners(platform, access).visible([record]) if record else []
    if not found:
        raise not_found("message", identifier)
    return found[0]


async def _candidates(platform: Platform, access: Access, record: MessageRecord, command: Command) -> list[Candidate]:
    """Open requests that a reply may answer, or waits that an event may end; the likeliest first."""
    readable = await access.readable()
    event = command.kind == "EVENT_WAIT_RESP"
    source = EVENTS if event else record.source
    of_source = await platform.ledger.waiting.of_capability(source, _MOST_CANDIDATES * 5, None) if source else []
    waits = [wait for wait, _ in of_source]
    if record.instance:
        waits += await platform.ledger.waiting.of_instance(record.instance, _MOST_CANDIDATES)
    waits = list({wait.id: wait for wait in waits if wait.is_event == event}.values())
    instances = {one.id: one for one in await platform.ledger.instances.many(list({w.instance for w in waits}))}
    found = [
        Candidate(
            command_id=wait.id,
            instance_id=wait.instance,
            node=wait.node,
            capability="" if event else wait.capability,
            branch=wait.branch,
            since=at(wait.since),
            exact=is_exact(wait, record, command),
        )
        for wait in waits
        if wait.instance in instances
        and instances[wait.instance].workflow_id in readable
        and instances[wait.instance].status not in ENDED
    ]
    found.sort(key=lambda one: (not one.exact, one.instance_id != record.instance, one.since))
    return found[:_MOST_CANDIDATES]


def _to_attach(record: MessageRecord) -> Command | None:
    """What the message brings, if a person may give it to somebody."""
    if record.fate not in ATTACHABLE:
        return None
    try:
        return attachable(record)
    except RejectedMessageError:
        return None


async def _late_for(platform: Platform, record: MessageRecord, command: Command) -> LateFor | None:
    """The request that a late reply would have answered: the one that it names, else the latest to its source."""
    if record.fate != "late" or command.kind != "ASYNC_RESP" or record.branch:
        return None
    instance = await platform.ledger.instances.head(record.instance)
    if instance is None or instance.gone:
        return None
    asked = await platform.ledger.requests.of_box(instance.box(record.branch))
    of_source = [each for each in asked if each.source == record.source and each.scope.is_root]
    named = [each for each in of_source if each.command_id == command.in_reply_to]
    meant = (named or of_source)[-1:]
    if not meant or meant[0].state == "open":
        return None
    return LateFor(instance_id=instance.id, node=instance.amendments.now(meant[0].node), visit=meant[0].visit)


@router.get("/messages/{message_id}", response_model=MessageDetail, responses=responses(404, 503))
async def get_message(request: Request, message_id: MessageIdPath, access: AccessDep, backend: BackendDep) -> Response:
    """One message with its body, and the open requests that it may answer."""
    async with backend.reading() as platform:
        record, workflow_id = await visible_message(platform, access, message_id)
        command = _to_attach(record)
        candidates = await _candidates(platform, access, record, command) if command else []
        detail = MessageDetail(
            **message_view(record, workflow_id),
            body=record.body,
            attachable=command is not None,
            candidates=candidates,
            late_for=await _late_for(platform, record, command) if command else None,
        )
        return conditional(request, detail)


@router.post("/messages/{message_id}/attach", response_model=AttachReceipt, responses=responses(404, 409, 413, 503))
async def attach_message(
    message_id: MessageIdPath, body: Annotated[AttachBody, Body()], access: AccessDep, backend: BackendDep
) -> AttachReceipt:
    """Let a reply that found nobody answer an open request, or an event end a wait, as if its sender had named it.

    Without `force` the message must be from the request's capability, for its instance and branch; an event must have
    the key that is waited for. Repeating it changes nothing.
    """
    platform = await backend.platform()
    record, _ = await visible_message(platform, access, message_id)
    of = await platform.desk.owner_of(record, body.command_id, body.instance_id)
    found = await platform.ledger.instances.many([of]) if of else []
    if not found or not await access.may_read(found[0].workflow_id):
        raise not_found("request", body.command_id)
    await access.need_edit(found[0].workflow_id)
    try:
        await platform.desk.attach(record, body.command_id, found[0], force=body.force)
    except NotAttachableError as error:
        raise ApiError(409, "not_attachable", str(error)) from None
    await asyncio.to_thread(
        airflow_runs.audit, access.name, "cch_attach", dag_id=found[0].workflow_id, run_id=found[0].run_id,
        facts={
            "instance_id": found[0].id, "command_id": body.command_id, "message_id": message_id, "force": body.force,
        },
    )  # fmt: skip
    return AttachReceipt(command_id=body.command_id, instance_id=found[0].id, message_id=message_id)
