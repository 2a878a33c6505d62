"""The router: takes messages off the reply and command queues, one per process, whoever waits.

Per batch: read what is known of the messages, then for each decode → correlate → store → wake → delete. The
number of waiters does not matter: a wake is one look into a dictionary.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from cch import metrics
from cch.errors import CchError, MalformedMessageError, RejectedMessageError
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import FINAL, MessageRecord
from cch.names import Names
from cch.pauses import Pauses
from cch.replies.correlation import Correlator, Settled
from cch.replies.envelope import Command, parse_command
from cch.replies.events import Events
from cch.replies.queue import BATCH, ILLEGAL, LONGEST_WAIT, MessageQueue, Queues, Received
from cch.replies.starts import Admission, Starter
from cch.replies.waiters import Waiters

log = logging.getLogger(__name__)

#: Seconds between two writes of the router's counters.
_COUNTERS_EVERY = 30.0
#: Seconds between two rounds in which every waiter looks for itself: finds what a lost wake left behind.
_SWEEP_EVERY = 600.0
#: Seconds between two waiters of a round: all at once would throttle the table, and stop the event loop for seconds.
_SWEEP_PAUSE = 0.25
#: A router that has not been heard of for so long (ms) is no more, whatever its clock; and how often that is looked up.
_GONE, _LOOK_FOR_GONE = 86_400_000, 300_000
#: Bodies forwarded to the queue of rejected messages are cut there (bytes): SQS counts attributes into the same limit.
_FORWARD_BYTES = 200_000
#: Longest reason that is stored (characters): it may quote what the sender wrote.
_LONGEST_REASON = 600


def _legal(text: str) -> str:
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


class Router:
    """One per process and event loop.

    ``doorbell`` is called after a start was stored, in this process; commands are consumed only where it is set.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        queues: Queues,
        names: Names,
        admission: Admission,
        clock: Callable[[], int],
        consumers: int = 4,
        mailbox_seconds: float = 1.0,
    ) -> None:
        self.id = uuid.uuid4().hex[:16]
        self.waiters = Waiters()
        self.fates: Counter[str] = Counter()
        self._ledger = ledger
        self._queues = queues
        self._names = names
        self._clock = clock
        self._consumers = consumers
        self._mailbox_seconds = mailbox_seconds
        self.correlator = Correlator(ledger, lambda request: self.waiters.wake(request.command_id, request))
        self.events = Events(ledger)
        self._starter = Starter(ledger, admission)
        self._doorbells: set[Callable[[], None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._polling: set[asyncio.Task[Any]] = set()
        self._commands: asyncio.Task[None] | None = None
        self._wait = float(LONGEST_WAIT)
        self._stopping = False
        #: Set while batches come full: more than one consumer is worth its calls only then.
        self._busy = asyncio.Event()
        self._known_gone: frozenset[str] = frozenset()
        self._looked_for_gone = 0
        #: Set while the ledger answers, as the mailbox finds: nobody is sent to look while it does not.
        self._answers = asyncio.Event()

    # --- one batch -------------------------------------------------------------------------------------------

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
        await self._wake(wakes)
        if rings:
            for ring in tuple(self._doorbells):
                ring()
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
        request = await self._ledger.requests.get(known.claimed_for) if known.claimed_for else None
        if request is not None and known.fate == "matched":
            await self._ledger.requests.point_closed(request, known.command_id)
        if known.kind == "START_WORKFLOW" and known.fate == "matched":
            instance = await self._ledger.instances.find(known.instance)
            if instance is not None and instance.status == "pending":
                await self._ledger.mailboxes.enqueue_start(instance.id, instance.workflow_id, self._clock())
        return Settled(stored=Stored(known.key), fate=known.fate, request=request)

    async def _dispatch(self, command: Command, record: MessageRecord) -> Settled:
        now = self._clock()
        match command.kind:
            case "START_WORKFLOW":
                return await self._starter.start(command, record, now)
            case "ASYNC_RESP":
                return await self.correlator.reply(command, record, now)
            case "EVENT_WAIT_RESP":
                return await self.events.event(command, record)

    async def _refuse(self, message: Received, record: MessageRecord) -> Settled:
        """Forward to the queue of rejected messages with the reason, then store; at least once, never not."""
        queue = await self._queues.find(self._names.rejected_queue(message.queue))
        body = message.body.encode("utf-8", "replace").decode("utf-8")
        record = replace(record, body=body, reason=_legal(record.reason)[:_LONGEST_REASON])
        log.warning(
            "message refused", extra={"cch_message": message.key, "cch_fate": record.fate, "cch_reason": record.reason}
        )
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

    async def _wake(self, wakes: dict[str, set[str]]) -> None:
        for command_id in wakes.pop(self.id, ()):
            self.waiters.wake(command_id)
        gone = await self._gone() if wakes else ()
        for owner, command_ids in wakes.items():
            if owner not in gone:
                await self._ledger.mailboxes.wake(owner, sorted(command_ids), self._clock())

    async def _gone(self) -> frozenset[str]:
        """Routers that nobody has to wake: a request that waits for months has had many."""
        now = self._clock()
        if now - self._looked_for_gone > _LOOK_FOR_GONE:
            self._looked_for_gone, self._known_gone = now, await self._ledger.mailboxes.gone(now - _GONE)
        return self._known_gone

    # --- running ---------------------------------------------------------------------------------------------

    def start(self, wait: float = LONGEST_WAIT) -> None:
        """Begin to consume replies, in the event loop that waits; does nothing the second time.

        ``wait``: seconds of one long poll. Short where the router soon stops: what a poll that is broken off has
        received stays invisible to others until SQS hands it out again.
        """
        if self._tasks:
            return
        self._wait = wait
        for index in range(self._consumers):
            self._spawn(self._consume(self._names.reply_queue, extra=index > 0), f"cch replies {index}")
        self._spawn(self._repeat(self._mailbox_seconds, self._read_mailbox), "cch mailbox")
        self._spawn(self._repeat(_COUNTERS_EVERY, self._write_counters), "cch counters")
        self._spawn(self._repeat(_SWEEP_EVERY, self._sweep), "cch sweep")

    def _spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Stop consuming after the polls under way have ended, so that nothing they receive is left lying."""
        self._stopping = True
        polling = [task for task in self._tasks if task in self._polling]
        if polling:
            await asyncio.wait(polling, timeout=self._wait + 1)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def attach_doorbell(self, ring: Callable[[], None]) -> None:
        """Consume commands too, and call ``ring`` after each batch that holds a start."""
        self._doorbells.add(ring)
        if self._commands is None or self._commands.done():
            self._commands = self._spawn(self._consume(self._names.command_queue), "cch commands")

    def detach_doorbell(self, ring: Callable[[], None]) -> None:
        self._doorbells.discard(ring)
        if not self._doorbells and self._commands is not None:
            self._commands.cancel()
            self._commands = None

    async def _consume(self, name: str, *, extra: bool = False) -> None:
        """Long-poll one queue for ever. Extra consumers only help while batches come full."""
        pauses = Pauses()
        while not self._stopping:
            try:
                queue = await self._queue(name)
                if extra:
                    await self._busy.wait()
                size = await self._polled(queue, 0.0 if extra else self._wait)
                if size == BATCH:
                    self._busy.set()
                elif extra or size == 0:
                    self._busy.clear()
                pauses.reset()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round may work; nothing was deleted
                log.warning(
                    "cannot consume", extra={"cch_queue": name, "cch_error": f"{type(error).__name__}: {error}"}
                )
                await asyncio.sleep(pauses.next())

    async def _queue(self, name: str) -> MessageQueue:
        queue = await self._queues.find(name)
        if queue is None:
            raise CchError(f"there is no queue {name}: create the resources, or check CCH_ENV and CCH_OWNER")
        return queue

    async def _polled(self, queue: MessageQueue, wait: float) -> int:
        task = asyncio.current_task()
        assert task is not None
        self._polling.add(task)
        try:
            return await self._take(queue, wait)
        finally:
            self._polling.discard(task)

    async def _take(self, queue: MessageQueue, wait: float) -> int:
        batch = await queue.receive(wait)
        if batch:
            done = await self.handle(batch)
            if done:
                await queue.delete(done)
        return len(batch)

    async def _repeat(self, every: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a failed round is repeated
                log.warning("router's round failed", extra={"cch_round": work.__name__, "cch_error": str(error)})

    async def _read_mailbox(self) -> None:
        if len(self.waiters):
            self._answers.clear()
            found = await self._ledger.mailboxes.wakes(self.id)
            self._answers.set()
            for command_id in found:
                try:
                    await self._ledger.mailboxes.forget(self.id, command_id)
                finally:  # also after a failure: it may have been taken out all the same
                    self.waiters.wake(command_id)

    async def _write_counters(self) -> None:
        counters = {f"fate_{fate}": number for fate, number in self.fates.items()}
        facts = {"waiters": len(self.waiters), "commands": int(self._commands is not None)}
        metrics.gauge("cch.waiting", len(self.waiters), host=metrics.hostname())
        await self._ledger.mailboxes.count(self.id, {**counters, **facts}, self._clock())

    async def _sweep(self) -> None:
        for command_id in self.waiters.all():
            await self._answers.wait()
            self.waiters.wake(command_id)
            await asyncio.sleep(_SWEEP_PAUSE)
