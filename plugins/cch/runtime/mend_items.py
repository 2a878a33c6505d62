"""Going back to a node of one item of a map, which has an Airflow task of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cch.graph.scopes import map_body
from cch.identity import shown
from cch.interpreter.mapping import item_flow
from cch.ledger.payloads import dump
from cch.runtime.decisions import Decision, ItemTodo
from cch.runtime.items import current
from cch.runtime.mend_plan import dropping, visit_of, with_followers
from cch.runtime.standing_still import RefusedChangeError, Standing

if TYPE_CHECKING:
    from cch.interpreter.replay import JournalState
    from cch.ledger.records import MapItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemName:
    """An item of a map by its branch key, and the node in it that begins anew, perhaps at an earlier visit."""

    key: str
    node: str
    visit: int | None = None


def find_item(standing: Standing, name: ItemName) -> MapItem:
    """:raises RefusedChangeError: there is no such item, or it has no task of its own."""
    graph, now = standing.plan.graph, standing.view.instance.amendments.now
    maps = [each for each in graph.maps if name.node in map_body(graph, each).reachable]
    if not maps:
        raise RefusedChangeError(f"no map of its definition has a node {name.node!r} for its items")
    found = [item for item in current(standing.items) if now(item.node) in maps and item.branch == name.key]
    at_root = [item for item in found if item.made_by[0].is_root]
    if not at_root:
        keys = sorted({item.branch for item in standing.items if now(item.node) in maps})
        inside = f"; {shown(found[0].path)} is inside another item: clear its task in Airflow" if found else ""
        raise RefusedChangeError(f"no item {name.key!r} has begun: there are {dump(keys[:20])}{inside}")
    item = max(at_root, key=lambda one: one.made_by[1].visit)
    if item.made_by[1].generation is not None:
        raise RefusedChangeError(
            f"the items of {now(item.node)!r} run in one task: retry {now(item.node)!r}, and all of them begin anew"
        )
    return item


def plan_item_retry(standing: Standing, name: ItemName, item: MapItem, journal: JournalState) -> Decision[None]:
    """The item goes back to the node; what its map led to does not count any more.

    :raises RefusedChangeError: the item has not visited the node.
    """
    map_node = standing.view.instance.amendments.now(item.node)
    flow = standing.flow(standing.plan, standing.view.instance.amendments)
    flow.ready()
    before = tuple(flow.positions)
    body = item_flow(map_body(standing.plan.graph, map_node), journal.outcomes.values(), {})
    body.status()
    chosen = visit_of(body, name.node, name.visit)
    if chosen is None:
        raise RefusedChangeError(f"item {name.key!r} has no such visit of {name.node!r} behind it")
    gone = with_followers(body, {chosen.id})
    dropped = {each: int(journal.outcomes[each].cause.get("attempt", 0)) for each in gone}
    of_map = visit_of(flow, map_node, item.made_by[1].visit)  # None: the map is still under way
    decision = dropping(standing, flow, with_followers(flow, {of_map.id}) if of_map else set(), before)
    open_here = [each for each in standing.requests if each.scope == item.key.scope]
    waits_here = [each for each in standing.waits if each.scope == item.key.scope]
    todo = replace(
        decision.todo,
        items=(ItemTodo(region=item.key.region, scope=item.key.scope.text, index=item.index, drop=dropped),),
        supersede=tuple(dict.fromkeys((*decision.todo.supersede, *(each.command_id for each in open_here)))),
        supersede_waits=tuple(dict.fromkeys((*decision.todo.supersede_waits, *(each.id for each in waits_here)))),
    )
    return replace(decision, todo=todo)
