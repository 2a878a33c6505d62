"""Maps whose items have Airflow tasks of their own: the list that they are mapped over, an item, the results.

An item that its own task ran has a journal under another path than one that the map's region runs by itself. The
region collects the former and runs whatever no task has begun: a list longer than Airflow maps is done in one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cch.definition.nodes import MapFork
from cch.graph.scopes import map_body
from cch.identity import ItemStep
from cch.interpreter.mapping import item_flow, items_of, run_item
from cch.interpreter.region import RegionRun, run_region
from cch.runtime.host import LedgerHost, Try
from cch.runtime.journaling import read

if TYPE_CHECKING:
    from cch.graph.model import Graph
    from cch.graph.regions import Region
    from cch.interpreter.flow import TokenFlow
    from cch.interpreter.outcome import Outcome
    from cch.interpreter.visit import Visit
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform


def _step(node: str, visit: int, branch: str) -> ItemStep:
    return ItemStep(node, visit, None, branch)


class ItemHost(LedgerHost):
    """Runs items in tasks of their own: an item that had ended and whose task runs again is done anew."""

    def __init__(self, platform: Platform, instance: Instance, attempt: Try, graph: Graph) -> None:
        super().__init__(platform, instance, attempt)
        self._graph = graph

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[LedgerHost, Sequence[Outcome]]:
        body = map_body(self._graph, node)

        def ended(outcomes: Sequence[Outcome]) -> bool:
            return item_flow(body, outcomes, {}).status() != "running"

        return await self.open_item(_step(node, visit, branch), index, ended)


class ResultsHost(LedgerHost):
    """Collects what the items' own tasks have made of them, and runs those that none has begun."""

    _comes_first = False

    async def map_begun(self, node: str, visit: int, items: int) -> None:
        """Whoever listed the items has told it."""

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[LedgerHost | None, Sequence[Outcome]]:
        key = self.item_key(_step(node, visit, branch))
        state = await self._persistently(lambda: read(self._platform.ledger, key))
        if state.entries:
            return None, tuple(state.outcomes.values())
        return await super().item(node, visit, index, branch)


async def _approached(region: Region, flow: TokenFlow, host: LedgerHost) -> tuple[MapFork, Visit] | None:
    """The map and the visit it is about to get; None if nothing recorded leads here."""
    visit = await RegionRun(region, flow, host).approach(region.head)
    return None if visit is None else (flow.graph.maps[region.head], visit)


async def begin_items(region: Region, flow: TokenFlow, host: LedgerHost) -> list[str] | None:
    """The branch keys of the map's items; none if it is going to fail; None if nothing recorded leads here."""
    await host.follow(flow)
    keys, visit = await _keys(region, flow, host)
    if keys:
        await host.map_begun(region.head, visit, len(keys))
    await host.leave()
    return keys


async def _keys(region: Region, flow: TokenFlow, host: LedgerHost) -> tuple[list[str] | None, int]:
    approached = await _approached(region, flow, host)
    if approached is None:
        return None, 0
    node, visit = approached
    try:
        return [item.key for item in await items_of(node, visit, host)], visit.number
    except ValueError:
        return [], 0  # the region finds the same error and goes the map's way for it


async def run_mapped_item(region: Region, flow: TokenFlow, host: ItemHost, key: str) -> str | None:
    """Run one item; why it failed ("" if it did not), or None if the map has no such item (any more)."""
    approached = await _approached(region, flow, host)
    if approached is None:
        return None
    node, visit = approached
    item = next((item for item in await items_of(node, visit, host) if item.key == key), None)
    if item is None:
        return None
    return (await run_item(node, visit, map_body(flow.graph, node.name), host, item, run=run_region)).reason
