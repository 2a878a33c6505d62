"""One request in flight: asked, sent, closed. Its states are the types that the exchange hands out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never

from cch import metrics
from cch.errors import CchError, LedgerError, MessageRefusedError, ServiceUnavailableError
from cch.exchange import Closed, Sent, Unsent, Wake
from cch.ledger.payloads import sha256
from cch.ledger.records import RequestRecord
from cch.messaging.outgoing import Reference, capability_queue, queue_fault, send_request
from cch.runtime.deadlines import Deadlines
from cch.runtime.journaling import InstanceCancelledError
from cch.runtime.passing import pass_gate
from cch.runtime.platform import Platform
from cch.tracing import export_span

#: Tells people, in the task's log: a fixed text and facts.
Note = Callable[..., None]


class Flight:
    """Brings one request from the wish to its end: :class:`Unsent` → :class:`Sent` → :class:`Closed`.

    ``body`` is the request's message as it would be made now; ``remade`` makes it for another time (ms), at which an
    earlier copy has made it. ``reference``: the context, where it does not fit into the message.
    ``announced`` tells that the request was sent, before that is noted. ``due``: when the instance's time is up (ms).
    """

    def __init__(
        self,
        platform: Platform,
        wanted: RequestRecord,
        *,
        body: str,
        remade: Callable[[int], str],
        reference: Reference | None,
        note: Note,
        announced: Callable[[RequestRecord], Awaitable[None]],
        due: int = 0,
    ) -> None:
        self._platform = platform
        self._wanted = wanted
        self._body = body
        self._remade = remade
        self._reference = reference
        self._note = note
        self._announced = announced
        self._deadlines = Deadlines(platform.clock, platform.ledger.store, due)

    async def fly(self, woken: Wake, *, again: bool) -> Closed:
        """The end of the request. ``woken`` is registered under its command id; ``again``: it may have been made.

        :raises OvertakenError: a newer try of the task has asked.
        """
        state = await self._platform.exchange.ask(self._wanted, again=again)
        waited = not isinstance(state, Closed)
        while not isinstance(state, Closed):
            match state:
                case Unsent():
                    state = await self._send(state)
                case Sent(record):
                    self._platform.turnstile.leave()
                    state = await self._wait(record, woken)
                case _:
                    assert_never(state)
        early = state.mine and state.record.state == "answered"
        if waited or early:
            _observe(state.record)
        return state

    async def _send(self, unsent: Unsent) -> Sent | Closed:
        """Send until SQS takes it, or it is certain that it cannot be sent."""
        record, exchange = unsent.record, self._platform.exchange
        body = self._body if unsent.new else self._remade(record.created)
        self._body = ""  # thousands wait, and none of them needs it any more
        if sha256(body) != record.body_hash:
            reason = "the request's body differs from the one sent before under this command id"
            return await exchange.close(record.command_id, "failed", reason)
        pauses = self._platform.pauses()
        while not record.deadline or self._platform.clock() < record.deadline:
            try:
                if reason := await self._sent(record, body):
                    return await exchange.close(record.command_id, "failed", reason)
                self._reference = None
                await self._announced(record)
                return await exchange.sent(record)
            except MessageRefusedError as error:
                return await exchange.close(record.command_id, "failed", str(error))
            except ServiceUnavailableError as error:
                self._note("cannot send yet", node=record.node, error=str(error))
                self._platform.turnstile.leave()
                await asyncio.sleep(pauses.next())
        return Sent(record)  # its time is up; whoever waits finds out

    async def _sent(self, record: RequestRecord, body: str) -> str:
        """Send once; why it cannot be sent, or "".

        :raises StoppedError: the instance is to send nothing now.
        """
        try:
            await pass_gate(self._platform, record.instance, record.source)
        except InstanceCancelledError:
            # Opened after all requests of the instance were superseded, so nobody else closes it.
            await self._platform.exchange.close(record.command_id, "superseded")
            raise
        names = self._platform.settings.names
        queue = await capability_queue(self._platform.queues, names, record.source)
        if queue is None:
            own = names.capability_queue(record.source)
            return f"no queue for {record.source}: neither {own} nor {names.fallback_queue} exists"
        if reason := await queue_fault(queue, body, self._platform.settings.max_message_bytes):
            return reason
        if self._reference is not None:  # the object before the message that names it
            await asyncio.to_thread(self._platform.write_object, self._reference.uri, self._reference.text)
        await send_request(queue, body, record.instance, record.command_id)
        metrics.count("cch.requests", capability=record.source)
        self._note(
            "request sent", node=record.node, capability=record.source, command_id=record.command_id, queue=queue.name
        )
        return ""

    async def _wait(self, record: RequestRecord, woken: Wake) -> Closed:
        """Wait until the request is closed: by a reply, or by us when its time is up."""
        exchange, pauses = self._platform.exchange, self._platform.pauses()
        while True:
            if await self._deadlines.expires(woken, record.deadline):
                await pass_gate(self._platform, record.instance)
                now = await exchange.look(record)
                if isinstance(now, Closed):
                    return now
                if now.deadline <= record.deadline:
                    return await exchange.close(record.command_id, "timed_out")
                record = now  # the instance was held, and its clocks stood still
            woken.clear()
            if woken.closed is not None:
                return woken.closed
            try:
                found = await exchange.look(record)
            except LedgerError:
                raise
            except CchError as error:
                self._note("cannot read the ledger yet", error=str(error))
                await asyncio.sleep(pauses.next())
                woken.set()
                continue
            if isinstance(found, Closed):
                return found
            pauses.reset()


def _observe(record: RequestRecord) -> None:
    """Tell metrics and traces of a request that is over."""
    metrics.timing("cch.wait", record.closed_at - record.created, capability=record.source, outcome=record.state)
    good = record.state == "answered" and record.reply_status != "ERROR"
    facts = {
        "cch.instance": record.instance,
        "cch.node": record.node,
        "cch.branch": record.branch,
        "cch.command_id": record.command_id,
        "cch.outcome": record.state,
    }
    times = record.created, record.closed_at
    export_span(f"request {record.source}", times, record.instance, record.command_id, good=good, facts=facts)
