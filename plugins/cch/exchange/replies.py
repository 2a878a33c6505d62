"""Which request a reply answers: one decision for each message, each step safe to repeat after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from cch.envelope import Command, parse_command
from cch.errors import RejectedMessageError
from cch.exchange.early import keep
from cch.exchange.meaning import (
    HOW_CLOSED,
    Early,
    Ends,
    Meaning,
    Means,
    meaning,
    only_possible,
    several,
    unaddressable,
)
from cch.exchange.references import References
from cch.exchange.settled import Settled
from cch.exchange.waiters import Waiters
from cch.identity import Box, require_known
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import ENDED, Fate, Instance, MessageRecord, RequestRecord
from cch.ledger.requests import Closed, ForeignRequestError, Pointer

#: Boxes that are read at the same time to find the one request that a reply can mean.
_BOXES_AT_ONCE = 50


def _difference(command: Command, record: MessageRecord, request: RequestRecord) -> str:
    """What speaks against the message being the request's reply; "" if nothing does."""
    for name, has, wants in (
        ("instance", record.instance, request.instance),
        ("capability", record.source, request.source),
        ("branch", record.branch, request.branch),
    ):
        if has != wants:
            return f"the message is for {name} {has or 'none'!r}, the request for {wants or 'none'!r}"
    if not command.address.fits(request.path):
        return f"the message is for branch path {list(command.address.path)}, the request for {list(request.path)}"
    return ""


