"""Ends of instances that nobody was told of yet, in the index of those that are alive."""

from __future__ import annotations

from cch.ledger.store import Change, ConditionFailedError, Equals, ItemStore, When

#: In the place of "yes" in the index of live instances: the instance has ended, and nobody was told.
UNTOLD = "untold"


class Endings:
    """Noted by the write that records the end (:meth:`cch.ledger.instances.Instances.end`)."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def untold(self, limit: int) -> list[str]:
        """Ids of ended instances whose end has to be told (eventually consistent)."""
        items = await self._store.listed("by_live", UNTOLD, limit=limit, newest=False)
        return [item["PK"].removeprefix("INST#") for item in items]

    async def told(self, instance_id: str, ended: int) -> None:
        """The end at that time (ms) has been told."""
        this = When.all(Equals("live", UNTOLD), Equals("ended", ended))
        try:
            await self._store.update((f"INST#{instance_id}", "META"), Change(remove=("live",)), this)
        except ConditionFailedError:
            pass  # a part of it runs again, or somebody was faster
