"""A table in memory, with the same contract as DynamoDB's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cch.ledger.store import LAST, Change, ConditionFailedError, Item, Key, Place, Value, When, holds
from cch.testing.indexed_items import IndexedItems

#: Index name → (attribute that selects, attribute that sorts); must equal cch.aws.tables.INDEXES.
INDEXES: Mapping[str, tuple[str, str]] = {
    "by_key": ("key_head", "correlation_id"),
    "by_workflow": ("workflow_id", "status_started"),
    "by_status": ("status", "started"),
    "by_fate": ("open_fate", "received"),
    "by_capability": ("open_capability", "asked"),
    "by_waiting": ("open_instance", "asked"),
    "by_live": ("live", "checked"),
}
#: Longest values of the attributes that keys are made of, in bytes (DynamoDB quotas).
_LONGEST = (2048, 1024)
#: Largest item in bytes (DynamoDB quota).
_LARGEST = 400 * 1024


class MemoryStore:
    """Items in memory. Safe within one event loop: no operation awaits between reading and writing."""

    def __init__(self, indexes: Mapping[str, tuple[str, str]] = INDEXES) -> None:
        self._items = IndexedItems(indexes)
        self._keys = (("PK", "SK"), *indexes.values())
        self.calls = 0

    def _refuse(self, item: Item) -> None:
        """:raises ValueError: DynamoDB would refuse the item: a key is empty or too long, or the item too large."""
        for names in self._keys:
            for name, most in zip(names, _LONGEST, strict=True):
                value = item.get(name, 0)
                if isinstance(value, str) and not 0 < len(value.encode()) <= most:
                    raise ValueError(f"key {name} must have 1 to {most} bytes, but is {value[:60]!r}")
        if (size := item_size(item)) > _LARGEST:
            raise ValueError(f"Item size has exceeded the maximum allowed size: {size} bytes")

    async def get(self, key: Key) -> Item | None:
        self.calls += 1
        item = self._items.get(key)
        return dict(item) if item else None

    async def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self.calls += 1
        return {key: dict(item) for key in keys if (item := self._items.get(key))}

    def _check(self, key: Key, when: When | None) -> Item | None:
        old = self._items.get(key)
        if not holds(when, old):
            raise ConditionFailedError(dict(old) if old else None)
        return old

    async def put(self, item: Item, when: When | None = None) -> None:
        self.calls += 1
        self._refuse(item)
        self._check((item["PK"], item["SK"]), when)
        self._items.put(dict(item))

    async def update(self, key: Key, change: Change, when: When | None = None) -> Item:
        self.calls += 1
        old = self._check(key, when)
        new: dict[str, Any] = dict(old or {"PK": key[0], "SK": key[1]})
        new.update(change.set)
        for name in change.remove:
            new.pop(name, None)
        for name, member in change.add.items():
            members = new.get(name, frozenset())
            if not isinstance(members, frozenset):
                raise ValueError(f"{name} is no set, and {member!r} cannot be added to it")  # noqa: TRY004 - the table refuses it
            new[name] = members | {member}
        self._refuse(new)
        self._items.put(new)
        return dict(new)

    async def delete(self, key: Key) -> None:
        self.calls += 1
        self._items.remove(key)

    async def query(
        self,
        pk: str,
        prefix: str = "",
        *,
        limit: int | None = None,
        last: bool = False,
        between: tuple[str, str] | None = None,
    ) -> list[Item]:
        self.calls += 1
        assert between is None or all(between), "DynamoDB takes no empty text in a key"
        low, high = between or (prefix, prefix + LAST)
        return [dict(item) for item in self._items.in_partition(pk, low, high, last=last, limit=limit)]

    async def listed(
        self,
        index: str,
        value: str,
        *,
        limit: int = 100,
        newest: bool = True,
        between: tuple[Value, Value] | None = None,
        after: Place | None = None,
    ) -> list[Item]:
        self.calls += 1
        return [dict(item) for item in self._items.in_index(index, value, between, after, last=newest, limit=limit)]

    async def counted(self, index: str, value: str, between: tuple[Value, Value], most: int) -> int:
        return len(await self.listed(index, value, limit=most, between=between))

    async def scan(self, prefix: str) -> list[Item]:
        self.calls += 1
        return [dict(item) for item in self._items.beginning(prefix)]

    async def server_time(self) -> int | None:
        return None

    def refill(self, items: Iterable[Item]) -> None:
        """Have these items, and no others."""
        for item in list(self._items):
            self._items.remove((item["PK"], item["SK"]))
        for item in items:
            self._items.put(dict(item))


def item_size(item: Item) -> int:
    """What DynamoDB counts of an item, in bytes, but for numbers, which are small."""
    size = 0
    for name, value in item.items():
        size += len(name)
        if isinstance(value, str):
            size += len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, frozenset):
            size += sum(len(member.encode()) for member in value)
    return size


class MemoryArchive:
    """Documents by name, in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    async def write(self, name: str, data: bytes) -> None:
        self.documents[name] = data

    async def read(self, name: str) -> bytes | None:
        return self.documents.get(name)


class MemoryBlobs:
    """Texts by name, in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def write(self, name: str, text: str) -> None:
        self.texts[name] = text

    async def read(self, name: str) -> str:
        return self.texts[name]

    async def delete_below(self, prefix: str) -> int:
        gone = [name for name in self.texts if name.startswith(prefix)]
        for name in gone:
            del self.texts[name]
        return len(gone)
