"""The expiry of finished instances: what is due, who removes it, and what stays of an instance for a while.

An instance is claimed, what it did is removed (:mod:`cch.ledger.belongings`), and its own item is replaced by a
tombstone. Every step may be repeated: whoever finds a claimed instance goes on where somebody has died. The tombstone
answers late messages, and keeps the id from being used again while a slow process may still be removing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from cch.ledger.endings import finished
from cch.ledger.instances import BEGAN, Instances
from cch.ledger.records import ENDED, Instance
from cch.ledger.store import Absent, Below, Change, ConditionFailedError, Equals, Item, ItemStore, When

#: How long (ms) finished instances are not looked for again once none was due.
PERIOD = 3_600_000
#: How long (s) a tombstone stays: a message is in its queue for 14 days at most, and in the dead-letter queue as long.
TOMBSTONE = 30 * 86_400
_LOOK = ("RETENTION", "LOOK")


class Expiry:
    """``retention`` in ms; 0: nothing expires."""

    def __init__(self, store: ItemStore, retention: int) -> None:
        self._store = store
        self.retention = retention

    async def my_turn(self, now: int) -> bool:
        """Whether somebody has to look for what is due; of several who ask at the same time, one is told so."""
        if not self.retention:
            return False
        free = When.any(Absent("PK"), Below("next", now + 1))
        try:
            await self._store.update(_LOOK, Change(set={"next": now + PERIOD}), free)
        except ConditionFailedError:
            return False
        return True

    async def look_again(self, now: int) -> None:
        """There may be more that is due: who asks next looks."""
        await self._store.update(_LOOK, Change(set={"next": now}))

    async def due(self, instances: Instances, now: int) -> AsyncIterator[Instance]:
        """Finished instances whose time is up, and those whose removal has begun, by status and start."""
        started_before = now - self.retention
        if not self.retention or started_before < 1:
            return
        async for item in finished(self._store, ENDED, started_before):
            if self._is_due(item, now):
                yield instances.of_item(item)

    def _is_due(self, item: Item, now: int) -> bool:
        # DynamoDB itself removes the item of an instance that ended under an earlier release, which would leave the
        # rest: that one is due before.
        early = PERIOD if "expires" in item else 0
        return "expiring" in item or item.get("ended", now) + self.retention - early <= now

    async def claim(self, instance: Instance, now: int) -> int | None:
        """Begin to remove an instance that has ended: since when (ms) it is being removed.

        None: it runs again, or is gone.
        """
        key = _key(instance.id)
        same = (Equals("status", instance.status), Equals("ended", instance.ended), Absent("expired"))
        change = Change(set={"expiring": now}, remove=("expires", "live"))
        try:
            await self._store.update(key, change, When.all(*same, Absent("expiring")))
        except ConditionFailedError as failed:
            found = failed.item or {}
            return found.get("expiring") if found.get("ended") == instance.ended else None
        return now

    async def bury(self, instance: Instance, claimed: int, now: int) -> None:
        """Leave a tombstone in the place of an instance of which everything else is gone."""
        pk, sk = _key(instance.id)
        tombstone: Item = {
            "PK": pk, "SK": sk, "scheme": instance.scheme, "workflow_id": instance.workflow_id,
            "correlation_id": instance.correlation_id, "status": instance.status, BEGAN: instance.started,
            "ended": instance.ended, "start_message": instance.start_message, "expired": now,
            "expires": now // 1000 + TOMBSTONE,
        }  # fmt: skip
        kept = {name: value for name, value in tombstone.items() if value != ""}
        try:
            await self._store.put(kept, When.all(Equals("expiring", claimed)))
        except ConditionFailedError:
            pass  # somebody else has done it


def _key(instance_id: str) -> tuple[str, str]:
    return f"INST#{instance_id}", "META"
