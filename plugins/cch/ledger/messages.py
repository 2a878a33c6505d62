"""Messages off the queues: stored under their transport identity before they are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cch.ledger.payloads import Payloads
from cch.ledger.records import FINAL, Fate, MessageRecord
from cch.ledger.requests import box_of
from cch.ledger.store import NEW, Absent, ConditionFailedError, Equals, Item, ItemStore, When

_TEXTS = ("fate", "kind", "reason", "instance", "source", "branch", "command_id", "claimed_for")
#: Fates that a person may have to look at.
_UNMATCHED: frozenset[Fate] = frozenset({"orphan", "malformed", "late", "rejected"})


@dataclass(frozen=True, slots=True)
class Stored:
    """Proof that a message's final fate is in the ledger; a queue deletes only against it."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Pointer to a reply that came before anybody asked."""

    key: str
    pointer: str


def message_key(queue: str, message_id: str) -> str:
    return f"MSG#{queue}#{message_id}"


class Messages:
    """``MSG#<queue>#<MessageId>`` and the pointers ``BOX#…`` / ``HELD#<sent>#<message>``."""

    def __init__(self, store: ItemStore, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

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
        item = await self._item(record)
        open_or_new = When.any(Absent("PK"), Equals("fate", "held"), Equals("fate", "claimed"))
        try:
            await self._store.put(item, open_or_new)
        except ConditionFailedError:
            pass
        return Stored(record.key)

    async def hold(self, record: MessageRecord) -> MessageRecord:
        """Store a reply that nobody asked for yet, and let its box know."""
        held = replace(record, fate="held")
        try:
            await self._store.put(await self._item(held), NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            held = _record(failed.item, record.body)
        if held.fate == "held":
            await self._store.put(
                {
                    "PK": box_of(record.instance, record.branch),
                    "SK": f"HELD#{record.received:015d}#{record.key}",
                    "source": record.source,
                }
            )
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

    async def held(self, instance: str, branch: str, source: str) -> list[Held]:
        """Replies of a source that came early, oldest first."""
        box = box_of(instance, branch)
        items = await self._store.query(box, "HELD#")
        return [Held(key=item["SK"].split("#", 2)[2], pointer=item["SK"]) for item in items if item["source"] == source]

    async def unhold(self, instance: str, branch: str, pointer: str) -> None:
        await self._store.delete((box_of(instance, branch), pointer))

    async def unmatched(self, fate: Fate, limit: int = 100) -> list[MessageRecord]:
        """Messages of a fate that a person may look at, newest first (eventually consistent)."""
        return [_record(item, "") for item in await self._store.listed("by_fate", fate, limit=limit)]

    async def _item(self, record: MessageRecord) -> Item:
        item: Item = {"PK": record.key, "SK": "-", "received": record.received}
        item |= {name: value for name in _TEXTS if (value := getattr(record, name))}
        if record.fate in _UNMATCHED:
            item["open_fate"] = record.fate
        if record.body and record.fate != "matched":
            item |= await self._payloads.pack("body", record.body)
        return item


def _record(item: Item, body: str) -> MessageRecord:
    values: dict[str, Any] = {name: item.get(name, "") for name in _TEXTS}
    return MessageRecord(key=item["PK"], received=item["received"], body=body, **values)
