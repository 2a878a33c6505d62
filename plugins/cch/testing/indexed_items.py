"""Items in memory, found by key, by a range of a partition and by a range of an index, at the cost of what is found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from cch.ledger.store import Item, Key, Place, Value

T = TypeVar("T")
_sort_value = itemgetter(0)


@dataclass(slots=True)
class _Partition:
    items: dict[str, Item] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


class IndexedItems:
    """``indexes``: name → (attribute that selects, attribute that sorts). Nobody changes an item that is in here."""

    def __init__(self, indexes: Mapping[str, tuple[str, str]]) -> None:
        self._keys = tuple(indexes.items())
        self._partitions: dict[str, _Partition] = {}
        #: Index → value that selects → (value that sorts, PK, SK), sorted.
        self._entries: dict[str, dict[Any, list[tuple[Any, str, str]]]] = {name: {} for name in indexes}

    def __iter__(self) -> Iterator[Item]:
        for partition in self._partitions.values():
            yield from partition.items.values()

    def get(self, key: Key) -> Item | None:
        partition = self._partitions.get(key[0])
        return partition.items.get(key[1]) if partition else None

    def put(self, item: Item) -> None:
        """Add an item, or replace the one that has its key."""
        pk, sk = item["PK"], item["SK"]
        old = self.get((pk, sk))
        self._move(old or {}, item, pk, sk)
        partition = self._partitions.setdefault(pk, _Partition())
        if old is None:
            insort(partition.order, sk)
        partition.items[sk] = item

    def remove(self, key: Key) -> None:
        """Also of what is not there."""
        partition = self._partitions.get(key[0])
        old = partition.items.pop(key[1], None) if partition else None
        if partition is None or old is None:
            return
        self._move(old, {}, *key)
        del partition.order[bisect_left(partition.order, key[1])]
        if not partition.items:
            del self._partitions[key[0]]

    def _move(self, old: Item, new: Item, pk: str, sk: str) -> None:
        """From its places in the indexes to the new ones."""
        for name, (selects, sorts) in self._keys:
            left = (old[selects], old[sorts]) if selects in old and sorts in old else None
            comes = (new[selects], new[sorts]) if selects in new and sorts in new else None
            if left == comes:
                continue
            entries = self._entries[name]
            if left is not None:
                found = entries[left[0]]
                del found[bisect_left(found, (left[1], pk, sk))]
                if not found:
                    del entries[left[0]]
            if comes is not None:
                insort(entries.setdefault(comes[0], []), (comes[1], pk, sk))

    def in_partition(self, pk: str, low: str, high: str, *, last: bool, limit: int | None) -> list[Item]:
        """Items whose ``SK`` is from the first to the second, both included, by ``SK`` (``last``: from the end)."""
        partition = self._partitions.get(pk)
        if partition is None:
            return []
        begin, end = bisect_left(partition.order, low), bisect_right(partition.order, high)
        return [partition.items[sk] for sk in _some(partition.order, begin, end, last=last, limit=limit)]

    def in_index(
        self,
        index: str,
        value: str,
        between: tuple[Value, Value] | None,
        after: Place | None,
        *,
        last: bool,
        limit: int,
    ) -> list[Item]:
        """Items of an index by their sort value (``last``: from the end), those behind ``after``."""
        entries = self._entries[index].get(value, [])
        begin, end = 0, len(entries)
        if between is not None:
            begin = bisect_left(entries, between[0], key=_sort_value)
            end = bisect_right(entries, between[1], key=_sort_value)
        if after is not None:
            place = (after.sort, *after.key)
            if last:
                end = min(end, bisect_left(entries, place))
            else:
                begin = max(begin, bisect_right(entries, place))
        found = _some(entries, begin, end, last=last, limit=limit)
        return [self._partitions[pk].items[sk] for _, pk, sk in found]

    def beginning(self, prefix: str) -> list[Item]:
        """Items whose ``PK`` begins so."""
        found = (part for pk, part in self._partitions.items() if pk.startswith(prefix))
        return [item for part in found for item in part.items.values()]


def _some(ordered: list[T], begin: int, end: int, *, last: bool, limit: int | None) -> Iterable[T]:
    if last:
        begin = begin if limit is None else max(begin, end - limit)
        return reversed(ordered[begin:end])
    return ordered[begin : end if limit is None else min(end, begin + limit)]
