"""Messages off the queues: stored under their transport identity before they are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cch.identity import Box, event_identity
from cch.ledger.payloads import Payloads, sha256
from cch.ledger.records import FINAL, Fate, MessageRecord
from cch.ledger.store import NEW, Absent, Change, ConditionFailedError, Equals, Item, ItemStore, Place, When

_TEXTS = ("fate", "kind", "reason", "instance", "source", "branch", "command_id", "claimed_for")
#: Fates that a person may have to look at.
LISTED: frozenset[Fate] = frozenset({"orphan", "malformed", "late", "rejected", "held"})
#: Fates of replies and events that a person may still give to a request or a wait.
ATTACHABLE: tuple[Fate, ...] = ("orphan", "late", "held")


@dataclass(frozen=True, slots=True)
class Stored:
    """Proof that a message's final fate is in the ledger; a queue deletes only against it."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Pointer to a reply that came before anybody asked."""

    key: str
    pointer: str


#: Attribute with the wait that took an event whatever its keys.
_ANY = "consumed_by"


def _consumer(event_key: str) -> str:
    """Attribute with the wait that took an event for this key."""
    return f"consumed_{sha256(event_key)[:12]}" if event_key else _ANY


def message_key(queue: str, message_id: str) -> str:
    return f"MSG#{queue}#{message_id}"


def message_id(key: str) -> str:
    """A message's id for people and in addresses: ``<queue>:<MessageId>``."""
    return key.removeprefix("MSG#").replace("#", ":")


def key_of(identifier: str) -> str:
    """The key of the message with that id."""
    queue, _, message = identifier.rpartition(":")
    return message_key(queue, message)


