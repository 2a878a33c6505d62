"""Holds of whole workflows and capabilities: whatever would go on there is held, one instance at a time.

A hold is in force until it is released. Then its instances are released one after the other, and it is removed when
none is left (:mod:`cch.runtime.holding`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from cch.errors import CchError
from cch.ledger.store import NEW, Absent, Change, ConditionFailedError, Equals, Item, ItemStore, When

#: What can be held; stored: do not rename.
HoldKind = Literal["workflow", "capability"]
HOLD_KINDS: tuple[HoldKind, ...] = get_args(HoldKind)
_INDEX = "HOLDS"


class HoldTakenError(CchError):
    """The workflow or capability is held already."""

    code = "CCH-L010"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold of a workflow (its id) or a capability (its id). Times in ms.

    ``released``: since when it is not in force any more; 0: it is. ``rate``: instances a second that are released
    then. ``batch``: the latest batch that releases them.
    """

    kind: HoldKind
    name: str
    by: str
    since: int
    reason: str = ""
    released: int = 0
    rate: float = 0.0
    batch: str = ""

    @property
    def target(self) -> str:
        """What is held, as instances name it that are held for it."""
        return f"{self.kind}#{self.name}"

    @property
    def because(self) -> str:
        """Why an instance is held for it."""
        return f"{self.kind} {self.name} is held" + (f": {self.reason}" if self.reason else "")

    @property
    def is_in_force(self) -> bool:
        return not self.released


class Holds:
    """``HOLDS`` / ``<kind>#<name>``."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def put(self, hold: Hold) -> None:
        """Put a hold into force.

        :raises HoldTakenError: there is one, perhaps one whose instances are still being released.
        """
        facts: dict[str, Any] = {"by": hold.by, "since": hold.since}
        item: Item = {"PK": _INDEX, "SK": hold.target, **facts, **({"reason": hold.reason} if hold.reason else {})}
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            known = _hold(failed.item)
            if known == hold:
                return
            state = "held already" if known.is_in_force else "still being released"
            raise HoldTakenError(f"{hold.kind} {hold.name} is {state}, since {known.since} by {known.by}") from None

    async def get(self, kind: HoldKind, name: str) -> Hold | None:
        item = await self._store.get((_INDEX, f"{kind}#{name}"))
        return _hold(item) if item else None

    async def all(self) -> list[Hold]:
        """All of them: one strong query."""
        return [_hold(item) for item in await self._store.query(_INDEX)]

    async def release(self, hold: Hold, now: int, rate: float) -> None:
        """It is not in force from now on. To repeat it changes the rate of batches that begin later."""
        change = Change(set={"released": hold.released or now, "rate": str(rate)})
        await self._change(hold, change)

    async def released_by(self, hold: Hold, batch: str) -> bool:
        """Its instances are released by this batch from now on; False if by another one meanwhile."""
        before = Equals("batch", hold.batch) if hold.batch else Absent("batch")
        return await self._change(hold, Change(set={"batch": batch}), before)

    async def remove(self, hold: Hold) -> None:
        """No instance is held for it any more."""
        if (known := await self.get(hold.kind, hold.name)) is not None and known.since == hold.since:
            await self._store.delete((_INDEX, hold.target))

    async def _change(self, hold: Hold, change: Change, *as_seen: Equals | Absent) -> bool:
        try:
            await self._store.update((_INDEX, hold.target), change, When.all(Equals("since", hold.since), *as_seen))
        except ConditionFailedError:
            return False  # it is gone, or another one
        return True


def _hold(item: Item) -> Hold:
    kind, _, name = item["SK"].partition("#")
    return Hold(
        kind=next(each for each in HOLD_KINDS if each == kind), name=name, by=item["by"], since=item["since"],
        reason=item.get("reason", ""), released=item.get("released", 0), rate=float(item.get("rate", 0)),
        batch=item.get("batch", ""),
    )  # fmt: skip
