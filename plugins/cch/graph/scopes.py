"""The parts of a graph in which tokens move: the root, and the body of a map."""

from __future__ import annotations

from dataclasses import replace

from cch.definition.kinds import MAP_ITEM
from cch.graph.model import Graph


def root_scope(graph: Graph) -> Graph:
    """The graph without the ways into maps: their bodies are scopes of their own."""
    if not graph.maps:
        return graph
    edges = tuple(edge for edge in graph.edges if not (edge.source in graph.maps and edge.label == MAP_ITEM))
    return replace(graph, edges=edges)


def map_body(root: Graph, name: str) -> Graph:
    """What runs for each item of map ``name``: everything from its entry node on, up to the map's own join.

    Nodes that the outer flow has too (a common error handler) are there as copies: outcomes of one scope say
    nothing about another.
    """
    joins = {join for join, branches in root.joins.items() if name in branches}
    return replace(
        root,
        definition=replace(root.definition, entry_point=root.maps[name].branch_entry_node),
        edges=tuple(edge for edge in root.edges if edge.target not in joins),
        join_arrivals={join: arrivals for join, arrivals in root.join_arrivals.items() if join not in joins},
        awaited=frozenset(),  # an item that only calls stays on its worker
    )
