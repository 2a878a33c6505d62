"""Which keys of the context are there when a node begins: those that may be, and those that always are."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from cch.definition.kinds import MAP_ITEM, Requesting
from cch.definition.nodes import Node
from cch.definition.paths import read_key, read_path
from cch.graph.build import ALL_ITEMS
from cch.graph.contracted import keys_brought
from cch.graph.model import STATUS, Edge, Graph
from cch.values import MISSING

#: Stands for any key: somebody answers whatever he likes.
ANYTHING = "*"
#: Keys that a node may name without anybody writing them.
ALWAYS = frozenset({STATUS, "workflowInstanceId", "workflow_id", "internalError", "errorNode"})
#: Labels of ways that a node goes when it has not done what it is for.
FAILING = frozenset({"on_failure", "on_timeout"})
#: What an ERROR reply brings, whatever it was asked for.
_OF_ERRORS = frozenset({"messages"})


@dataclass(frozen=True, slots=True)
class Known:
    """First steps of paths. ``must`` has :data:`ANYTHING` if every way leads over a node that may bring any key."""

    may: frozenset[str]
    must: frozenset[str]


def start_keys(graph: Graph) -> frozenset[str] | None:
    """The keys that a start brings; None if the definition does not say."""
    rules = graph.definition.reading_rules
    if not graph.definition.describes_start:
        return None
    return frozenset(read_key(key, rules).root for key in graph.definition.required)


def brought_on(graph: Graph, node: Node, label: str) -> Known:
    """The keys that a node brings to what its way ``label`` leads to."""
    rules = graph.definition.reading_rules
    written = frozenset(write.path(rules).root for write in node.writes() if write.brings)
    if label in FAILING:
        asking = isinstance(node, Requesting) and label == "on_failure"
        # Whoever handles a failure knows that what the node is for has not come: nothing is missed there.
        return Known(written | _OF_ERRORS if asking else frozenset(), frozenset({ANYTHING}))
    if label == MAP_ITEM:
        item = frozenset({graph.maps[node.name].item_key})
        return Known(item, item)
    if node.at_once == label:
        at_once = frozenset(read_key(key, rules).root for key in node.constants)
        return Known(at_once, at_once)
    if label == ALL_ITEMS:
        root = frozenset({read_key(graph.maps[node.name].results_at, rules).root})
        return Known(root, root)
    if node.writes_anything:
        brought = keys_brought(graph, node)
        return Known(written | {ANYTHING}, written | {ANYTHING}) if brought is None else Known(*brought)
    return Known(written, written)


def constant_at(graph: Graph, node: Node, steps: Sequence[str]) -> Any:
    """The value that a node always writes along ``steps``; :data:`~cch.values.MISSING` if there is none."""
    for key, constant in node.constants.items():
        written = read_path(key, graph.definition.reading_rules).steps
        if written == tuple(steps[: len(written)]):
            value = constant
            for step in steps[len(written) :]:
                value = value.get(step, MISSING) if isinstance(value, Mapping) else MISSING
            return value
    return MISSING


def known_at(graph: Graph) -> Mapping[str, Known]:
    """What is there when each reachable node begins."""
    given = start_keys(graph)
    first = ALWAYS | (frozenset({ANYTHING}) if given is None else given)
    known: dict[str, Known] = {}
    on_way = {edge: brought_on(graph, graph.nodes[edge.source], edge.label) for edge in graph.edges}
    order = _order(graph)
    todo = [order[graph.entry]]
    names = {number: name for name, number in order.items()}
    while todo:
        name = names[heapq.heappop(todo)]
        while todo and todo[0] == order[name]:
            heapq.heappop(todo)
        after = {
            edge: Known(known[edge.source].may | on_way[edge].may, known[edge.source].must | on_way[edge].must)
            for edge in graph.incoming(name)
            if edge.source in known
        }
        seen = _entered(graph, name, after, first if name == graph.entry else None)
        if seen != known.get(name):
            known[name] = seen
            for edge in graph.outgoing(name):
                heapq.heappush(todo, order[edge.target])
    return known


def _order(graph: Graph) -> Mapping[str, int]:
    """Nodes in an order in which what comes before is looked at before, as far as there are no loops."""
    parts: Any = nx.condensation(graph.digraph)
    ordered = (name for part in nx.topological_sort(parts) for name in sorted(parts.nodes[part]["members"]))
    return {name: number for number, name in enumerate(ordered)}


def _entered(graph: Graph, target: str, after: Mapping[Edge, Known], first: frozenset[str] | None) -> Known:
    possible = (first or frozenset()).union(*(each.may for each in after.values()))
    arrivals = graph.join_arrivals.get(target)
    if not arrivals:
        return Known(possible, _common([*(each.must for each in after.values()), *([] if first is None else [first])]))
    branches = [[after[edge].must for edge in after if edge.source in sources] for sources in arrivals.values()]
    return Known(possible, frozenset().union(*(_common(each) for each in branches if each)))


def _common(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    """The keys that are in all of them; one with :data:`ANYTHING` may have any key."""
    if not sets:
        return frozenset()
    told = [each for each in sets if ANYTHING not in each]
    return frozenset.intersection(*told) if told else frozenset().union(*sets)


def way_without(graph: Graph, known: Mapping[str, Known], name: str, key: str) -> Edge | None:
    """The way nearest to ``name`` on which ``key`` is not brought, where others bring it."""
    seen = {name}
    todo = deque([name])
    while todo:
        here = todo.popleft()
        ways = [edge for edge in graph.incoming(here) if edge.source in known]
        have = {edge for edge in ways if {key, ANYTHING} & (known[edge.source].must | _must(graph, edge))}
        for edge in ways:
            if edge not in have and (have or key in brought_on(graph, graph.nodes[edge.source], edge.label).may):
                return edge
        for edge in ways:
            if edge not in have and edge.source not in seen:
                seen.add(edge.source)
                todo.append(edge.source)
    return None


def _must(graph: Graph, edge: Edge) -> frozenset[str]:
    return brought_on(graph, graph.nodes[edge.source], edge.label).must