class Replies:
    """Applies the rules of the ledger's protocol to replies, and wakes the waiters of this process at once."""

    def __init__(self, ledger: Ledger, waiters: Waiters, references: References) -> None:
        self._ledger = ledger
        self._references = references
        self._waiters = waiters

    async def reply(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """Find the request, close it with this reply, and store the message's fate.

        :raises RejectedMessageError: it echoes the request of another instance, or its payload cannot be read.
        :raises UnknownSchemeError: a later release made the instance; the message stays in its queue.
        """
        if record.claimed_for:  # somebody died between claiming it and storing its fate
            return await self._close(record.claimed_for, command, record, now)
        if command.in_reply_to:
            return await self._close(command.in_reply_to, command, record, now)
        instance = await self._ledger.instances.head(command.instance)
        if instance is None:
            stored, held = await keep(self._ledger, record, record.source, now)
            instance = await self._ledger.instances.head(command.instance)
            if instance is None:
                return Settled(stored=stored, fate=held.fate)
            require_known(instance.scheme, instance.id)
            return await self._hold(command, record, instance, now)  # it began in between, and may not have seen it
        require_known(instance.scheme, instance.id)
        found = await self._meaning(command, instance)
        if isinstance(found, Early):
            return await self._hold(command, replace(record, reason=found.reason), instance, now)
        return await self._decided(found, command, record, now)

    async def _meaning(self, command: Command, instance: Instance) -> Meaning:
        if reason := unaddressable(command, instance):
            return Ends("orphan", reason)
        box = instance.box(command.branch)
        pointers = await self._ledger.requests.pointers(box, command.source)
        needs_items = command.address.path and not command.address.whole
        items = await self._ledger.maps.nested_items(box) if needs_items else ()
        found = meaning(command, pointers, items)
        if isinstance(found, Means) or not instance.speaks.unnamed_replies:
            return found
        # Also where the instance itself has asked before what an item of a map, which the reply does not name, asks.
        wider = only_possible(command, instance.capabilities, await self._all_pointers(instance))
        return wider if isinstance(found, Early) or isinstance(wider, Means) else found

    async def _all_pointers(self, instance: Instance) -> list[Pointer]:
        """Those of every box of the instance: a strong query for the list of boxes, and one for each of them."""
        slots = asyncio.Semaphore(_BOXES_AT_ONCE)

        async def one(box: Box) -> list[Pointer]:
            async with slots:
                return await self._ledger.requests.all_pointers(box)

        found = await asyncio.gather(*map(one, await self._ledger.boxes(instance)))
        return [pointer for pointers in found for pointer in pointers]

    async def _decided(self, found: Means | Ends, command: Command, record: MessageRecord, now: int) -> Settled:
        match found:
            case Means(command_id):
                return await self._claim(command_id, command, record, now)
            case Ends(fate, reason):
                return await self._settle(record, fate, reason)
            case _:
                assert_never(found)

    async def _settle(self, record: MessageRecord, fate: Fate, reason: str, closed: Closed | None = None) -> Settled:
        stored = await self._ledger.messages.settle(replace(record, fate=fate, reason=reason))
        return Settled(stored=stored, fate=fate, closed=closed)

    async def _close(self, command_id: str, command: Command, record: MessageRecord, now: int) -> Settled:
        status, payload = await self._said(command, command.instance)
        try:
            closed = await self._ledger.requests.close(
                command_id, "answered", now, instance=command.instance, message=record.key,
                reply_command=command.id, status=status, reply=payload,
            )  # fmt: skip
        except ForeignRequestError as error:  # a reply to another instance's request must not close it
            raise RejectedMessageError(str(error)) from None
        if closed is None:
            instance = await self._ledger.instances.head(command.instance)
            if instance is not None and instance.gone:
                return await self._settle(record, "late", f"instance {instance.id} has expired")
            return await self._settle(record, "orphan", f"no request {command_id[:80]}")
        if closed.mine:
            # Nothing that follows changes the answer, so whoever waits here may go on with it.
            self._waiters.wake(command_id, closed)
            return await self._settle(replace(record, claimed_for=command_id), "matched", "", closed)
        state = closed.record.state
        fate: Fate = "duplicate" if state == "answered" else "late"
        return await self._settle(record, fate, f"request {command_id} had {HOW_CLOSED[state]} before", closed)

    async def _said(self, command: Command, instance: str) -> tuple[str, Mapping[str, Any]]:
        """(status, payload) of a reply; a reply without a status is a success.

        In some dialects its payload may say that it is none: then the instance is read, strongly, for its dialect.
        """
        resolved = await self._references.resolved(command)
        if not resolved.status and resolved.payload.get("status") == "ERROR":
            asked = await self._ledger.instances.head(instance)
            if asked is not None and asked.speaks.errors_in_payload:
                return "ERROR", resolved.payload
        return resolved.status or "SUCCESS", resolved.payload

    async def attach(
        self, command_id: str, command: Command, record: MessageRecord, now: int, *, force: bool = False
    ) -> tuple[str, Closed | None]:
        """Let a message that found nobody answer an open request, because a person says so.

        ``force``: also if it is from another capability, or for another instance or branch. Returns why not, or "",
        and the request, whose owners must look again. To repeat it, also after a crash, changes nothing.
        """
        request = await self._ledger.requests.get(command_id)
        if request is None:
            return f"there is no request {command_id}", None
        if request.answered_by != record.key:
            if request.state != "open":
                return f"the request has {HOW_CLOSED[request.state]}", None
            if not force and (difference := _difference(command, record, request)):
                return f"{difference}; it needs force", None
        if record.fate == "matched" and request.answered_by != record.key:
            return "the message has answered another request", None
        if record.fate != "matched" and not await self._ledger.messages.attach(record, command_id):
            return "the message is taken by another request, or is none that can be attached", None
        status, payload = await self._said(command, request.instance)
        closed = await self._ledger.requests.close(
            command_id, "answered", now, message=record.key, reply_command=command.id, status=status, reply=payload
        )
        if closed is None or not closed.mine:
            await self._ledger.messages.detach(record, command_id)
            return "the request was closed meanwhile", None
        await self._settle(replace(record, claimed_for=command_id), "matched", "", closed)
        return "", closed

    async def again(self, known: MessageRecord) -> Closed | None:
        """The closed request that a repeated message had answered, whose pointer is closed once more."""
        request = await self._ledger.requests.get(known.claimed_for) if known.claimed_for else None
        if request is None or request.state == "open":
            return None
        return await self._ledger.requests.confirm(request, known.command_id if known.fate == "matched" else "")

    async def _claim(self, command_id: str, command: Command, record: MessageRecord, now: int) -> Settled:
        claimed = await self._ledger.messages.claim(record, command_id)
        if not claimed:
            return await self._settle(record, "duplicate", "")
        return await self._close(claimed, command, record, now)

    async def _hold(self, command: Command, record: MessageRecord, instance: Instance, now: int) -> Settled:
        """Nobody asked yet: keep the reply for the request that may be about to be sent, then look once more."""
        if instance.status in ENDED:
            return await self._settle(record, "late", f"instance {instance.id} has {instance.status}")
        held = await self._ledger.messages.hold(record, instance.box(command.branch))
        if held.fate not in ("held", "claimed"):
            return Settled(stored=Stored(record.key), fate=held.fate)
        found = await self._meaning(command, instance)
        if isinstance(found, Means):
            return await self._decided(found, command, record, now)
        # The instance may have ended, and swept up, between our first look and our pointer.
        if await self._ledger.instances.status(command.instance) in ENDED:
            await self._ledger.messages.end_hold(record.key, "late", now, f"instance {command.instance} has ended")
            return Settled(stored=Stored(record.key), fate="late")
        return Settled(stored=Stored(record.key), fate="held")

    async def take_early(self, request: RequestRecord, now: int) -> Closed | None:
        """Let a reply that came before ``request`` was made answer it; the proof, if one did."""
        items = await self._ledger.maps.nested_items(request.box) if request.scope.depth > 1 else ()
        for held in await self._ledger.messages.held(request.box, request.source):
            record = await self._ledger.messages.get(held.key)
            if record is None or record.fate not in ("held", "claimed"):
                await self._ledger.messages.unhold(request.box, held.pointer)
                continue
            command = parse_command(record.body)
            if not command.address.fits(request.path):
                continue
            try:
                command = await self._references.resolved(command)
            except RejectedMessageError as error:  # it was not looked at before, because nobody had asked
                await self._ledger.messages.end_hold(held.key, "rejected", now, str(error))
                await self._ledger.messages.unhold(request.box, held.pointer)
                continue
            if reason := "" if command.address.whole else several(command.address, items):
                await self._ledger.messages.end_hold(held.key, "orphan", now, reason)
                await self._ledger.messages.unhold(request.box, held.pointer)
                continue
            settled = await self._claim(request.command_id, command, record, now)
            await self._ledger.messages.unhold(request.box, held.pointer)
            # Another request of this source may have claimed it a moment before.
            mine = settled.closed is not None and settled.closed.record.command_id == request.command_id
            if settled.fate == "matched" and mine:
                return settled.closed
        return None
