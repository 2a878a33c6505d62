"""Definition to graph: the edges that are written, then those that a join's list implies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

from cch.definition.kinds import MAP_ITEM
from cch.definition.model import Definition
from cch.definition.nodes import Node
from cch.graph.model import Edge, Graph

#: Label of the implied edge from a map_fork to the join named after it.
ALL_ITEMS = "all_items"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """One branch of a join: the nodes a token of it can be at before it arrives.

    ``own`` are those that lie before the join only; an open end among them closes the branch.
    """

    join: str
    name: str
    body: frozenset[str]
    own: frozenset[str]


def _branches(nodes: Mapping[str, Node], edges: Iterable[Edge]) -> list[_Branch]:
    walk: nx.DiGraph[str] = nx.DiGraph()
    walk.add_nodes_from(nodes)
    # A map's body is a scope of its own: its ends close the map, not a branch around it.
    walk.add_edges_from(
        (edge.source, edge.target)
        for edge in edges
        if not (nodes[edge.source].effect == "maps" and edge.label == MAP_ITEM)
    )
    found = []
    for join, node in nodes.items():
        if not node.joins:
            continue
        names = [name for name in node.joins if name in nodes and name != join]
        before = nx.restricted_view(walk, [join], [])
        # What the join itself leads to lies behind it, also if a branch has a way past the join to there.
        behind = nx.descendants(nx.restricted_view(walk, set(names), []), join)
        for name in names:
            body = frozenset({name} | nx.descendants(before, name))
            found.append(_Branch(join=join, name=name, body=body, own=body - behind))
    return found


def _implied_edges(nodes: Mapping[str, Node], branches: Iterable[_Branch]) -> list[Edge]:
    """An open end belongs to the innermost join whose branch it lies in: the one with the smallest body."""
    edges = [
        Edge(branch.name, ALL_ITEMS, branch.join, implied=True)
        for branch in branches
        if nodes[branch.name].effect == "maps"
    ]
    for name, node in nodes.items():
        if (label := node.open_way) is None:
            continue
        if around := [branch for branch in branches if name in branch.own]:
            innermost = min(around, key=lambda branch: (name != branch.name, len(branch.body), branch.join))
            edges.append(Edge(name, label, innermost.join, implied=True))
    return edges


def build_graph(definition: Definition, awaited: frozenset[str] = frozenset()) -> Graph:
    """The graph of ``definition``. Ways to nodes that do not exist are left out: the checks report them.

    ``awaited``: see :class:`Graph`.
    """
    nodes = definition.nodes
    written = [
        Edge(name, label, target) for name, node in nodes.items() for label, target in node.ways() if target in nodes
    ]
    branches = _branches(nodes, written)
    implied = _implied_edges(nodes, branches)
    # What closes an inner branch makes the way through its join visible to the branch around it: once a level.
    for _ in nodes:
        branches = _branches(nodes, [*written, *implied])
        if implied == (implied := _implied_edges(nodes, branches)):
            break
    edges = tuple(dict.fromkeys([*written, *implied]))
    arrivals: dict[str, dict[str, frozenset[str]]] = {}
    for branch in branches:
        closing = {edge.source for edge in edges if edge.target == branch.join and edge.source in branch.body}
        arrivals.setdefault(branch.join, {})[branch.name] = frozenset(closing)
    return Graph(definition=definition, edges=edges, join_arrivals=arrivals, awaited=awaited)
