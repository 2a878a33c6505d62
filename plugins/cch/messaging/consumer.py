"""Consumers: loops that take messages off one queue, as many as the traffic needs."""

from __future__ import annotations

import asyncio
import logging

from cch.errors import CchError
from cch.messaging.intake import Intake
from cch.messaging.queue import BATCH, MessageQueue, Queues
from cch.pauses import Pauses

log = logging.getLogger(__name__)


class Consumer:
    """Long-polls one queue. ``busy`` is shared by all consumers of a queue: set while batches come full."""

    def __init__(self, intake: Intake, queues: Queues, name: str, busy: asyncio.Event, *, extra: bool = False) -> None:
        """``extra``: one that only helps while batches come full, when it is worth its calls."""
        self._intake = intake
        self._queues = queues
        self._name = name
        self._busy = busy
        self._extra = extra
        self._stopping = False
        #: Set while no poll is under way: what one that is broken off has received would stay invisible.
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, wait: float) -> None:
        """Consume until :meth:`finish` is called. ``wait``: seconds of one long poll."""
        pauses = Pauses()
        while not self._stopping:
            try:
                queue = await self._queue()
                if self._extra:
                    await self._busy.wait()
                size = await self._poll(queue, 0.0 if self._extra else wait)
                if size == BATCH:
                    self._busy.set()
                elif self._extra or size == 0:
                    self._busy.clear()
                pauses.reset()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round may work; nothing was deleted
                facts = {"cch_queue": self._name, "cch_error": f"{type(error).__name__}: {error}"}
                log.warning("cannot consume", extra=facts)
                await asyncio.sleep(pauses.next())

    async def finish(self) -> None:
        """Return when the poll under way has ended, so that nothing it receives is left lying."""
        self._stopping = True
        await self._idle.wait()

    async def _queue(self) -> MessageQueue:
        queue = await self._queues.find(self._name)
        if queue is None:
            raise CchError(f"there is no queue {self._name}: create the resources, or check CCH_ENV and CCH_OWNER")
        return queue

    async def _poll(self, queue: MessageQueue, wait: float) -> int:
        self._idle.clear()
        try:
            return await take(self._intake, queue, wait)
        finally:
            self._idle.set()


async def take(intake: Intake, queue: MessageQueue, wait: float) -> int:
    """Receive one batch, bring it to its end, delete what is stored; the number received."""
    batch = await queue.receive(wait)
    if batch:
        done = await intake.handle(batch)
        if done:
            await queue.delete(done)
    return len(batch)
