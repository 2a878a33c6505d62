"""Where the items of an instance's maps stand, from their journals."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cch.graph.scopes import map_body
from cch.identity import ROOT, Scope
from cch.interpreter.mapping import item_flow
from cch.interpreter.replay import has_failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cch.graph.model import Graph
    from cch.interpreter.outcome import Outcome
    from cch.interpreter.replay import JournalState
    from cch.ledger.records import MapItem

#: Of an item, or of an item at one node. WAITING: a token is at a node that waits for a reply, an event or a date.
#: FAILED: of an item, nobody handled a failure; at a node, the last visit failed, handled or not. SKIPPED: the
#: instance ended first.
ItemState = Literal["WAITING", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemProgress:
    """One item of a map.

    ``at`` are the nodes that hold its tokens, ``outcomes`` its visits by time, ``reason`` why it failed.
    """

    item: MapItem
    state: ItemState
    at: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    nodes: Mapping[str, ItemState] = field(default_factory=dict)
    reason: str = ""


def current(items: Iterable[MapItem]) -> list[MapItem]:
    """The items that count: when a map's scope is run anew, those of its earlier generations do not."""
    items = list(items)
    newest: dict[tuple[str, Scope, str], int] = {}
    for item in items:
        around, step = item.made_by
        place = (item.key.region, around, item.node)
        newest[place] = max(step.generation or 0, newest.get(place, 0))

    def counts_still(item: MapItem) -> bool:
        around, step = item.made_by
        return step.generation in (None, newest[item.key.region, around, item.node])

    return [item for item in items if counts_still(item)]


class ItemStates:
    """Reads items of one graph; a map's body is made once. ``ended``: whether their instance has."""

    def __init__(self, graph: Graph, *, ended: bool) -> None:
        self._graph = graph
        self._ended = ended
        self._bodies: dict[str, Graph] = {}

    def body(self, map_name: str) -> Graph:
        """What runs for each item of a map."""
        return self._bodies.setdefault(map_name, map_body(self._graph, map_name))

    def item(self, item: MapItem, journal: JournalState) -> ItemProgress:
        """Where one item stands, by its journal alone."""
        body = self.body(item.node)
        flow = item_flow(body, journal.outcomes.values(), {})
        status = flow.status()
        states: dict[str, ItemState] = {name: self._at(body, name) for name in flow.positions}
        outcomes = sorted(flow.outcomes.values(), key=lambda o: (o.stamp, o.node, o.visit))
        nodes: dict[str, ItemState] = {o.node: "FAILED" if has_failed(o) else "SUCCEEDED" for o in outcomes}
        state: ItemState = "FAILED" if status == "failed" else "SUCCEEDED"
        if status == "running":
            state = least(states.values())
        return ItemProgress(
            item=item,
            state=state,
            at=tuple(states),
            outcomes=tuple(outcomes),
            nodes=nodes | states,
            reason=flow.reason(),
        )

    def _at(self, body: Graph, name: str) -> ItemState:
        if self._ended:
            return "SKIPPED"
        return "WAITING" if body.nodes[name].effect == "waits" else "RUNNING"


def least(states: Iterable[ItemState]) -> ItemState:
    """The state that is furthest from the end."""
    order: tuple[ItemState, ...] = ("WAITING", "RUNNING", "FAILED", "SKIPPED", "SUCCEEDED")
    return min(states, key=order.index)


@dataclass(frozen=True, slots=True)
class ShownVisit:
    """A visit at the root (``branch`` is "") or of a map's item."""

    outcome: Outcome
    branch: str = ""

    @property
    def name(self) -> str:
        return f"{self.outcome.node}[{self.branch}]" if self.branch else self.outcome.node


def course(outcomes: Iterable[Outcome], items: Iterable[ItemProgress]) -> list[ShownVisit]:
    """All visits by time; ``items`` has the outer ones first.

    Stamps order the visits of one scope and may be ahead of the clock. Between scopes it counts that a map's items run
    after what leads to the map and before it is done.
    """
    by_id = {(ROOT, outcome.id): outcome for outcome in outcomes}
    times: dict[tuple[Scope, str], float] = {key: outcome.stamp for key, outcome in by_id.items()}
    shown = {key: ShownVisit(outcome) for key, outcome in by_id.items()}
    for each in items:
        where, step = each.item.made_by
        done = (where, f"{each.item.node}#{step.visit}")
        parents = by_id[done].parents if done in by_id else ()
        begin = max((times[where, parent] for parent in parents if (where, parent) in times), default=0.0)
        end = times.get(done, math.inf)
        inside = min(1.0, end - begin) / 4
        for outcome in each.outcomes:
            key = (each.item.key.scope, outcome.id)
            by_id[key] = outcome
            times[key] = min(max(outcome.stamp, begin + inside), end - inside)
            shown[key] = ShownVisit(outcome, each.item.branch)
    order = sorted(shown, key=lambda key: (times[key], by_id[key].stamp, by_id[key].node, by_id[key].visit))
    return [shown[key] for key in order]


def counts(items: Iterable[ItemProgress], name: str) -> Counter[ItemState]:
    """How many items stand how at node ``name``."""
    return Counter(item.nodes[name] for item in items if name in item.nodes)
