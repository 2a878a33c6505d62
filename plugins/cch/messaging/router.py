"""The router: takes messages off the reply and command queues, one per process, whoever waits.

It only composes: :mod:`~cch.messaging.consumer` receives, :mod:`~cch.messaging.intake` decides,
:mod:`~cch.messaging.mailbox` wakes. The number of waiters does not matter: a wake is one look into a dictionary.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cch import metrics
from cch.exchange import Exchange
from cch.ledger.ledger import Ledger
from cch.messaging.consumer import Consumer
from cch.messaging.intake import Intake
from cch.messaging.mailbox import Mailbox
from cch.messaging.queue import LONGEST_WAIT, Queues
from cch.messaging.starts import Admission
from cch.names import Names

log = logging.getLogger(__name__)

#: Seconds between two writes of the router's counters.
_COUNTERS_EVERY = 30.0
#: Seconds between two rounds in which every waiter looks for itself.
_SWEEP_EVERY = 600.0


class Router:
    """One per process and event loop.

    Commands are consumed only where a doorbell is attached, which rings after a start was stored in this process.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        exchange: Exchange,
        queues: Queues,
        names: Names,
        admission: Admission,
        clock: Callable[[], int],
        consumers: int = 4,
        mailbox_seconds: float = 1.0,
    ) -> None:
        self.mailbox = Mailbox(ledger, exchange, clock)
        self.intake = Intake(
            ledger=ledger, exchange=exchange, mailbox=self.mailbox, queues=queues, names=names, admission=admission,
            clock=clock, started=self._ring,
        )  # fmt: skip
        self._exchange = exchange
        self._ledger = ledger
        self._queues = queues
        self._names = names
        self._clock = clock
        self._number = consumers
        self._mailbox_seconds = mailbox_seconds
        self._doorbells: set[Callable[[], None]] = set()
        self._consumers: dict[Consumer, asyncio.Task[None]] = {}
        self._rounds: list[asyncio.Task[None]] = []
        self._commands: Consumer | None = None
        self._wait = float(LONGEST_WAIT)

    @property
    def id(self) -> str:
        """Its name among the owners of what is waited for."""
        return self._exchange.id

    def start(self, wait: float = LONGEST_WAIT) -> None:
        """Begin to consume replies, in the event loop that waits; does nothing the second time.

        ``wait``: seconds of one long poll. Short where the router soon stops: what a poll that is broken off has
        received stays invisible to others until SQS hands it out again.
        """
        if self._rounds:
            return
        self._wait = wait
        busy = asyncio.Event()
        for index in range(self._number):
            self._consume(Consumer(self.intake, self._queues, self._names.reply_queue, busy, extra=index > 0))
        self._repeat(self._mailbox_seconds, self.mailbox.read)
        self._repeat(_COUNTERS_EVERY, self._write_counters)
        self._repeat(_SWEEP_EVERY, self.mailbox.sweep)

    async def stop(self) -> None:
        """Stop consuming after the polls under way have ended."""
        polls = [asyncio.ensure_future(consumer.finish()) for consumer in self._consumers]
        if polls:
            await asyncio.wait(polls, timeout=self._wait + 1)
        tasks = (*polls, *self._consumers.values(), *self._rounds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def attach_doorbell(self, ring: Callable[[], None]) -> None:
        """Consume commands too, and call ``ring`` after each batch that holds a start."""
        self._doorbells.add(ring)
        if self._commands is None:
            self._commands = Consumer(self.intake, self._queues, self._names.command_queue, asyncio.Event())
            self._consume(self._commands)

    def detach_doorbell(self, ring: Callable[[], None]) -> None:
        self._doorbells.discard(ring)
        if not self._doorbells and self._commands is not None:
            self._consumers.pop(self._commands).cancel()
            self._commands = None

    def _ring(self) -> None:
        for ring in tuple(self._doorbells):
            ring()

    def _consume(self, consumer: Consumer) -> None:
        self._consumers[consumer] = asyncio.ensure_future(consumer.run(self._wait))

    def _repeat(self, every: float, work: Callable[[], Awaitable[None]]) -> None:
        self._rounds.append(asyncio.ensure_future(_rounds(every, work)))

    async def _write_counters(self) -> None:
        counters = {f"fate_{fate}": number for fate, number in self.intake.fates.items()}
        waiting = len(self._exchange.waiters)
        facts = {"waiters": waiting, "commands": int(self._commands is not None)}
        metrics.gauge("cch.waiting", waiting, host=metrics.hostname())
        await self._ledger.mailboxes.count(self.id, {**counters, **facts}, self._clock())


async def _rounds(every: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - a failed round is repeated
            log.warning("router's round failed", extra={"cch_round": work.__name__, "cch_error": str(error)})
