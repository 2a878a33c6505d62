"""The host of real runs: effects go out over queues, and everything that counts is in the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cch import metrics
from cch.capabilities.calls import run_call
from cch.capabilities.library_calls import LibraryWork, run_library
from cch.errors import CchError, LedgerError, MessageRefusedError, ServiceUnavailableError
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, EventAnswer, EventQuery, OvertakenError, Request
from cch.interpreter.outcome import Outcome
from cch.ledger.payloads import sha256
from cch.ledger.records import Instance, JournalEntry, RegionKey, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.pauses import Pauses
from cch.replies.envelope import parse_command
from cch.replies.outgoing import capability_queue, request_body, request_fault, send_request
from cch.replies.waiters import Wake
from cch.runtime.journaling import Anew, JournalState, any_failed, enter
from cch.runtime.lifecycle import Announcer
from cch.runtime.platform import Platform
from cch.tracing import export_span

log = logging.getLogger(__name__)

#: Clocks further apart than this (ms) are not trusted with a timeout.
_CLOCK_TOLERANCE = 30_000
#: Seconds of a long poll where the router runs only for this region (a shared one has been started before).
_SHORT_POLL = 1.0
#: Longest sleep (s) without a look at the clock, and for how long a date is past (s) that no clock gets wrong.
_LONGEST_SLEEP, _LONG_PAST = 600.0, 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try of a region, as its journal records it."""

    key: RegionKey
    task_instance: str
    generation: int
    dropped: Mapping[str, int]


