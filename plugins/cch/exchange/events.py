"""Events: stored until a wait takes them, also when they come before it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cch.envelope import Command, parse_command
from cch.exchange.early import keep
from cch.exchange.meaning import several, unaddressable
from cch.exchange.settled import Settled
from cch.expressions.computing import computed
from cch.identity import Address, Box, require_known
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import ENDED, Fate, Instance, MessageRecord
from cch.ledger.waiting import EVENTS
from cch.ledger.waits import WaitRecord

#: Stands for the source of every event in the pointers to held messages.
EVENT_SOURCE = EVENTS


async def _fits(command: Command, wait: WaitRecord) -> bool:
    if wait.state != "open" or not command.address.fits(wait.path):
        return False
    return await takes(wait, command.payload)


async def takes(wait: WaitRecord, payload: Mapping[str, Any]) -> bool:
    """As :meth:`WaitRecord.takes`, where others wait in the event loop."""
    return await computed(functools.partial(wait.takes, payload)) if wait.match else wait.takes(payload)


async def _ambiguous(command: Command, waits: Iterable[WaitRecord], items: Sequence[tuple[str, ...]]) -> str:
    """Why nobody can tell which item of a map the event is for; "" if it is clear, or for the instance itself."""
    if not command.address.path:
        return ""
    fitting = [wait for wait in waits if await _fits(command, wait)]
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

    async def event(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """Keep the event for the waits of its instance and branch, and name those that are open.

        :raises UnknownSchemeError: a later release made the instance; the message stays in its queue.
        """
        instance = await self._ledger.instances.head(command.instance)
        if instance is None:
            return await self._before_its_instance(command, record, now)
        require_known(instance.scheme, instance.id)
        if (ended := _no_longer(instance)) is not None:
            return await self._settle(record, *ended)
        box = instance.box(command.branch)
        waits = await self._waits(box) if command.address.path else []
        unclear = unaddressable(command, instance) or await _ambiguous(command, waits, await self._items(command, box))
        if unclear:
            return await self._settle(record, "orphan", unclear)
        first = await self._ledger.messages.first_of(record, box)
        if first != record.key:
            return await self._settle(record, "duplicate", f"event {command.id} came before, as {first}")
        held = await self._ledger.messages.hold(record, box, EVENT_SOURCE)
        return await self._held(command, box, held, now)

    async def _held(self, command: Command, box: Box, held: MessageRecord, now: int) -> Settled:
        """The event is kept: whose waits may take it, unless the instance has ended meanwhile."""
        if held.fate == "held":
            # It may have ended, and swept up, between our first look and our pointer.
            instance = await self._ledger.instances.head(command.instance)
            if instance is not None and (ended := _no_longer(instance)) is not None:
                await self._ledger.messages.end_hold(held.key, ended[0], now, ended[1])
                return Settled(stored=Stored(held.key), fate=ended[0])
        waits = [wait for wait in await self._waits(box) if wait.state == "open" and command.address.fits(wait.path)]
        return Settled(stored=Stored(held.key), fate=held.fate, waits=tuple(waits))

    async def _before_its_instance(self, command: Command, record: MessageRecord, now: int) -> Settled:
        box = Box(record.instance, record.branch)
        first = await self._ledger.messages.first_of(record, box)
        if first != record.key:
            return await self._settle(record, "duplicate", f"event {record.command_id} came before, as {first}")
        _, held = await keep(self._ledger, record, EVENT_SOURCE, now)
        return await self._held(command, box, held, now)  # it may have begun in between, and not have seen it

    async def _waits(self, box: Box) -> list[WaitRecord]:
        return await self._ledger.waits.of_box(box)

    async def _items(self, command: Command, box: Box) -> Sequence[tuple[str, ...]]:
        needed = command.address.path and not command.address.whole
        return await self._ledger.maps.nested_items(box) if needed else ()

    async def _settle(self, record: MessageRecord, fate: Fate, reason: str) -> Settled:
        stored = await self._ledger.messages.settle(replace(record, fate=fate, reason=reason))
        return Settled(stored=stored, fate=fate)

    async def take(self, wait: WaitRecord, now: int) -> WaitRecord:
        """Let the oldest event that fits end the wait; the wait as it is then."""
        for held in await self._ledger.messages.held(wait.box, EVENT_SOURCE):
            record = await self._ledger.messages.get(held.key)
            if record is None or record.fate not in ("held", "matched"):
                continue
            if not await _fits(command := parse_command(record.body), wait):
                continue
            if wait.path and record.fate == "held":  # items that share the box may have begun since it came
                others = await self._waits(wait.box)
                if reason := await _ambiguous(command, others, await self._items(command, wait.box)):
                    await self._ledger.messages.end_hold(held.key, "orphan", now, reason)
                    await self._ledger.messages.unhold(wait.box, held.pointer)
                    continue
            if not await self._ledger.messages.consume(held.key, wait.id, wait.event_key):
                continue
            closed = await self._ledger.waits.close(wait, "event", now, held.key)
            if closed.state == "event" and closed.message == held.key:
                await self._ledger.messages.end_hold(held.key, "matched", now)
            else:
                await self._ledger.messages.release(held.key, wait.id, wait.event_key)
            return closed
        return wait

    async def attach(
        self, wait_id: str, instance: Instance, command: Command, record: MessageRecord, now: int, *, force: bool
    ) -> tuple[str, WaitRecord | None]:
        """Let an event that nobody took end an open wait of the instance, because a person says so.

        ``force``: also if it is for another instance or item, or lacks the wait's key. Returns why not, or "", and the
        wait, whose owners must look again. To repeat it, also after a crash, changes nothing.
        """
        wait = await self._find(wait_id, instance)
        if wait is None:
            return f"instance {instance.id} has no open wait {wait_id}", None
        if wait.message != record.key:
            if wait.state != "open":
                return f"the wait has ended: {wait.state.replace('_', ' ')}", None
            if not force and (difference := await _difference(command, record, wait)):
                return f"{difference}; it needs force", None
        if record.fate == "matched" and wait.message != record.key:
            return "another wait has taken the event", None
        if record.fate != "matched" and not await self._ledger.messages.attach(record, wait.id):
            return "the event is taken, or is none that can be attached", None
        closed = await self._ledger.waits.close(wait, "event", now, record.key)
        if closed.message != record.key:
            await self._ledger.messages.detach(record, wait.id)
            return "the wait ended meanwhile", None
        await self._ledger.messages.attached(record.key, wait.id)
        return "", closed

    async def _find(self, wait_id: str, instance: Instance) -> WaitRecord | None:
        boxes = await self._ledger.boxes(instance)
        found = [wait for box in boxes for wait in await self._waits(box) if wait.id == wait_id]
        return found[0] if found else None


async def _difference(command: Command, record: MessageRecord, wait: WaitRecord) -> str:
    """What speaks against the event being for the wait; "" if nothing does."""
    if record.instance != wait.instance:
        return f"the event is for instance {record.instance!r}, the wait is of {wait.instance!r}"
    if not command.address.fits(wait.path):
        return f"the event is for {command.address}, the wait is of {Address(wait.path)}"
    if not await takes(wait, command.payload):
        wanted = (
            f"has no {wait.event_key!r}, which the wait asks for" if not wait.match else "is none that the wait takes"
        )
        return f"the event {wanted}"
    return ""


def _no_longer(instance: Instance) -> tuple[Fate, str] | None:
    return ("late", f"instance {instance.id} has {instance.status}") if instance.status in ENDED else None
