"""Ends of instances with which somebody has to do something still, in the index of those that are alive."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cch.ledger.store import Change, ConditionFailedError, Equals, Item, ItemStore, Place, When

#: In the place of "yes" in the index of live instances: the instance has ended, and nobody was told.
UNTOLD = "untold"
#: It has ended, and is not in the figures yet (:mod:`cch.ledger.rollups`).
UNCOUNTED = "uncounted"
#: It has failed, and nobody has mended it. In the index by the time of its end.
UNMENDED = "unmended"
#: Every failed instance is logged once with these words: an alarm counts them (infra/). Do not rename.
FAILED = "workflow instance has failed"


_PAGE = 100


async def finished(store: ItemStore, statuses: frozenset[str], started_before: int) -> AsyncIterator[Item]:
    """The items of instances in these statuses that started before then (ms), the oldest of each status first."""
    for status in sorted(statuses):
        place: Place | None = None
        while True:
            items = await store.listed(
                "by_status", status, limit=_PAGE, newest=False, between=(1, started_before), after=place
            )
            for item in items:
                yield item
            if len(items) < _PAGE:
                break
            place = Place((items[-1]["PK"], items[-1]["SK"]), items[-1]["started"])


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
            await self._store.update((f"INST#{instance_id}", "META"), Change(set={"live": UNCOUNTED}), this)
        except ConditionFailedError:
            pass  # a part of it runs again, or somebody was faster
