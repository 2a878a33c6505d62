"""Where the items of an instance's maps stand, from their journals."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cch.graph.scopes import map_body
from cch.identity import ROOT, Scope
from cch.interpreter.flow import TokenFlow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cch.graph.model import Graph
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import JournalEntry, MapItem, RequestRecord
    from cch.ledger.waiting import OpenWait

#: WAITING: for a reply or an event. FAILED: the item as a whole did, because nobody handled a failure.
ItemState = Literal["WAITING", "RUNNING", "SUCCEEDED", "FAILED"]
#: State of an item at one node: FAILED, also if somebody handled it.
AtNode = Literal["WAITING", "RUNNING", "SUCCEEDED", "FAILED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemProgress:
    """One item of a map. ``at`` are the nodes that hold its tokens, ``outcomes`` its visits by time."""

    item: MapItem
    state: ItemState
    at: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    nodes: Mapping[str, AtNode] = field(default_factory=dict)


def committed(entries: Iterable[JournalEntry]) -> list[Outcome]:
    """The outcomes of a journal that count: what a later try dropped does not."""
    outcomes: dict[str, Outcome] = {}
    for entry in entries:
        if entry.mode == "fresh":
            outcomes.clear()
        for dropped in entry.dropped:
            outcomes.pop(dropped, None)
        outcomes.update({outcome.id: outcome for outcome in entry.outcomes})
    return list(outcomes.values())


def has_failed(outcome: Outcome) -> bool:
    """Whether the visit failed, handled or not."""
    return outcome.failed or outcome.patch.get("_errorNode") == outcome.node


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
    """Reads items of one plan; a map's body is made once."""

    def __init__(self, graph: Graph, requests: Iterable[RequestRecord], waits: Iterable[OpenWait]) -> None:
        self._graph = graph
        self._asking = {(request.scope, request.node) for request in requests if request.state == "open"}
        self._awaiting = {(wait.path, wait.node) for wait in waits if wait.is_event}
        self._bodies: dict[str, Graph] = {}

    def item(self, item: MapItem, journal: Sequence[JournalEntry]) -> ItemProgress:
        """Where one item stands, by its journal and by what it waits for."""
        body = self._bodies.setdefault(item.node, map_body(self._graph, item.node))
        flow = TokenFlow(body, dict.fromkeys(body.nodes, body.entry), {})
        flow.apply_all(committed(journal))
        status = flow.status()
        at = tuple(flow.positions)
        waits = {name for name in at if self._waits(item, name)}
        state: ItemState = "FAILED" if status == "failed" else "SUCCEEDED"
        if status == "running":
            state = "WAITING" if waits else "RUNNING"
        outcomes = sorted(flow.outcomes.values(), key=lambda o: (o.stamp, o.node, o.visit))
        nodes: dict[str, AtNode] = {o.node: "FAILED" if has_failed(o) else "SUCCEEDED" for o in outcomes}
        for name in at:
            nodes[name] = "WAITING" if name in waits else "RUNNING"
        return ItemProgress(item=item, state=state, at=at, outcomes=tuple(outcomes), nodes=nodes)

    def _waits(self, item: MapItem, node: str) -> bool:
        return (item.key.scope, node) in self._asking or (item.path, node) in self._awaiting


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


def counts(items: Iterable[ItemProgress], name: str) -> Counter[AtNode]:
    """How many items stand how at node ``name``."""
    return Counter(item.nodes[name] for item in items if name in item.nodes)
