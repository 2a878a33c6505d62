"""Commands that people give without a queue: the same decisions as for messages, with the answer at once.

A command is stored under a key that is derived from what it says, so giving it again changes nothing, as with a
message that is delivered again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cch.envelope import Command, parse_command
from cch.errors import CchError, MalformedMessageError, RejectedMessageError
from cch.exchange import Exchange, Settled
from cch.identity import NAMESPACE
from cch.ledger.ledger import Ledger
from cch.ledger.messages import message_key
from cch.ledger.payloads import dump, sha256
from cch.ledger.records import Instance, MessageRecord
from cch.messaging.starts import Admission, Starter

#: Stands for a queue in the keys of these messages; no SQS queue has this name.
DESK = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """``new``: this command made the instance."""

    instance: Instance
    new: bool


def _key(kind: str, *parts: str) -> str:
    return message_key(DESK, str(uuid.uuid5(NAMESPACE, "\n".join((kind, *parts)))))


def _place(command: Command) -> list[str]:
    """The item that is addressed; one key is given as itself, as earlier releases did."""
    path = command.address.path
    return [command.branch if len(path) < 2 else dump(list(path))]


def _record(key: str, command: Command, now: int, body: str) -> MessageRecord:
    return MessageRecord(
        key=key, fate="held", kind=command.kind, reason="", instance=command.instance, source=command.source,
        branch=command.branch, command_id=command.id, received=now, body=body,
    )  # fmt: skip


class Desk:
    """Takes starts and events."""

    def __init__(self, ledger: Ledger, exchange: Exchange, admission: Admission, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._starter = Starter(ledger, admission)
        self._clock = clock

    async def start(self, body: str) -> Started:
        """Take a START_WORKFLOW: the instance is pending, or as it was.

        :raises MalformedMessageError: see :func:`~cch.envelope.parse_command`.
        :raises RejectedMessageError: no such workflow, or the context does not fit.
        """
        command = parse_command(body)
        context = sha256(repr(sorted(command.payload.items())))
        key = _key("start", command.instance, command.definition_uri, command.correlation_id, context)
        known = await self._ledger.instances.find(command.instance)
        if known is None:
            await self._starter.start(command, _record(key, command, self._clock(), body), self._clock())
        found = await self._ledger.instances.find(command.instance)
        assert found is not None
        if found.status == "pending":  # whoever made it may have died before its note was in the inbox
            await self._ledger.mailboxes.enqueue_start(found.id, found.workflow_id, self._clock())
        return Started(instance=found, new=known is None and found.start_message == key)

    async def event(self, body: str) -> tuple[str, Settled]:
        """Take an EVENT_WAIT_RESP; the message's key, and who must look again.

        :raises MalformedMessageError: see :func:`~cch.envelope.parse_command`.
        """
        command = parse_command(body)
        key = _key("event", command.instance, *_place(command), command.id)
        known = await self._ledger.messages.get_many([key])
        if key in known and known[key].fate in ("matched", "duplicate"):  # the instance may have ended with it
            return key, Settled(stored=None, fate=known[key].fate)
        return key, await self._exchange.event(command, _record(key, command, self._clock(), body))

    async def attach(self, record: MessageRecord, to: str, instance: Instance, *, force: bool = False) -> None:
        """Let a reply that found nobody answer an open request of the instance, or an event end a wait.

        To repeat it, also after a crash, changes nothing.

        :raises NotAttachableError: it may not, or the request or wait is over; says why.
        :raises RejectedMessageError: the message is neither reply nor event.
        """
        if record.fate == "matched" and record.claimed_for == to:  # it was done before
            return
        command = attachable(record)
        if command.kind == "EVENT_WAIT_RESP":
            refused, wait = await self._exchange.attach_event(to, instance, command, record, force=force)
            owners = wait.owners if wait else frozenset()
        else:
            refused, closed = await self._exchange.attach(to, command, record, force=force)
            owners = closed.record.owners if closed else frozenset()
        if refused:
            raise NotAttachableError(refused)
        for owner in owners:
            await self._ledger.mailboxes.wake(owner, [to], self._clock())

    async def owner_of(self, record: MessageRecord, to: str, instance_id: str = "") -> str:
        """The instance whose request or wait is meant; "" if there is no such request.

        ``instance_id``: of an event, if it is not for the instance that it names.
        """
        if record.kind == "EVENT_WAIT_RESP":
            return instance_id or record.instance
        request = await self._ledger.requests.get(to)
        return request.instance if request else ""


class NotAttachableError(CchError):
    """A message may not be given to a request or a wait."""

    code = "CCH-R003"


def attachable(record: MessageRecord) -> Command:
    """The reply or event that an unmatched message brings.

    :raises RejectedMessageError: it brings neither.
    """
    try:
        command = parse_command(record.body)
    except MalformedMessageError as error:
        raise RejectedMessageError(f"the message cannot be read: {error.reason}") from None
    if command.kind == "START_WORKFLOW":
        raise RejectedMessageError("the message is neither a reply nor an event, but a start")
    return command
