"""Events: stored until a wait takes them, also when they come before it."""

from __future__ import annotations

from dataclasses import replace

from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import ENDED, Fate, MessageRecord
from cch.ledger.waiting import EVENTS
from cch.ledger.waits import WaitRecord
from cch.replies.correlation import Settled
from cch.replies.envelope import Command, parse_command

#: Stands for the source of every event in the pointers to held messages.
EVENT_SOURCE = EVENTS


class Events:
    """Applies the rules of the ledger's protocol to events."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def event(self, command: Command, record: MessageRecord) -> Settled:
        """Keep the event for the waits of its instance and branch, and name those that are open."""
        if (ended := await self._no_longer(command.instance)) is not None:
            return await self._settle(record, *ended)
        first = await self._ledger.messages.first_of(record)
        if first != record.key:
            return await self._settle(record, "duplicate", f"event {command.id} came before, as {first}")
        held = await self._ledger.messages.hold(record, EVENT_SOURCE)
        # The instance may have ended, and swept up, between our first look and our pointer.
        if held.fate == "held" and (ended := await self._no_longer(command.instance)) is not None:
            await self._ledger.messages.end_hold(record.key, *ended)
            return Settled(stored=Stored(record.key), fate=ended[0])
        waits = await self._ledger.waits.of_box(command.instance, command.branch)
        still_open = tuple(wait for wait in waits if wait.state == "open")
        return Settled(stored=Stored(record.key), fate=held.fate, waits=still_open)

    async def _no_longer(self, instance: str) -> tuple[Fate, str] | None:
        status = await self._ledger.instances.status(instance)
        if status is None:
            return "orphan", f"no instance {instance}"
        return ("late", f"instance {instance} has {status}") if status in ENDED else None

    async def _settle(self, record: MessageRecord, fate: Fate, reason: str) -> Settled:
        stored = await self._ledger.messages.settle(replace(record, fate=fate, reason=reason))
        return Settled(stored=stored, fate=fate)

    async def sweep(self, instance: str) -> None:
        """What is still held for an instance that has ended came too late."""
        for branch in ("", *await self._ledger.instances.branches(instance)):
            for held in await self._ledger.messages.all_held(instance, branch):
                await self._ledger.messages.end_hold(held.key, "late", f"instance {instance} has ended")
                await self._ledger.messages.unhold(instance, branch, held.pointer)

    async def take(self, wait: WaitRecord, now: int) -> WaitRecord:
        """Let the oldest event that fits end the wait; the wait as it is then."""
        for held in await self._ledger.messages.held(wait.instance, wait.branch, EVENT_SOURCE):
            record = await self._ledger.messages.get(held.key)
            if record is None or not wait.takes(parse_command(record.body).payload):
                continue
            if not await self._ledger.messages.consume(held.key, wait.id, wait.event_key):
                continue
            closed = await self._ledger.waits.close(wait, "event", now, held.key)
            if closed.state == "event" and closed.message == held.key:
                await self._ledger.messages.end_hold(held.key, "matched")
            else:
                await self._ledger.messages.release(held.key, wait.id, wait.event_key)
            return closed
        return wait
