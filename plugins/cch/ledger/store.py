"""The few operations that the ledger needs from a table: single-item conditional writes and strong reads.

Items are flat: attribute → text, whole number, or set of texts. ``PK`` and ``SK`` are the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Value = str | int | frozenset[str]
Item = dict[str, Any]
Key = tuple[str, str]
#: Greatest character: ``(text, text + LAST)`` are the bounds of everything that begins with ``text``.
LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands in an index: its key and its sort value."""

    key: Key
    sort: str | int


@dataclass(frozen=True, slots=True)
class Absent:
    """The attribute is not there; ``Absent("PK")``: the item is not there."""

    name: str


@dataclass(frozen=True, slots=True)
class Equals:
    """The attribute has this value."""

    name: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Below:
    """The attribute is less than this value (text: by code point)."""

    name: str
    value: str | int


Clause = Absent | Equals | Below


@dataclass(frozen=True, slots=True)
class When:
    """A condition: at least one of the alternatives, each with all of its clauses."""

    alternatives: tuple[tuple[Clause, ...], ...]

    @classmethod
    def all(cls, *clauses: Clause) -> When:
        return cls((clauses,))

    @classmethod
    def any(cls, *clauses: Clause) -> When:
        return cls(tuple((clause,) for clause in clauses))


NEW = When.all(Absent("PK"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Attributes to set, to remove, and members to add to text sets."""

    set: Mapping[str, Value] = field(default_factory=dict)
    remove: Sequence[str] = ()
    add: Mapping[str, str] = field(default_factory=dict)


#: A change, and the clauses under which it may be made.
Step = tuple[Change, tuple[Clause, ...]]


class ConditionFailedError(Exception):
    """The condition did not hold; ``item`` is what was there (None: nothing)."""

    def __init__(self, item: Item | None) -> None:
        self.item = item
        super().__init__("condition failed")


class ItemStore(Protocol):
    """One table.

    Every conditional write names its writer, so that one whose answer was lost is recognised when it is repeated:
    implementations report it as done. Reads are strongly consistent, except :meth:`listed`.
    """

    async def get(self, key: Key) -> Item | None: ...

    async def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]: ...

    async def put(self, item: Item, when: When | None = None) -> None:
        """:raises ConditionFailedError: ``when`` does not hold."""
        ...

    async def update(self, key: Key, change: Change, when: When | None = None) -> Item:
        """The item after the change. Without ``when`` a missing item is made.

        :raises ConditionFailedError: ``when`` does not hold.
        """
        ...

    async def delete(self, key: Key) -> None: ...

    async def query(
        self,
        pk: str,
        prefix: str = "",
        *,
        limit: int | None = None,
        last: bool = False,
        between: tuple[str, str] | None = None,
    ) -> list[Item]:
        """Items of a partition whose ``SK`` begins with ``prefix``, by ``SK`` (``last``: from the end).

        ``between``: instead, those from the first to the second ``SK``, both included.
        """
        ...

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
        """Items of an index (eventually consistent), by its sort key. For lists only, never to decide.

        ``between``: only sort values from the first to the second, both included. ``after``: go on behind the item
        that stood there.
        """
        ...

    async def counted(self, index: str, value: str, between: tuple[Value, Value], most: int) -> int:
        """How many items :meth:`listed` would find, counted up to ``most``."""
        ...

    async def scan(self, prefix: str) -> list[Item]:
        """Every item whose ``PK`` begins with ``prefix``. For audits only."""
        ...

    async def server_time(self) -> int | None:
        """The store's clock in ms from a fresh answer; None if it does not tell."""
        ...


class BlobStore(Protocol):
    """Where texts go that are too large for an item; named by whose they are and by their content."""

    async def write(self, name: str, text: str) -> None: ...

    async def read(self, name: str) -> str: ...

    async def delete_below(self, prefix: str) -> int:
        """Delete every text whose name begins so; how many there were."""
        ...


def holds(when: When | None, item: Mapping[str, Any] | None) -> bool:
    """Whether ``when`` is true of ``item``; what a table does, for stores that are no table."""
    if when is None:
        return True
    return any(_all_hold(clauses, item or {}) for clauses in when.alternatives)


def _all_hold(clauses: Iterable[Clause], item: Mapping[str, Any]) -> bool:
    for clause in clauses:
        match clause:
            case Absent(name):
                true = name not in item
            case Equals(name, value):
                true = item.get(name) == value
            case Below(name, value):
                true = type(item.get(name)) is type(value) and item[name] < value
        if not true:
            return False
    return True
