"""The host of real runs: effects go out over queues, and everything that counts is in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from cch.capabilities.library_calls import LibraryWork, run_library
from cch.envelope import parse_command
from cch.errors import ServiceUnavailableError
from cch.exchange import Closed
from cch.expressions.computing import computed
from cch.identity import Address, ItemStep, Keys, Step
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, EventAnswer, EventQuery, OvertakenError, Request
from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import JournalState
from cch.ledger.payloads import sha256
from cch.ledger.records import Instance, JournalEntry, RegionKey, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.messaging.outgoing import Reference, request_body
from cch.runtime.deadlines import Deadlines
from cch.runtime.flight import Flight
from cch.runtime.journaling import Anew, any_failed, enter
from cch.runtime.lifecycle import Announcer
from cch.runtime.overdue import require_time
from cch.runtime.passing import pass_gate
from cch.runtime.platform import Platform

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds of a long poll where the router runs only for this region (a shared one has been started before).
_SHORT_POLL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try of a region, as its journal records it."""

    key: RegionKey
    task_instance: str
    generation: int
    dropped: Mapping[str, int]


class LedgerHost:
    """:class:`~cch.interpreter.host.Host` for one try of one region."""

    #: Whether nothing of an instance has begun before it, if nothing is recorded.
    _comes_first = True

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
        self.started = instance.started
        self._instance = instance
        self._platform = platform
        self._try = attempt
        self._next_entry = journal.entries if journal else 0
        #: The request that is asked first may have been made before.
        self._resumed = journal is not None and journal.resumed
        #: The process that committed the last turn may have died before it published the turn.
        self._perhaps_untold = journal.latest if journal else ()
        self._flow: TokenFlow | None = None
        self._branch = branch
        publisher = platform.publisher
        self._announcer = publisher and Announcer(publisher, instance, attempt.key, attempt.generation, branch=branch)
        self._deadlines = Deadlines(platform.clock, platform.ledger.store, instance.due)

    def now(self) -> int:
        return self._platform.clock()

    async def sleep_until(self, when: int) -> None:
        self._platform.turnstile.leave()
        await self._persistently(lambda: self._deadlines.sleep_until(when))

    async def compute(self, work: Callable[[], T]) -> T:
        return await computed(work)

    def first_attempt(self, node: str, visit: int) -> int:
        recorded = f"{self._instance.amendments.recorded(node)}#{visit}"
        return self._try.dropped.get(recorded, self._try.dropped.get(f"{node}#{visit}", 0)) + 1

    def _step(self, node: str, visit: int) -> Step:
        recorded = self._instance.amendments.recorded(node)
        return self._try.key.step(self._instance.scheme, self._try.generation, recorded, visit, self._branch)

    def keys(self, node: str, visit: int, attempt: int, *, per_attempt: bool) -> Keys:
        return self._step(node, visit).keys(attempt, per_attempt=per_attempt, call=True)

    def place(self) -> AbstractAsyncContextManager[None]:
        self._platform.turnstile.leave()
        return self._platform.caller.place()

    async def unavailable(self, error: ServiceUnavailableError, tries: int) -> None:
        log.warning("AWS does not answer yet: %s", error, extra={"cch_instance": self.instance_id})
        self._platform.turnstile.leave()
        await asyncio.sleep(self._platform.pauses().after(tries - 1))

    async def _persistently(self, work: Callable[[], Awaitable[T]], *, gated: bool = True) -> T:
        """What ``work`` gives once AWS answers; it may be repeated.

        Out of here the error would begin the region anew, and repeat the calls that are being made beside this.
        ``gated``: gates, a cancellation and the time limit are looked at between two tries.
        """
        tries = 0
        while True:
            try:
                return await work()
            except ServiceUnavailableError as error:
                tries += 1
                await self.unavailable(error, tries)
                if gated:
                    with contextlib.suppress(ServiceUnavailableError):
                        await pass_gate(self._platform, self.instance_id)

    async def call(self, call: Call) -> Any:
        await pass_gate(self._platform, self.instance_id, call.capability_id)
        return await self._platform.caller.run(call)

    async def library(
        self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
    ) -> Any:
        work = LibraryWork(function_id, parameters, context, rules)
        return await asyncio.to_thread(run_library, work, self._platform.settings, self._platform.read_object)

    async def follow(self, flow: TokenFlow) -> None:
        self._flow = flow
        if self._announcer and self._comes_first:
            self._announcer.begun(flow)
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
        journal = self._platform.ledger.journal
        if not await self._persistently(lambda: journal.append(self._try.key, self._next_entry, entry), gated=False):
            raise OvertakenError
        self._next_entry += 1
        for outcome in outcomes:
            self.note(
                "visited", node=outcome.node, visit=outcome.visit, edge=outcome.label, cause=outcome.cause.get("kind")
            )
        await self._announce(outcomes)

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[LedgerHost | None, Sequence[Outcome]]:
        step = ItemStep(node, visit, self._try.generation, branch)
        return await self.open_item(step, index, any_failed)

    async def open_item(self, step: ItemStep, index: int, anew: Anew) -> tuple[LedgerHost, Sequence[Outcome]]:
        """Take part in the journal of an item's scope."""
        ledger, task_instance = self._platform.ledger, self._try.task_instance
        key = self.item_key(step)

        async def entered() -> JournalState | None:
            await ledger.maps.put_scope(key, step.map, index, step.branch)
            return await enter(ledger, key, task_instance, anew, self._instance, now=self.now())

        state = await self._persistently(entered)
        if state is None:
            self._platform.turnstile.leave()
            await asyncio.Event().wait()  # a newer copy of this task runs; Airflow will cancel this one
        assert state is not None
        await self._persistently(lambda: require_time(self._platform, self._instance))
        attempt = Try(key=key, task_instance=task_instance, generation=state.generation, dropped=state.dropped)
        host = LedgerHost(self._platform, self._instance, attempt, state, step.branch)
        return host, tuple(state.outcomes.values())

    def item_key(self, step: ItemStep) -> RegionKey:
        """Where the journal of an item of a map in this scope is."""
        scope = self._try.key.scope.item(step, self._instance.scheme)
        return RegionKey(instance=self._try.key.instance, region=self._try.key.region, scope=scope)

    def note(self, event: str, **facts: Any) -> None:
        if self._branch:
            facts["branch"] = self._branch
        shown = " ".join(f"{key}={value}" for key, value in facts.items() if value not in ("", None))
        log.info(
            "%s %s", event, shown, extra={"cch_instance": self.instance_id, **{f"cch_{k}": v for k, v in facts.items()}}
        )

    async def wait_event(self, query: EventQuery) -> EventAnswer:
        platform = self._platform
        platform.router.start(_SHORT_POLL)
        wait_id = self._step(query.node, query.visit).id
        with platform.exchange.waiters.registered(wait_id) as woken:
            wanted = self._wanted_event(query, wait_id)
            wait = await self._persistently(lambda: self._open_wait(wanted, query.visit))
            self.note("waiting for an event", node=query.node, event_key=query.event_key)
            pauses = platform.pauses()
            while wait.state == "open":
                try:
                    wait = await self._next_event(wait, woken)
                    pauses.reset()
                except ServiceUnavailableError as error:
                    self.note("cannot read the ledger yet", error=str(error))
                    await asyncio.sleep(pauses.next())
        if self._announcer and self._flow:
            self._announcer.wait_ended(wait, query.visit, self._flow)
        if wait.state != "event":
            return EventAnswer(kind="timeout")
        message = wait.message
        record = await self._persistently(lambda: platform.ledger.messages.get(message))
        assert record is not None
        command = parse_command(record.body)
        return EventAnswer(kind="event", payload=command.payload, status=command.status, message=wait.message)

    async def _open_wait(self, wanted: WaitRecord, visit: int) -> WaitRecord:
        await self._announce_wait(wanted, visit)
        wait = await self._platform.exchange.await_event(wanted)
        if self._instance.amendments.count and (wait.event_key, wait.match) != (wanted.event_key, wanted.match):
            wait = await self._platform.exchange.await_another(wanted)  # of the version before, or without a patch
        return wait

    async def _announce_wait(self, wanted: WaitRecord, visit: int) -> None:
        """Tell that the wait begins, unless it is there: before it is, so that a crash in between loses no event."""
        if self._announcer and self._flow and self._announcer.wants_waits():
            known = await self._platform.ledger.waits.of_box(wanted.box)
            if all(wait.id != wanted.id for wait in known):
                await self._announcer.wait_started(wanted, visit, self._flow)

    def _wanted_event(self, query: EventQuery, wait_id: str) -> WaitRecord:
        created = self.now()
        return WaitRecord(
            id=wait_id,
            instance=self.instance_id,
            branch=self._branch,
            node=self._instance.amendments.recorded(query.node),
            event_key=query.event_key,
            match="" if query.match is None else query.match.stored(),
            reading_rules=query.rules,
            state="open",
            created=created,
            deadline=0 if query.timeout is None else created + round(query.timeout * 1000),
            task_instance=self._try.task_instance,
            scope=self._try.key.scope,
            scheme=self._instance.scheme,
        )

    async def _next_event(self, wait: WaitRecord, woken: asyncio.Event) -> WaitRecord:
        """Take an event that is there, else wait to be woken, or for the time to be up."""
        woken.clear()
        wait = await self._platform.exchange.take_event(wait)
        if wait.state != "open":
            return wait
        self._platform.turnstile.leave()
        if await self._deadlines.expires(woken, wait.deadline):
            await pass_gate(self._platform, self.instance_id)
            now = await self._platform.exchange.await_event(wait)
            # If the instance was held, its clocks stood still.
            return now if now.deadline > wait.deadline else await self._platform.exchange.give_up(wait)
        return wait

    async def request(self, request: Request) -> Answer:
        platform = self._platform
        platform.router.start(_SHORT_POLL)
        command_id = self._step(request.node, request.visit).command_id(request.attempt)
        with platform.exchange.waiters.registered(command_id) as woken:
            reply_queue = platform.settings.names.reply_queue
            reply_to = await self._persistently(lambda: platform.queues.address(reply_queue))

            def body(created: int) -> str:
                return self._body(request, command_id, created, reply_to)

            created = self.now()
            text = body(created)
            wanted = self._wanted(request, command_id, created, sha256(text))
            again, self._resumed = self._resumed, False
            flight = Flight(
                platform, wanted, body=text, remade=body, reference=self._reference(request, command_id),
                note=self.note, announced=self._announce_sent, due=self._instance.due,
            )  # fmt: skip
            del text

            async def fly() -> Closed:
                nonlocal again
                asked, again = again, True
                return await flight.fly(woken, again=asked)

            closed = await self._persistently(fly)
            if self._announcer and self._flow:
                self._announcer.request_closed(closed.record, self._flow)
            if closed.record.state == "superseded":
                await self._stop_if_overtaken()
            return _answer(closed)

    async def _announce_sent(self, record: RequestRecord) -> None:
        if self._announcer and self._flow:
            await self._announcer.request_sent(record, self._flow)

    async def map_begun(self, node: str, visit: int, items: int) -> None:
        if self._announcer and self._flow:
            self._announcer.map_started(node, visit, items, at=self.now(), flow=self._flow)

    async def _stop_if_overtaken(self) -> None:
        """Whoever supersedes our request may have ended the region: then the next attempt must not be sent.

        :raises OvertakenError: a newer try is in the journal.
        """
        journal = self._platform.ledger.journal
        if await self._persistently(lambda: journal.read(self._try.key, self._next_entry)):
            raise OvertakenError

    def _body(self, request: Request, command_id: str, created: int, reply_to: str) -> str:
        step = self._step(request.node, request.visit)
        return request_body(
            instance=self.instance_id,
            workflow_id=self.workflow_id,
            definition_uri=self._instance.definition_uri,
            correlation_id=self.correlation_id,
            command_id=command_id,
            request_key=step.keys(request.attempt, per_attempt=request.key_per_attempt).request,
            reply_to=reply_to,
            created=created,
            address=Address(step.scope.branch_path(self._branch)),
            capability_id=request.capability_id,
            output_keys=request.request_output_keys,
            context=request.context,
            reference=self._reference(request, command_id),
        )

    def _reference(self, request: Request, command_id: str) -> Reference | None:
        prefix = self._platform.settings.names.payload_prefix(self.instance_id)
        return Reference.of(request.context, prefix, command_id) if request.payload_ref else None

    def _wanted(self, request: Request, command_id: str, created: int, body_hash: str) -> RequestRecord:
        return RequestRecord(
            command_id=command_id,
            instance=self.instance_id,
            region=self._try.key.region,
            scope=self._try.key.scope,
            scheme=self._instance.scheme,
            generation=self._try.generation,
            node=self._instance.amendments.recorded(request.node),
            visit=request.visit,
            attempt=request.attempt,
            source=request.capability_id,
            branch=self._branch,
            state="open",
            created=created,
            deadline=0 if request.timeout is None else created + round(request.timeout * 1000),
            sent_at=0,
            task_instance=self._try.task_instance,
            body_hash=body_hash,
            owners=frozenset(),
        )


def _answer(closed: Closed) -> Answer:
    record = closed.record
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