class LedgerHost:
    """:class:`~cch.interpreter.host.Host` for one try of one region."""

    def __init__(
        self,
        platform: Platform,
        instance: Instance,
        attempt: Try,
        journal: JournalState | None = None,
        branch: str = "",
    ) -> None:
        """``journal``: what the scope's journal says; none: nothing is going to be committed."""
        self.instance_id = instance.id
        self.correlation_id = instance.correlation_id
        self.workflow_id = instance.workflow_id
        self._instance = instance
        self._platform = platform
        self._try = attempt
        self._next_entry = journal.entries if journal else 0
        #: The request that is asked first may have been made before.
        self._resumed = journal is not None and journal.resumed
        #: Whoever committed the last turn may have died before anybody was told of it.
        self._perhaps_untold = journal.latest if journal else ()
        self._flow: TokenFlow | None = None
        self._branch = branch
        topic = platform.topic
        self._announcer = topic and Announcer(topic, instance, attempt.key, attempt.generation, branch)

    def now(self) -> int:
        return self._platform.clock()

    async def sleep_until(self, when: int) -> None:
        self._platform.turnstile.leave()
        while True:
            left = (when - self.now()) / 1000
            if left <= 0 and (left < -_LONG_PAST or await self._time_is_up(when)):
                return
            await asyncio.sleep(min(max(left, 0.0), _LONGEST_SLEEP))  # the clock may be set right meanwhile

    def first_attempt(self, node: str, visit: int) -> int:
        return self._try.dropped.get(f"{node}#{visit}", 0) + 1

    async def call(self, call: Call) -> Any:
        return await run_call(call, self._platform.settings)

    async def library(
        self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
    ) -> Any:
        work = LibraryWork(function_id, parameters, context, rules)
        return await asyncio.to_thread(run_library, work, self._platform.settings, self._platform.read_object)

    async def follow(self, flow: TokenFlow) -> None:
        self._flow = flow
        await self._announce([outcome for outcome in self._perhaps_untold if outcome.id in flow.outcomes])

    async def leave(self) -> None:
        if self._announcer:
            await self._announcer.told()

    async def _announce(self, outcomes: Sequence[Outcome]) -> None:
        if self._announcer and self._flow:
            await self._announcer.announce(outcomes, self._flow)

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        await self.leave()
        entry = JournalEntry(
            kind="turn",
            task_instance=self._try.task_instance,
            generation=self._try.generation,
            outcomes=tuple(outcomes),
        )
        if not await self._platform.ledger.journal.append(self._try.key, self._next_entry, entry):
            raise OvertakenError
        self._next_entry += 1
        for outcome in outcomes:
            self.note(
                "visited", node=outcome.node, visit=outcome.visit, edge=outcome.label, cause=outcome.cause.get("kind")
            )
        await self._announce(outcomes)

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[LedgerHost | None, Sequence[Outcome]]:
        path = f"{self._try.key.scope}/{node}#{visit}@{self._try.generation}[{branch}]"
        return await self.open_item(path, node, index, branch, any_failed)

    async def open_item(
        self, path: str, node: str, index: int, branch: str, anew: Anew
    ) -> tuple[LedgerHost, Sequence[Outcome]]:
        """Take part in the journal of an item's scope."""
        ledger, task_instance = self._platform.ledger, self._try.task_instance
        key = RegionKey(instance=self._try.key.instance, region=self._try.key.region, scope=path)
        await ledger.instances.put_scope(key, node, index, branch)
        state = await enter(ledger, key, task_instance, anew)
        if state is None:
            self._platform.turnstile.leave()
            await asyncio.Event().wait()  # a newer copy of this task runs; Airflow will cancel this one
        assert state is not None
        attempt = Try(key=key, task_instance=task_instance, generation=state.generation, dropped=state.dropped)
        host = LedgerHost(self._platform, self._instance, attempt, state, branch)
        return host, tuple(state.outcomes.values())

    def note(self, event: str, **facts: Any) -> None:
        if self._branch:
            facts["branch"] = self._branch
        shown = " ".join(f"{key}={value}" for key, value in facts.items() if value not in ("", None))
        log.info(
            "%s %s", event, shown, extra={"cch_instance": self.instance_id, **{f"cch_{k}": v for k, v in facts.items()}}
        )

    # --- events ---------------------------------------------------------------------------------------------

    async def wait_event(self, query: EventQuery) -> EventAnswer:
        platform = self._platform
        platform.router.start(_SHORT_POLL)
        wait_id = self._try.key.command_id(self._try.generation, query.node, query.visit, 0)
        with platform.router.waiters.registered(wait_id) as woken:
            created = self.now()
            wait = WaitRecord(
                id=wait_id,
                instance=self.instance_id,
                branch=self._branch,
                node=query.node,
                event_key=query.event_key,
                reading_rules=query.rules,
                state="open",
                created=created,
                deadline=0 if query.timeout is None else created + round(query.timeout * 1000),
                task_instance=self._try.task_instance,
            )
            wait = await platform.ledger.waits.open(wait, platform.router.id)
            self.note("waiting for an event", node=query.node, event_key=query.event_key)
            pauses = Pauses()
            while wait.state == "open":
                try:
                    wait = await self._next_event(wait, woken)
                    pauses.reset()
                except ServiceUnavailableError as error:
                    self.note("cannot read the ledger yet", error=str(error))
                    await asyncio.sleep(pauses.next())
        if wait.state != "event":
            return EventAnswer(kind="timeout")
        record = await platform.ledger.messages.get(wait.message)
        assert record is not None
        command = parse_command(record.body)
        return EventAnswer(kind="event", payload=command.payload, status=command.status, message=wait.message)

    async def _next_event(self, wait: WaitRecord, woken: asyncio.Event) -> WaitRecord:
        """Take an event that is there, else wait to be woken, or for the time to be up."""
        woken.clear()
        wait = await self._platform.router.events.take(wait, self.now())
        if wait.state != "open":
            return wait
        self._platform.turnstile.leave()
        if await self._expires(woken, wait.deadline):
            return await self._platform.ledger.waits.close(wait, "timed_out", self.now())
        return wait

    # --- requests --------------------------------------------------------------------------------------------

    async def request(self, request: Request) -> Answer:
        platform = self._platform
        platform.router.start(_SHORT_POLL)
        command_id = self._try.key.command_id(self._try.generation, request.node, request.visit, request.attempt)
        with platform.router.waiters.registered(command_id) as woken:
            created = self.now()
            reply_to = await platform.queues.address(platform.settings.names.reply_queue)
            body = self._body(request, command_id, created, reply_to)
            wanted = self._record(request, command_id, created, body)
            again, self._resumed = self._resumed, False
            new, record = await platform.ledger.requests.open(wanted, platform.router.id, again=again)
            if record.state == "open" and record.task_instance > self._try.task_instance:
                raise OvertakenError
            if record.state == "open" and record.task_instance < self._try.task_instance:
                record = await self._close(record, "superseded")
            elif record.state == "open":
                if not record.sent_at:  # else all this has been done: it comes before sending
                    await platform.ledger.requests.point(record)
                    if await platform.router.correlator.take_held(record, self.now()):
                        woken.set()
                    else:
                        body = body if new else self._body(request, command_id, record.created, reply_to)
                        record = await self._send(record, body)
                platform.turnstile.leave()
                record = await self._wait(record, woken)
                _observe(record)
            elif record.state != "answered":
                # Whoever closed it may have died before its box knew; an answered one is the router's.
                await platform.ledger.requests.point_closed(record)
            if record.state == "superseded":
                await self._stop_if_overtaken()
            return _answer(record)

    async def _stop_if_overtaken(self) -> None:
        """Whoever supersedes our request may have ended the region: then the next attempt must not be sent.

        :raises OvertakenError: a newer try is in the journal.
        """
        if await self._platform.ledger.journal.read(self._try.key, self._next_entry):
            raise OvertakenError

    def _body(self, request: Request, command_id: str, created: int, reply_to: str) -> str:
        return request_body(
            instance=self.instance_id,
            workflow_id=self.workflow_id,
            definition_uri=self._instance.definition_uri,
            correlation_id=self.correlation_id,
            command_id=command_id,
            request_key="/".join([self.instance_id, *filter(None, [self._branch]), request.node, str(request.visit)]),
            reply_to=reply_to,
            created=created,
            branch=self._branch,
            capability_id=request.capability_id,
            output_keys=request.request_output_keys,
            context=request.context,
        )

    def _record(self, request: Request, command_id: str, created: int, body: str) -> RequestRecord:
        return RequestRecord(
            command_id=command_id,
            instance=self.instance_id,
            region=self._try.key.region,
            scope=self._try.key.scope,
            node=request.node,
            visit=request.visit,
            attempt=request.attempt,
            source=request.capability_id,
            branch=self._branch,
            state="open",
            created=created,
            deadline=0 if request.timeout is None else created + round(request.timeout * 1000),
            sent_at=0,
            task_instance=self._try.task_instance,
            body_hash=sha256(body),
            owners=frozenset(),
        )

    async def _close(self, record: RequestRecord, state: Any, reason: str = "") -> RequestRecord:
        """Close the request unless a reply was faster; the request as it is then."""
        requests = self._platform.ledger.requests
        _, closed = await requests.close(record.command_id, state, self.now(), reason=reason)
        closed = _still_there(closed, record.command_id)
        if closed.state == state:
            await requests.point_closed(closed)
        return closed

    async def _send(self, record: RequestRecord, body: str) -> RequestRecord:
        """Send until SQS takes it, or it is certain that it cannot be sent."""
        platform, pauses = self._platform, Pauses()
        if sha256(body) != record.body_hash:
            reason = "the request's body differs from the one sent before under this command id"
            return await self._close(record, "failed", reason)
        if reason := request_fault(body):
            return await self._close(record, "failed", reason)
        while not record.deadline or self.now() < record.deadline:
            try:
                queue = await capability_queue(platform.queues, platform.settings.names, record.source)
                if queue is None:
                    names = platform.settings.names
                    reason = (
                        f"no queue for {record.source}: neither {names.capability_queue(record.source)}"
                        f" nor {names.fallback_queue} exists"
                    )
                    return await self._close(record, "failed", reason)
                await send_request(queue, body, record.instance, record.command_id)
            except MessageRefusedError as error:
                return await self._close(record, "failed", str(error))
            except ServiceUnavailableError as error:
                self.note("cannot send yet", node=record.node, error=str(error))
                platform.turnstile.leave()
                await asyncio.sleep(pauses.next())
            else:
                await platform.ledger.requests.sent(record.command_id, self.now())
                metrics.count("cch.requests", capability=record.source)
                self.note(
                    "request sent",
                    node=record.node,
                    capability=record.source,
                    command_id=record.command_id,
                    queue=queue.name,
                )
                return record
        return record

    async def _wait(self, record: RequestRecord, woken: Wake) -> RequestRecord:
        """Wait until the request is closed: by a reply, or by us when its time is up."""
        pauses = Pauses()
        while record.state == "open":
            if await self._expires(woken, record.deadline):
                return await self._close(record, "timed_out")
            woken.clear()
            if woken.closed is not None:
                return woken.closed
            try:
                found = await self._platform.ledger.requests.get(record.command_id)
            except CchError as error:
                self.note("cannot read the ledger yet", error=str(error))
                await asyncio.sleep(pauses.next())
                woken.set()
                continue
            pauses.reset()
            record = _still_there(found, record.command_id)
        return record

    async def _expires(self, woken: asyncio.Event, deadline: int) -> bool:
        """Wait to be woken; whether instead the time is up. ``deadline``: ms, 0 for never."""
        seconds = max(0.0, (deadline - self.now()) / 1000) if deadline else None
        try:
            async with asyncio.timeout(seconds):  # wait_for would make a task for each waiter
                await woken.wait()
        except TimeoutError:
            return await self._time_is_up(deadline)
        return False

    async def _time_is_up(self, deadline: int) -> bool:
        """Whether the store's clock agrees; a wrong local clock must not end a request."""
        server = await self._platform.ledger.store.server_time()
        if server is None or abs(server - self.now()) <= _CLOCK_TOLERANCE or server >= deadline:
            return True
        log.warning(
            "this machine's clock is wrong: not timing out yet", extra={"cch_clock_difference_ms": self.now() - server}
        )
        await asyncio.sleep(_CLOCK_TOLERANCE / 1000)
        return False


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


def _answer(record: RequestRecord) -> Answer:
    match record.state:
        case "answered":
            return Answer(
                kind="reply",
                at=record.closed_at,
                command_id=record.command_id,
                status=record.reply_status or "SUCCESS",
                payload=record.reply,
            )
        case "timed_out":
            return Answer(kind="timeout", at=record.closed_at, command_id=record.command_id)
        case "superseded":
            return Answer(kind="superseded", at=record.closed_at, command_id=record.command_id)
        case _:
            return Answer(kind="unsendable", at=record.closed_at, command_id=record.command_id, reason=record.reason)


def _still_there(record: RequestRecord | None, command_id: str) -> RequestRecord:
    """:raises LedgerError: the table has lost the request, and nobody can answer it any more."""
    if record is None:
        raise LedgerError(f"the ledger has lost request {command_id}: was the table restored, or an item deleted?")
    return record
