"""A table in memory, with the same contract as DynamoDB's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cch.ledger.store import LAST, Change, ConditionFailedError, Item, Key, Place, Value, When, holds

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
_KEYS = (("PK", "SK"), *INDEXES.values())


def _refuse_keys(item: Item) -> None:
    """:raises ValueError: DynamoDB would refuse the item, because a key is empty or too long."""
    for names in _KEYS:
        for name, most in zip(names, _LONGEST, strict=True):
            value = item.get(name, 0)
            if isinstance(value, str) and not 0 < len(value.encode()) <= most:
                raise ValueError(f"key {name} must have 1 to {most} bytes, but is {value[:60]!r}")


class MemoryStore:
    """Items in a dictionary. Safe within one event loop: no operation awaits between reading and writing."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Item]] = {}
        self.calls = 0

    def _old(self, key: Key) -> Item | None:
        return self._partitions.get(key[0], {}).get(key[1])

    async def get(self, key: Key) -> Item | None:
        self.calls += 1
        item = self._old(key)
        return dict(item) if item else None

    async def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self.calls += 1
        return {key: dict(item) for key in keys if (item := self._old(key))}

    def _check(self, key: Key, when: When | None) -> Item | None:
        old = self._old(key)
        if not holds(when, old):
            raise ConditionFailedError(dict(old) if old else None)
        return old

    async def put(self, item: Item, when: When | None = None) -> None:
        self.calls += 1
        key = (item["PK"], item["SK"])
        _refuse_keys(item)
        self._check(key, when)
        self._partitions.setdefault(key[0], {})[key[1]] = dict(item)

    async def update(self, key: Key, change: Change, when: When | None = None) -> Item:
        self.calls += 1
        old = self._check(key, when)
        new: dict[str, Any] = dict(old or {"PK": key[0], "SK": key[1]})
        new.update(change.set)
        for name in change.remove:
            new.pop(name, None)
        for name, member in change.add.items():
            new[name] = frozenset(new.get(name, frozenset())) | {member}
        _refuse_keys(new)
        self._partitions.setdefault(key[0], {})[key[1]] = new
        return dict(new)

    async def delete(self, key: Key) -> None:
        self.calls += 1
        partition = self._partitions.get(key[0], {})
        partition.pop(key[1], None)
        if not partition:
            self._partitions.pop(key[0], None)

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
        partition = self._partitions.get(pk, {})
        assert between is None or all(between), "DynamoDB takes no empty text in a key"
        low, high = between or (prefix, prefix + LAST)
        keys = sorted((sk for sk in partition if low <= sk <= high), reverse=last)
        return [dict(partition[sk]) for sk in keys[:limit]]

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
        selects, sorts = INDEXES[index]

        def place(item: Item) -> tuple[Any, str, str]:
            return item[sorts], item["PK"], item["SK"]

        items = (item for part in self._partitions.values() for item in part.values())
        found = [item for item in items if item.get(selects) == value and sorts in item]
        if between is not None:
            found = [item for item in found if between[0] <= item[sorts] <= between[1]]
        if after is not None:
            start = (after.sort, *after.key)
            found = [item for item in found if (place(item) < start if newest else place(item) > start)]
        return [dict(item) for item in sorted(found, key=place, reverse=newest)[:limit]]

    async def counted(self, index: str, value: str, between: tuple[Value, Value], most: int) -> int:
        return len(await self.listed(index, value, limit=most, between=between))

    async def scan(self, prefix: str) -> list[Item]:
        self.calls += 1
        found = [part for pk, part in self._partitions.items() if pk.startswith(prefix)]
        return [dict(item) for part in found for item in part.values()]

    async def server_time(self) -> int | None:
        return None


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
