"""What is open, for people's lists: requests and waits for events, by instance and by capability.

The same item that opens or closes a wait carries the indexes' attributes, so these lists cost no write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.identity import FIRST_SCHEME, Scope
from cch.ledger.store import (
    Absent,
    Below,
    Change,
    ConditionFailedError,
    Equals,
    Item,
    ItemStore,
    Key,
    Place,
    When,
)

#: Open waits for events stand under this in the index by capability; no capability can have this id.
EVENTS = "!event"
#: Attributes that an item has as long as it is open.
OPEN_ATTRIBUTES = ("open_capability", "open_instance")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWait:
    """One open request (``id`` is its command id) or wait for an event. Times in ms, 0 for none."""

    id: str
    instance: str
    branch: str
    node: str
    capability: str
    since: int
    deadline: int
    event_key: str = ""
    #: What has to be true of the event, too; "" if nothing.
    match: str = ""
    #: Branch keys of the item that waits, from the outside in.
    path: tuple[str, ...] = ()

    @property
    def is_event(self) -> bool:
        return self.capability == EVENTS


async def prolong(store: ItemStore, key: Key, deadline: int, held: int) -> None:
    """Move the deadline (ms) of what is open, once for the hold that began at ``held`` (ms)."""
    still_open = Equals("state", "open")
    once = When(((still_open, Absent("prolonged")), (still_open, Below("prolonged", held))))
    try:
        await store.update(key, Change(set={"deadline": deadline, "prolonged": held}), once)
    except ConditionFailedError:
        pass  # it is closed, or was prolonged before


def open_attributes(instance: str, capability: str, since: int) -> Mapping[str, Any]:
    """What lists an item as open."""
    return {"open_capability": capability, "open_instance": instance, "asked": since}


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose a pointer in a box is: the instance, and the branch keys of the item from the outside in."""

    instance: str
    path: tuple[str, ...]

    @classmethod
    def of(cls, item: Item) -> Whose:
        """Read from the pointer; those of the first scheme, and of the root, have it in the box's key alone."""
        _, instance, branch = item["PK"].split("#", 2)
        if "scope" in item:
            return cls(instance, Scope(item["scope"]).branch_path(""))
        return cls(instance, () if branch == "-" else (branch,))

    @property
    def branch(self) -> str:
        """The item's own key, "" for the root."""
        return self.path[-1] if self.path else ""


def scope_attribute(scope: Scope) -> Mapping[str, Any]:
    """What a pointer says of the scope that waits, where the box's key does not say it all."""
    return {} if scope.scheme in (None, FIRST_SCHEME) else {"scope": scope.text}


def _open(item: Item) -> OpenWait:
    whose = Whose.of(item)
    return OpenWait(
        id=item["SK"].rsplit("#", 1)[1],
        instance=whose.instance,
        branch=whose.branch,
        path=whose.path,
        node=item.get("node", ""),
        capability=item["open_capability"],
        since=item["asked"],
        deadline=item.get("deadline", 0),
        event_key=item.get("event_key", ""),
        match=item.get("match", ""),
    )


class Waiting:
    """Eventually consistent, as indexes are."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def of_instance(self, instance: str, limit: int) -> list[OpenWait]:
        """What an instance and the items of its maps wait for, oldest first."""
        items = await self._store.listed("by_waiting", instance, limit=limit, newest=False)
        return [_open(item) for item in items]

    async def of_capability(self, capability: str, limit: int, after: Place | None) -> list[tuple[OpenWait, Place]]:
        """Who waits for a capability (:data:`EVENTS`: for an event), oldest first, each with its place."""
        items = await self._store.listed("by_capability", capability, limit=limit, newest=False, after=after)
        return [(_open(item), Place((item["PK"], item["SK"]), item["asked"])) for item in items]
