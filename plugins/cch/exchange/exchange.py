"""The one way in to what regions ask and what comes back."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from cch.envelope import Command
from cch.errors import LedgerError
from cch.exchange.asking import Sent, Unsent, ask
from cch.exchange.early import give_up
from cch.exchange.events import Events
from cch.exchange.references import References
from cch.exchange.replies import Replies
from cch.exchange.settled import Settled
from cch.exchange.supersession import supersede_all, sweep
from cch.exchange.waiters import Waiters
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, MessageRecord, RequestRecord, RequestState
from cch.ledger.requests import Closed
from cch.ledger.waits import WaitRecord


class Exchange:
    """Of one process. ``id`` names it among the owners of what it waits for; ``clock`` gives ms since 1970.

    Every operation may be repeated after a crash at any point and then changes nothing more.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], int], references: References) -> None:
        self.id = uuid.uuid4().hex[:16]
        self.waiters = Waiters()
        self._ledger = ledger
        self._clock = clock
        self._replies = Replies(ledger, self.waiters, references)
        self._events = Events(ledger)

    # What regions do

    async def ask(self, wanted: RequestRecord, *, again: bool = False) -> Unsent | Sent | Closed:
        """See :func:`cch.exchange.asking.ask`."""
        return await ask(self._ledger, self._replies, wanted, self.id, self._clock(), again=again)

    async def sent(self, record: RequestRecord) -> Sent:
        """The request is in its capability's queue."""
        await self._ledger.requests.sent(record.command_id, self._clock())
        return Sent(record)

    async def look(self, record: RequestRecord) -> RequestRecord | Closed:
        """The request as it is now: still open, or the proof that it is closed.

        :raises LedgerError: the table has lost it, and nobody can answer it any more.
        """
        found = await self._ledger.requests.get(record.command_id)
        if found is None:
            raise _lost(record.command_id)
        return found if found.state == "open" else Closed(found)

    async def close(self, command_id: str, state: RequestState, reason: str = "") -> Closed:
        """Close a request unless a reply, or somebody else, was faster: the proof says how it was closed.

        :raises LedgerError: the table has lost it.
        """
        closed = await self._ledger.requests.close(command_id, state, self._clock(), reason=reason)
        if closed is None:
            raise _lost(command_id)
        return closed

    async def await_event(self, wait: WaitRecord) -> WaitRecord:
        """Open the wait, or become an owner of the one that is there; the wait as stored."""
        return await self._ledger.waits.open(wait, self.id)

    async def await_another(self, wait: WaitRecord) -> WaitRecord:
        """The wait that is there takes from now on what ``wait`` takes; the wait as stored."""
        return await self._ledger.waits.rewrite(wait)

    async def take_event(self, wait: WaitRecord) -> WaitRecord:
        """Let the oldest event that fits end the wait; the wait as it is then."""
        return await self._events.take(wait, self._clock())

    async def give_up(self, wait: WaitRecord) -> WaitRecord:
        """The wait's time is up, unless an event was faster; the wait as it is then."""
        return await self._ledger.waits.close(wait, "timed_out", self._clock())

    # What messages do

    async def reply(self, command: Command, record: MessageRecord) -> Settled:
        """See :meth:`cch.exchange.replies.Replies.reply`."""
        return await self._replies.reply(command, record, self._clock())

    async def event(self, command: Command, record: MessageRecord) -> Settled:
        """See :meth:`cch.exchange.events.Events.event`."""
        return await self._events.event(command, record, self._clock())

    async def again(self, known: MessageRecord) -> Closed | None:
        """See :meth:`cch.exchange.replies.Replies.again`."""
        return await self._replies.again(known)

    async def attach(
        self, command_id: str, command: Command, record: MessageRecord, *, force: bool = False
    ) -> tuple[str, Closed | None]:
        """See :meth:`cch.exchange.replies.Replies.attach`."""
        return await self._replies.attach(command_id, command, record, self._clock(), force=force)

    async def attach_event(
        self, wait_id: str, instance: Instance, command: Command, record: MessageRecord, *, force: bool = False
    ) -> tuple[str, WaitRecord | None]:
        """See :meth:`cch.exchange.events.Events.attach`."""
        return await self._events.attach(wait_id, instance, command, record, self._clock(), force=force)

    async def give_up_early(self) -> int:
        """See :func:`cch.exchange.early.give_up`."""
        return await give_up(self._ledger, self._clock())

    # What the end of an instance does

    async def supersede_all(self, instance: Instance) -> None:
        """Close everything that an ended instance has open, and let what is held for it be late."""
        await supersede_all(self._ledger, instance, self._clock())
        await self.sweep(instance)

    async def sweep(self, instance: Instance) -> None:
        """What is still held for an instance that has ended came too late."""
        await sweep(self._ledger, instance, self._clock())


def _lost(command_id: str) -> LedgerError:
    return LedgerError(f"the ledger has lost request {command_id}: was the table restored, or an item deleted?")