class Messages:
    """``MSG#<queue>#<MessageId>`` and the pointers ``BOX#…`` / ``HELD#<sent>#<message>``."""

    def __init__(self, store: ItemStore, payloads: Payloads, retention_seconds: int = 0) -> None:
        self._store = store
        self._payloads = payloads
        self._retention = retention_seconds

    def _expiry(self, fate: Fate, since: int) -> dict[str, int]:
        """When a message expires that has changed nothing; one that did goes with its instance."""
        lasts = not self._retention or fate == "matched" or fate not in FINAL
        return {} if lasts else {"expires": since // 1000 + self._retention}

    async def get_many(self, keys: Sequence[str]) -> dict[str, MessageRecord]:
        """Those of the messages that are known (without bodies)."""
        items = await self._store.get_many([(key, "-") for key in keys]) if keys else {}
        return {key: _record(item, "") for (key, _), item in items.items()}

    async def get(self, key: str) -> MessageRecord | None:
        """The message with its body."""
        item = await self._store.get((key, "-"))
        return _record(item, await self._payloads.unpack("body", item)) if item else None

    async def settle(self, record: MessageRecord) -> Stored:
        """Store the final fate. A fate that is already final stays: redelivery changes nothing."""
        assert record.fate in FINAL
        item = await self._item(record) | self._expiry(record.fate, record.received)
        open_or_new = When.any(Absent("PK"), Equals("fate", "held"), Equals("fate", "claimed"))
        try:
            await self._store.put(item, open_or_new)
        except ConditionFailedError:
            pass
        return Stored(record.key)

    async def hold(self, record: MessageRecord, box: Box, source: str = "") -> MessageRecord:
        """Store a reply or event that nobody waits for yet, and let a box know (under ``source``)."""
        held = replace(record, fate="held")
        try:
            await self._store.put(await self._item(held), NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            held = _record(failed.item, record.body)
        if held.fate == "held":
            await self._store.put(_pointer(record, box, source or record.source))
        return held

    async def claim(self, record: MessageRecord, command_id: str) -> str:
        """Bind the message to one request before that request is closed; the request it is bound to in the end.

        Returns "" if the message already has a final fate.
        """
        item = await self._item(replace(record, fate="claimed", claimed_for=command_id))
        try:
            await self._store.put(item, When.any(Absent("PK"), Equals("fate", "held")))
        except ConditionFailedError as failed:
            assert failed.item is not None
            return str(failed.item.get("claimed_for", "")) if failed.item["fate"] == "claimed" else ""
        return command_id

    async def held(self, box: Box, source: str) -> list[Held]:
        """Replies of a source that came early, oldest first."""
        items = await self._store.query(box.key, "HELD#")
        return [Held(key=item["SK"].split("#", 2)[2], pointer=item["SK"]) for item in items if item["source"] == source]

    async def unhold(self, box: Box, pointer: str) -> None:
        await self._store.delete((box.key, pointer))

    async def first_of(self, record: MessageRecord, box: Box) -> str:
        """Key of the first message that brought this event: the sender's id tells a repeated one."""
        key = (box.key, event_identity(record.source, record.command_id, box.scheme))
        try:
            await self._store.put({"PK": key[0], "SK": key[1], "message": record.key}, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            return str(failed.item["message"])
        return record.key

    async def consume(self, key: str, wait: str, event_key: str) -> bool:
        """Let a wait have an event, unless another wait has it; an event serves one wait for each event key."""
        mine = _consumer(event_key)
        free = (Absent(mine), Absent(_ANY)) if event_key else (Absent(_ANY), Equals("fate", "held"))
        try:
            await self._store.update((key, "-"), Change(set={mine: wait}), When((free, (Equals(mine, wait),))))
        except ConditionFailedError:
            return False
        return True

    async def release(self, key: str, wait: str, event_key: str) -> None:
        """Give an event back: its wait had timed out before."""
        mine = _consumer(event_key)
        try:
            await self._store.update((key, "-"), Change(remove=(mine,)), When.all(Equals(mine, wait)))
        except ConditionFailedError:
            pass  # it was never this wait's

    async def end_hold(self, key: str, fate: Fate, now: int, reason: str = "") -> None:
        """The final fate of a held message, whose body stays."""
        change: dict[str, str | int] = {"fate": fate, **self._expiry(fate, now)}
        if reason:
            change["reason"] = reason
        if fate in LISTED:
            change["open_fate"] = fate
        listed = () if fate in LISTED else ("open_fate",)
        try:
            await self._store.update((key, "-"), Change(set=change, remove=listed), When.all(Equals("fate", "held")))
        except ConditionFailedError:
            pass  # it has one

    async def all_held(self, box: Box) -> list[Held]:
        """Everything that is held in a box, whatever its source."""
        items = await self._store.query(box.key, "HELD#")
        return [Held(key=item["SK"].split("#", 2)[2], pointer=item["SK"]) for item in items]

    async def unmatched(self, fate: Fate, limit: int = 100, after: Place | None = None) -> list[MessageRecord]:
        """Messages of a fate that a person may look at, newest first (eventually consistent)."""
        return [_record(item, "") for item in await self._store.listed("by_fate", fate, limit=limit, after=after)]

    async def longest_held(self, before: int, most: int) -> list[MessageRecord]:
        """Messages that are held since before a time (ms), the longest first (eventually consistent)."""
        items = await self._store.listed("by_fate", "held", limit=most, newest=False)
        return [_record(item, "") for item in items if item["received"] < before]

    async def attach(self, record: MessageRecord, command_id: str) -> bool:
        """Bind a message that found nobody to a request, before that request is closed; False if it is taken."""
        # It stays listed until its request is closed: nobody finds it otherwise if we die in between.
        change = Change(set={"fate": "claimed", "claimed_for": command_id}, remove=("expires",))
        free = [(Equals("fate", fate),) for fate in ATTACHABLE]
        mine = (Equals("claimed_for", command_id),)
        try:
            await self._store.update((record.key, "-"), change, When((*free, mine)))
        except ConditionFailedError:
            return False
        return True

    async def hold_again(self, record: MessageRecord, box: Box) -> bool:
        """Keep a reply that found nobody for the next request of its source in a box; False if somebody has taken it.

        To repeat it changes nothing.
        """
        change = Change(set={"fate": "held", "open_fate": "held"}, remove=("expires", "reason"))
        try:
            await self._store.update((record.key, "-"), change, When(tuple((Equals("fate", f),) for f in ATTACHABLE)))
        except ConditionFailedError:
            return False
        await self._store.put(_pointer(record, box, record.source))
        return True

    async def attached(self, key: str, wait: str) -> None:
        """The final fate of an event that a person gave to a wait; its body stays, for the wait reads it."""
        change = Change(set={"fate": "matched", _ANY: wait}, remove=("open_fate", "reason"))
        try:
            await self._store.update((key, "-"), change, When.all(Equals("claimed_for", wait)))
        except ConditionFailedError:
            pass  # it was given to another wait before

    async def detach(self, record: MessageRecord, command_id: str) -> None:
        """Give a message its fate back: the request was closed by something else."""
        change = Change(
            set={"fate": record.fate, **self._expiry(record.fate, record.received)}, remove=("claimed_for",)
        )
        mine = When.all(Equals("claimed_for", command_id), Equals("fate", "claimed"))
        try:
            await self._store.update((record.key, "-"), change, mine)
        except ConditionFailedError:
            pass  # another attachment has it

    async def _item(self, record: MessageRecord) -> Item:
        item: Item = {"PK": record.key, "SK": "-", "received": record.received}
        item |= {name: value for name in _TEXTS if (value := getattr(record, name))}
        if record.fate in LISTED:
            item["open_fate"] = record.fate
        if record.body and record.fate != "matched":
            item |= await self._payloads.pack("body", record.body, record.instance)
        return item


def _pointer(record: MessageRecord, box: Box, source: str) -> Item:
    return {"PK": box.key, "SK": f"HELD#{record.received:015d}#{record.key}", "source": source}


def _record(item: Item, body: str) -> MessageRecord:
    values: dict[str, Any] = {name: item.get(name, "") for name in _TEXTS}
    return MessageRecord(key=item["PK"], received=item["received"], body=body, **values)
