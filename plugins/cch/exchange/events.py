"""Events: stored until a wait takes them, also when they come before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cch.envelope import Command, parse_command
from cch.exchange.meaning import several, unaddressable
from cch.exchange.settled import Settled
from cch.identity import Box, require_known
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import ENDED, Fate, Instance, MessageRecord
from cch.ledger.waiting import EVENTS
from cch.ledger.waits import WaitRecord

#: Stands for the source of every event in the pointers to held messages.
EVENT_SOURCE = EVENTS


def _fits(command: Command, wait: WaitRecord) -> bool:
    right_item = command.address.fits(wait.path)
    return wait.state == "open" and right_item and (not wait.event_key or wait.event_key in command.payload)


def _ambiguous(command: Command, waits: Iterable[WaitRecord], items: Sequence[tuple[str, ...]]) -> str:
    """Why nobody can tell which item of a map the event is for; "" if it is clear, or for the instance itself."""
    if not command.address.path:
        return ""
    fitting = [wait for wait in waits if _fits(command, wait)]
    if not command.address.whole and (reason := several(command.address, {*items, *(w.path for w in fitting)})):
        return reason
    for number, one in enumerate(fitting):
        for other in fitting[number + 1 :]:
            same_key = one.event_key == other.event_key or not one.event_key or not other.event_key
            if one.scope != other.scope and same_key:
                return (
                    f"items of two maps wait for it, both with branch key {command.branch!r}: use different event_keys"
                )
    return ""


class Events:
    """Applies the rules of the ledger's protocol to events."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def event(self, command: Command, record: MessageRecord) -> Settled:
        """Keep the event for the waits of its instance and branch, and name those that are open.

        :raises UnknownSchemeError: a later release made the instance; the message stays in its queue.
        """
        instance = await self._ledger.instances.head(command.instance)
        if instance is None:
            return await self._settle(record, "orphan", f"no instance {command.instance}")
        require_known(instance.scheme, instance.id)
        if (ended := _no_longer(instance)) is not None:
            return await self._settle(record, *ended)
        box = instance.box(command.branch)
        waits = await self._waits(box) if command.address.path else []
        unclear = unaddressable(command, instance) or _ambiguous(command, waits, await self._items(command, box))
        if unclear:
            return await self._settle(record, "orphan", unclear)
        first = await self._ledger.messages.first_of(record, box)
        if first != record.key:
            return await self._settle(record, "duplicate", f"event {command.id} came before, as {first}")
        held = await self._ledger.messages.hold(record, box, EVENT_SOURCE)
        # The instance may have ended, and swept up, between our first look and our pointer.
        now = await self._ledger.instances.head(instance.id) if held.fate == "held" else None
        if now is not None and (ended := _no_longer(now)) is not None:
            await self._ledger.messages.end_hold(record.key, *ended)
            return Settled(stored=Stored(record.key), fate=ended[0])
        to_wake = tuple(w for w in await self._waits(box) if w.state == "open" and command.address.fits(w.path))
        return Settled(stored=Stored(record.key), fate=held.fate, waits=to_wake)

    async def _waits(self, box: Box) -> list[WaitRecord]:
        return await self._ledger.waits.of_box(box)

    async def _items(self, command: Command, box: Box) -> Sequence[tuple[str, ...]]:
        needed = command.address.path and not command.address.whole
        return await self._ledger.instances.nested_items(box) if needed else ()

    async def _settle(self, record: MessageRecord, fate: Fate, reason: str) -> Settled:
        stored = await self._ledger.messages.settle(replace(record, fate=fate, reason=reason))
        return Settled(stored=stored, fate=fate)

    async def take(self, wait: WaitRecord, now: int) -> WaitRecord:
        """Let the oldest event that fits end the wait; the wait as it is then."""
        for held in await self._ledger.messages.held(wait.box, EVENT_SOURCE):
            record = await self._ledger.messages.get(held.key)
            if record is None or record.fate not in ("held", "matched"):
                continue
            if not _fits(command := parse_command(record.body), wait):
                continue
            if wait.path and record.fate == "held":  # items that share the box may have begun since it came
                others = await self._waits(wait.box)
                if reason := _ambiguous(command, others, await self._items(command, wait.box)):
                    await self._ledger.messages.end_hold(held.key, "orphan", reason)
                    await self._ledger.messages.unhold(wait.box, held.pointer)
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


def _no_longer(instance: Instance) -> tuple[Fate, str] | None:
    return ("late", f"instance {instance.id} has {instance.status}") if instance.status in ENDED else None
