"""Which request a reply answers: one decision per message, each step safe to repeat after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cch.errors import RejectedMessageError
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import ENDED, Fate, MessageRecord, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.replies.envelope import Command, parse_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The message's end: proof for the queue (None: keep it there), and the request whose owners must look again."""

    stored: Stored | None
    fate: Fate
    request: RequestRecord | None = None
    waits: tuple[WaitRecord, ...] = ()

    def owners(self) -> Iterator[tuple[str, str]]:
        """(router, id of request or wait) of everybody who must look again."""
        if self.request is not None:
            yield from ((owner, self.request.command_id) for owner in self.request.owners)
        for wait in self.waits:
            yield from ((owner, wait.id) for owner in wait.owners)


def reply_patch(command: Command) -> tuple[str, Mapping[str, Any]]:
    """(status, payload) of a reply; a reply without a status is a success."""
    return command.status or "SUCCESS", command.payload


def _difference(record: MessageRecord, request: RequestRecord) -> str:
    """What speaks against the message being the request's reply; "" if nothing does."""
    for what in ("instance", "source", "branch"):
        has, wants = getattr(record, what), getattr(request, what)
        if has != wants:
            name = {"source": "capability"}.get(what, what)
            return f"the message is for {name} {has or 'none'!r}, the request for {wants or 'none'!r}"
    return ""


