"""Reads where an instance stands from the ledger, with the definition that it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cch.ledger.records import ENDED
from cch.runtime.items import current
from cch.runtime.progress import Asked, ItemJournals, Progress, live_regions, progress, progress_without_plan

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform


#: Items of maps that are looked at; a look costs a query for the requests of each and one for its journal.
_MOST_ITEMS = 100
#: What an instance waits for now, the oldest of it; and for each item that is looked at.
_MOST_OPEN, _MOST_OF_ITEM = 100, 10
_EVERYTHING = 1_000_000


class Inspector:
    """Looks at instances."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def look(self, instance_id: str, most_items: int | None = _MOST_ITEMS) -> Progress | None:
        """Where the instance stands, with so many items of maps (None: all); None if the ledger does not know it."""
        ledger = self._platform.ledger
        most_open = _EVERYTHING if most_items is None else _MOST_OPEN + _MOST_OF_ITEM * most_items
        # These first: what is closed in between then shows as open for a moment, never as lost.
        instance = await ledger.instances.head(instance_id)
        if instance is None:
            return None
        requests, waits, open_waits = await asyncio.gather(
            ledger.requests_of(instance, most_items),
            ledger.waits.of_box(instance.box()),
            ledger.waiting.of_instance(instance_id, most_open),
        )
        view = await ledger.instances.view(instance_id)
        if view is None:
            return None
        if view.instance.status in ENDED and any(request.state == "open" for request in requests):
            requests = await ledger.requests_of(view.instance, most_items)  # it ended while we looked
        asked = Asked(requests=requests, waits=waits, open=open_waits)
        plan = await self.plan(view.instance)
        if plan is None:
            return progress_without_plan(view, asked)
        heads = live_regions(plan, view)
        keys = [view.instance.region(head) for head in heads]
        journals = await asyncio.gather(*(ledger.journal.read(key) for key in keys))
        items = await self._items(instance_id, most_items)
        return progress(plan, view, asked, dict(zip(heads, journals, strict=True)), items)

    async def _items(self, instance_id: str, most: int | None) -> ItemJournals:
        """The first items of the instance's maps, with their journals."""
        ledger = self._platform.ledger
        if most == 0:
            return ItemJournals()
        items = current(await ledger.maps.items(instance_id))
        shown = items[:most]
        journals = await ledger.journal.read_many([item.key for item in shown])
        return ItemJournals(looked_at=tuple(zip(shown, journals, strict=True)), in_all=len(items))

    async def plan(self, instance: Instance) -> Plan | None:
        """The plan of the definition that the instance runs, or would run; None if there is none any more."""
        return await self._platform.plans.shown(instance)
