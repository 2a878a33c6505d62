"""Intake: what a batch of messages off the queues comes to; decode, decide, store, then wake.

Who receives and deletes is :mod:`cch.messaging.consumer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from cch import metrics
from cch.envelope import Command, parse_command
from cch.errors import MalformedMessageError, RejectedMessageError
from cch.exchange import Exchange, Settled
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import FINAL, MessageRecord
from cch.messaging.mailbox import Mailbox
from cch.messaging.queue import ILLEGAL, Queues, Received
from cch.messaging.starts import Admission, Starter
from cch.names import Names

log = logging.getLogger(__name__)

#: Bodies forwarded to the queue of rejected messages are cut there (bytes): SQS counts attributes into the same limit.
_FORWARD_BYTES = 200_000
#: Longest reason that is stored (characters): it may quote what the sender wrote.
_LONGEST_REASON = 600


def _legal(text: str) -> str:
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


class Intake:
    """Brings each message to its end. ``started`` is called after a start was stored."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        exchange: Exchange,
        mailbox: Mailbox,
        queues: Queues,
        names: Names,
        admission: Admission,
        clock: Callable[[], int],
        started: Callable[[], None],
    ) -> None:
        self.fates: Counter[str] = Counter()
        self._ledger = ledger
        self._exchange = exchange
        self._mailbox = mailbox
        self._queues = queues
        self._names = names
        self._clock = clock
        self._started = started
        self._starter = Starter(ledger, admission)

    async def handle(self, batch: Sequence[Received]) -> list[tuple[Received, Stored]]:
        """Bring each message to its end; those that are not returned must stay in the queue.

        A message that cannot be handled now holds up no other one.

        :raises Exception: no message could be handled, because the ledger does not answer; or no wake could be left.
        """
        known = await self._ledger.messages.get_many(sorted({message.key for message in batch}))
        done: list[tuple[Received, Stored]] = []
        wakes: dict[str, set[str]] = {}
        rings = False
        failed: Exception | None = None
        each = [self._one(message, known.get(message.key)) for message in batch]
        ends = await asyncio.gather(*each, return_exceptions=True)
        for message, end in zip(batch, ends, strict=True):
            if isinstance(end, Exception):  # it stays in the queue and comes again
                failed = end
                log.warning("message not handled yet", extra={"cch_message": message.key, "cch_error": str(end)})
                continue
            if isinstance(end, BaseException):
                raise end
            settled, kind = end
            for owner, waiter in settled.owners():
                wakes.setdefault(owner, set()).add(waiter)
            rings |= kind == "START_WORKFLOW" and settled.fate == "matched"
            if settled.stored is not None:
                done.append((message, settled.stored))
            self.fates[settled.fate] += 1
            role = message.queue.removeprefix(self._names.prefix)
            metrics.count("cch.messages", queue=role, fate=settled.fate)
            metrics.timing("cch.router.lag", self._clock() - message.sent, queue=role)
        await self._mailbox.wake(wakes)
        if rings:
            self._started()
        if failed is not None and not done:
            raise failed
        return done

    async def _one(self, message: Received, known: MessageRecord | None) -> tuple[Settled, str]:
        record = MessageRecord(
            key=message.key, fate="held", kind="", reason="", instance="", source="", branch="", command_id="",
            received=message.sent, body=message.body,
        )  # fmt: skip
        try:
            command = parse_command(message.body)
        except MalformedMessageError as error:
            return await self._refuse(message, replace(record, fate="malformed", reason=error.reason)), ""
        record = replace(
            record, kind=command.kind, instance=command.instance, source=command.source, branch=command.branch,
            command_id=command.id,
        )  # fmt: skip
        if known is not None and known.fate in FINAL:
            return await self._again(known), command.kind
        if known is not None:
            record = replace(record, claimed_for=known.claimed_for)
        try:
            return await self._dispatch(command, record), command.kind
        except RejectedMessageError as error:
            return await self._refuse(message, replace(record, fate="rejected", reason=error.reason)), command.kind

    async def _again(self, known: MessageRecord) -> Settled:
        """Redelivered after its fate was stored: whoever it answered may not have been woken."""
        closed = await self._exchange.again(known)
        if known.kind == "START_WORKFLOW" and known.fate == "matched":
            instance = await self._ledger.instances.find(known.instance)
            if instance is not None and instance.status == "pending":
                await self._ledger.mailboxes.enqueue_start(instance.id, instance.workflow_id, self._clock())
        return Settled(stored=Stored(known.key), fate=known.fate, closed=closed)

    async def _dispatch(self, command: Command, record: MessageRecord) -> Settled:
        match command.kind:
            case "START_WORKFLOW":
                return await self._starter.start(command, record, self._clock())
            case "ASYNC_RESP":
                return await self._exchange.reply(command, record)
            case "EVENT_WAIT_RESP":
                return await self._exchange.event(command, record)

    async def _refuse(self, message: Received, record: MessageRecord) -> Settled:
        """Forward to the queue of rejected messages with the reason, at least once, then store."""
        queue = await self._queues.find(self._names.rejected_queue(message.queue))
        body = message.body.encode("utf-8", "replace").decode("utf-8")
        record = replace(record, body=body, reason=_legal(record.reason)[:_LONGEST_REASON])
        facts = {"cch_message": message.key, "cch_fate": record.fate, "cch_instance": record.instance}
        whose = f" for instance {record.instance}" if record.instance else ""
        log.warning("message %s%s is %s: %s", message.key, whose, record.fate, record.reason, extra=facts)
        if queue is not None:
            safe = _legal(body).encode()[:_FORWARD_BYTES].decode("utf-8", "ignore")
            attributes = {
                "reason": record.reason[:250] or record.fate,
                "fate": record.fate,
                "originalMessageId": message.message_id,
            }
            await queue.send(safe or " ", attributes)
        stored = await self._ledger.messages.settle(record)
        return Settled(stored=stored, fate=record.fate)