class Correlator:
    """Applies the rules of the ledger's protocol to replies; ``answered`` is called as soon as one is decided."""

    def __init__(self, ledger: Ledger, answered: Callable[[RequestRecord], None]) -> None:
        self._ledger = ledger
        self._answered = answered

    async def reply(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """Find the request, close it with this reply, and store the message's fate.

        :raises RejectedMessageError: it echoes the request of another instance.
        """
        if record.claimed_for:  # somebody died between claiming it and storing its fate
            return await self._close(record.claimed_for, command, record, now)
        if command.in_reply_to:
            return await self._close(command.in_reply_to, command, record, now)
        return await self._by_source(command, record, now)

    async def _settle(self, record: MessageRecord, fate: Fate, reason: str, request: RequestRecord | None) -> Settled:
        stored = await self._ledger.messages.settle(replace(record, fate=fate, reason=reason))
        return Settled(stored=stored, fate=fate, request=request)

    async def _close(self, command_id: str, command: Command, record: MessageRecord, now: int) -> Settled:
        status, payload = reply_patch(command)
        # A reply to another instance's request must not close it.
        mine, request = await self._ledger.requests.close(
            command_id, "answered", now, instance=command.instance, message=record.key, status=status, reply=payload
        )
        if request is None:
            return await self._settle(record, "orphan", f"no request {command_id[:80]}", None)
        if request.instance != command.instance:
            raise RejectedMessageError(f"request {command_id} belongs to another instance than {command.instance}")
        if mine:
            # The pointer before the fate: nobody looks again at a message whose fate is final.
            await self._ledger.requests.point_closed(request, command.id)
            # Nothing that follows changes the answer, so whoever waits here may go on with it.
            self._answered(request)
            return await self._settle(replace(record, claimed_for=command_id), "matched", "", request)
        if request.state == "answered":
            return await self._settle(record, "duplicate", f"request {command_id} was answered before", request)
        return await self._settle(record, "late", f"request {command_id} had {request.state} before", request)

    async def attach(
        self, command_id: str, command: Command, record: MessageRecord, now: int, *, force: bool = False
    ) -> tuple[str, RequestRecord | None]:
        """Let a message that found nobody answer an open request, because a person says so.

        ``force``: also if it is from another capability, or for another instance or branch. Returns why not, or "",
        and the request, whose owners must look again. To repeat it, also after a crash, changes nothing.
        """
        request = await self._ledger.requests.get(command_id)
        if request is None:
            return f"there is no request {command_id}", None
        if request.answered_by != record.key:
            if request.state != "open":
                return f"the request has {request.state.replace('_', ' ')}", None
            if not force and (difference := _difference(record, request)):
                return f"{difference}; it needs force", None
        if record.fate == "matched" and request.answered_by != record.key:
            return "the message has answered another request", None
        if record.fate != "matched" and not await self._ledger.messages.attach(record, command_id):
            return "the message is taken by another request, or is none that can be attached", None
        status, payload = reply_patch(command)
        mine, request = await self._ledger.requests.close(
            command_id, "answered", now, message=record.key, status=status, reply=payload
        )
        if not mine or request is None:
            await self._ledger.messages.detach(record, command_id)
            return "the request was closed meanwhile", None
        await self._ledger.requests.point_closed(request, command.id)
        await self._settle(replace(record, claimed_for=command_id), "matched", "", request)
        return "", request

    async def _by_source(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """The sender echoed no id: only a request that is open alone can be meant."""
        pointers = await self._ledger.requests.pointers(command.instance, command.branch, command.source)
        if any(pointer.reply_command == command.id for pointer in pointers):
            return await self._settle(record, "duplicate", f"reply {command.id} was taken before", None)
        still_open = [pointer for pointer in pointers if pointer.state == "open"]
        if len(still_open) > 1:
            reason = f"{len(still_open)} open requests to {command.source}: nobody can tell which is meant"
            return await self._settle(record, "orphan", reason, None)
        if len(still_open) == 1:
            return await self._claim(still_open[0].command_id, command, record, now)
        if pointers:
            fate: Fate = "late" if pointers[-1].state in ("timed_out", "superseded", "failed") else "duplicate"
            return await self._settle(record, fate, f"the request had {pointers[-1].state} before", None)
        return await self._hold(command, record, now)

    async def _claim(self, command_id: str, command: Command, record: MessageRecord, now: int) -> Settled:
        claimed = await self._ledger.messages.claim(record, command_id)
        if not claimed:
            return Settled(
                stored=await self._ledger.messages.settle(replace(record, fate="duplicate")), fate="duplicate"
            )
        return await self._close(claimed, command, record, now)

    async def _hold(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """Nobody asked yet: keep the reply for the request that may be about to be sent, then look once more."""
        status = await self._ledger.instances.status(command.instance)
        if status is None:
            return await self._settle(record, "orphan", f"no instance {command.instance}", None)
        if status in ENDED:
            return await self._settle(record, "late", f"instance {command.instance} has {status}", None)
        held = await self._ledger.messages.hold(record)
        if held.fate not in ("held", "claimed"):
            return Settled(stored=Stored(record.key), fate=held.fate)
        pointers = await self._ledger.requests.pointers(command.instance, command.branch, command.source)
        if any(pointer.state == "open" for pointer in pointers):
            return await self._by_source(command, record, now)
        # The instance may have ended, and swept up, between our first look and our pointer.
        if await self._ledger.instances.status(command.instance) in ENDED:
            await self._ledger.messages.end_hold(record.key, "late", f"instance {command.instance} has ended")
            return Settled(stored=Stored(record.key), fate="late")
        return Settled(stored=Stored(record.key), fate="held")

    async def take_held(self, request: RequestRecord, now: int) -> bool:
        """Let replies that came before ``request`` was made answer it; whether one did, and nobody was woken."""
        for held in await self._ledger.messages.held(request.instance, request.branch, request.source):
            record = await self._ledger.messages.get(held.key)
            if record is not None and record.fate in ("held", "claimed"):
                command = parse_command(record.body)
                settled = await self._claim(request.command_id, command, record, now)
                await self._ledger.messages.unhold(request.instance, request.branch, held.pointer)
                # Another request of this source may have claimed it a moment before.
                if settled.fate == "matched" and settled.request and settled.request.command_id == request.command_id:
                    return True
                continue
            await self._ledger.messages.unhold(request.instance, request.branch, held.pointer)
        return False
