"""The items of maps, page by page: a map of thousands is never read as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cch.api import paging
from cch.api.mapping import error_view, moment, request_wait, requests_view, visit_view, wait_of_event, wait_view
from cch.api.models import MapItemDetail, MapItemPage, MapItemView, NodeView
from cch.api.problems import not_found
from cch.graph.model import Graph
from cch.identity import ROOT
from cch.interpreter.context import merge, selected
from cch.interpreter.replay import replay
from cch.ledger.records import ENDED, Instance
from cch.runtime.inspection import Inspector
from cch.runtime.items import ItemProgress, ItemStates
from cch.runtime.journaling import read
from cch.runtime.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class _Map:
    """One visit of a map; ``begun`` is how many items have begun."""

    node: str
    visit: int
    begun: int
    states: ItemStates

    @property
    def body(self) -> Graph:
        """What runs for each item."""
        return self.states.body(self.node)


def _facts(of: _Map, stand: ItemProgress) -> dict[str, object]:
    last = stand.outcomes[-1] if stand.outcomes else None
    return {
        "index": stand.item.index,
        "branch": stand.item.branch,
        "branch_path": list(stand.item.path),
        "state": stand.state,
        "node": stand.at[0] if stand.at else last.node if last else of.body.entry,
        "started": moment(stand.outcomes[0].started) if stand.outcomes else None,
        "ended": moment(last.stamp) if last and not stand.at else None,
        "reason": stand.reason,
    }


def _nodes(of: _Map, stand: ItemProgress) -> list[NodeView]:
    """The nodes of the body that the item has come to, or is at."""
    shown = []
    for name, node in of.body.nodes.items():
        if name not in stand.nodes:
            continue
        done = [outcome for outcome in stand.outcomes if outcome.node == name]
        last = done[-1] if done else None
        shown.append(
            NodeView(
                name=name,
                type=node.type,
                title=node.title or name,
                state=stand.nodes[name],
                visits=len(done) + (name in stand.at),
                since=moment(last.started) if last else None,
                seconds=(last.stamp - last.started) / 1000 if last else None,
                edge=last.label if last else "",
            )
        )
    return shown


class ItemReader:
    """Reads the items of one instance's maps."""

    def __init__(self, platform: Platform, inspector: Inspector, instance: Instance) -> None:
        self._ledger = platform.ledger
        self._inspector = inspector
        self._instance = instance

    async def _map(self, node: str, visit: int | None) -> _Map:
        """:raises ApiError: 404, no such map, or it has not begun."""
        plan = await self._inspector.plan(self._instance)
        known = plan is not None and node in plan.graph.maps
        latest = await self._ledger.maps.map_visit(self._instance, node) if known else None
        if plan is None or latest is None or (visit or 1) > latest[0]:
            raise not_found("map", node)
        states = ItemStates(plan.graph, ended=self._instance.status in ENDED)
        return _Map(node=node, visit=visit or latest[0], begun=latest[1], states=states)

    async def page(self, node: str, visit: int | None, limit: int, cursor: str | None, first: int = 0) -> MapItemPage:
        """One page of a map's items, from ``cursor`` on, or from the index ``first`` on.

        :raises ApiError: 404, no such map; 422, no such cursor.
        """
        after = paging.decode(cursor)
        if after is not None and not (isinstance(after, int) and 0 <= after < 10**7):
            raise paging.bad_cursor()
        of = await self._map(node, visit)
        start = first - 1 if after is None else after
        found = await self._ledger.maps.map_items(self._instance, node, of.visit, limit, after=start)
        # An index may stand there twice, if the map was begun anew: the later path is the one that counts.
        latest = list({item.index: item for item in found}.values())
        journals = await self._ledger.journal.read_many([item.key for item in latest])
        items = [of.states.item(item, replay(journal)) for item, journal in zip(latest, journals, strict=True)]
        return MapItemPage(
            node=node,
            visit=of.visit,
            total=of.begun,
            items=[MapItemView.model_validate(_facts(of, item)) for item in items],
            next_cursor=paging.encode(found[-1].index) if len(found) == limit else None,
        )

    async def detail(self, node: str, visit: int | None, index: int) -> MapItemDetail:
        """One item with all it did.

        :raises ApiError: 404, no such map or item.
        """
        instance = self._instance
        of = await self._map(node, visit)
        found = await self._ledger.maps.map_items(instance, node, of.visit, 1, after=index - 1)
        if not found or found[0].index != index:
            raise not_found("item", str(index))
        box, scope = instance.box(found[0].branch), found[0].key.scope
        journal, asked, awaited = await asyncio.gather(
            read(self._ledger, found[0].key),
            self._ledger.requests.of_box(box),
            self._ledger.waits.of_box(box),
        )
        item = of.states.item(found[0], journal)
        requests = [each for each in asked if each.scope == scope]
        # Waits of the first scheme do not know their scope.
        event_waits = [each for each in awaited if each.scope in (scope, ROOT)]
        context: dict[str, object] = {}
        for outcome in item.outcomes:
            context = dict(merge(context, outcome.patch))
        open_now = [request_wait(each) for each in requests if each.state == "open"]
        open_now += [wait_of_event(each) for each in event_waits if each.state == "open"]
        return MapItemDetail.model_validate(
            {
                **_facts(of, item),
                "waits": open_now if instance.status not in ENDED else [],
                "nodes": _nodes(of, item),
                "visits": [visit_view(outcome) for outcome in item.outcomes],
                "requests": requests_view(requests),
                "event_waits": [wait_view(each) for each in event_waits],
                "errors": [error_view(error) for outcome in item.outcomes for error in outcome.errors],
                "context": selected(context, None),
            }
        )
