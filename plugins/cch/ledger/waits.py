"""Waits for events: like a request, one item decides between event and timeout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cch.definition.paths import read_key
from cch.definition.rules import FIRST
from cch.expressions.matching import read_match
from cch.identity import FIRST_SCHEME, NEWEST_SCHEME, ROOT, Box, Scope
from cch.ledger.store import NEW, Change, ConditionFailedError, Equals, Item, ItemStore, When
from cch.ledger.waiting import EVENTS, OPEN_ATTRIBUTES, Whose, open_attributes, prolong, scope_attribute
from cch.values import MISSING

WaitState = Literal["open", "event", "timed_out", "superseded"]
_OPEN = When.all(Equals("state", "open"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRecord:
    """One visit's wait. ``message`` is the key of the event that ended it; times in ms, 0 for none."""

    id: str
    instance: str
    branch: str
    node: str
    event_key: str
    state: WaitState
    created: int
    deadline: int
    task_instance: str
    owners: frozenset[str] = frozenset()
    message: str = ""
    closed_at: int = 0
    scope: Scope = ROOT
    scheme: int = NEWEST_SCHEME
    #: Number of the rules by which ``event_key`` is read.
    reading_rules: int = FIRST
    #: What has to be true of the event, too, as :mod:`cch.expressions.matching` stores it; "" if nothing.
    match: str = ""

    @property
    def box(self) -> Box:
        return Box(self.instance, self.branch, self.scheme)

    @property
    def path(self) -> tuple[str, ...]:
        """Branch keys of the item that waits, from the outside in."""
        if self.scope.is_root:  # also in the first scheme, where only the box says whose it is
            return (self.branch,) if self.branch else ()
        return self.scope.branch_path(self.branch)

    def takes(self, payload: Mapping[str, Any]) -> bool:
        """Whether an event with this payload ends the wait. With a ``match`` it may take a second or two."""
        if self.event_key and read_key(self.event_key, self.reading_rules).find(payload) is MISSING:
            return False
        found = read_match(self.match) if self.match else None
        return found.takes(payload) if found is not None else not self.match


_TEXTS = ("node", "event_key", "match", "state", "task_instance", "message")
_NUMBERS = ("created", "deadline", "closed_at")


class Waits:
    """``BOX#<instance>#<branch>`` / ``EVT#<wait id>``: truth and pointer in one item."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    def _record(self, item: Item) -> WaitRecord:
        values: dict[str, Any] = {name: item.get(name, "") for name in _TEXTS}
        values |= {name: item.get(name, 0) for name in _NUMBERS}
        whose = Whose.of(item)
        return WaitRecord(
            id=item["SK"].removeprefix("EVT#"),
            instance=whose.instance,
            branch=whose.branch,
            scope=Scope(item.get("scope", "")),
            scheme=item.get("scheme", FIRST_SCHEME),
            owners=frozenset(item.get("owners", ())),
            reading_rules=item.get("reading_rules", FIRST),
            **values,
        )

    async def open(self, record: WaitRecord, owner: str) -> WaitRecord:
        """Put the wait, or become an owner of the one that is there; the wait as stored."""
        key = (record.box.key, f"EVT#{record.id}")
        item: Item = {"PK": key[0], "SK": key[1], "owners": frozenset({owner}), "scheme": record.scheme}
        for name in (*_TEXTS, *_NUMBERS, "reading_rules"):
            if (value := getattr(record, name)) not in ("", 0):
                item[name] = value
        item |= {**open_attributes(record.instance, EVENTS, record.created), **scope_attribute(record.scope)}
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError:
            try:
                return self._record(await self._store.update(key, Change(add={"owners": owner}), _OPEN))
            except ConditionFailedError as closed:
                assert closed.item is not None
                return self._record(closed.item)
        return self._record(item)

    async def close(self, record: WaitRecord, state: WaitState, now: int, message: str = "") -> WaitRecord:
        """Close the wait unless it is closed; the wait as it is then."""
        change: dict[str, Any] = {"state": state, "closed_at": now, **({"message": message} if message else {})}
        key = (record.box.key, f"EVT#{record.id}")
        try:
            done = Change(set=change, remove=OPEN_ATTRIBUTES)
            return self._record(await self._store.update(key, done, _OPEN))
        except ConditionFailedError as closed:
            assert closed.item is not None
            return self._record(closed.item)

    async def rewrite(self, wanted: WaitRecord) -> WaitRecord:
        """An open wait takes other events from now on: those that ``wanted`` takes; the wait as it is then."""
        texts = {"event_key": wanted.event_key, "match": wanted.match}
        change = Change(
            set={name: text for name, text in texts.items() if text},
            remove=tuple(name for name, text in texts.items() if not text),
        )
        try:
            return self._record(await self._store.update((wanted.box.key, f"EVT#{wanted.id}"), change, _OPEN))
        except ConditionFailedError as closed:
            assert closed.item is not None
            return self._record(closed.item)

    async def prolong(self, record: WaitRecord, length: int, held: int) -> None:
        """Move the deadline of an open wait by ``length`` (ms), once for the hold that began at ``held`` (ms)."""
        await prolong(self._store, (record.box.key, f"EVT#{record.id}"), record.deadline + length, held)

    async def of_box(self, box: Box) -> list[WaitRecord]:
        """Every wait in a box, oldest first."""
        items = await self._store.query(box.key, "EVT#")
        return sorted((self._record(item) for item in items), key=lambda wait: wait.created)
