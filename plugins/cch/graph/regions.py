"""Which Airflow task executes which nodes.

A *region* is the set of nodes that one task executes: a node that waits or calls, or a whole loop, together with
the instant nodes around it that need no task of their own. An instant node is *carried* by the one region that
decides whether it is reached; a straight run of instant nodes that leads to nothing but one region is carried by
that region as its *prefix*. What remains (a decision with predecessors in several regions, a failed end) is a
region by itself. A successful ``end`` with several predecessors needs nobody: reaching it is all it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import networkx as nx

from cch.definition.model import (
    AsyncRequest,
    End,
    Entry,
    EventWait,
    Join,
    LibraryCall,
    LogError,
    MapFork,
    Node,
    ScheduledRequest,
    SetState,
    SyncCall,
)
from cch.graph.model import Graph

#: wait: starts and ends in the triggerer; call: runs on a worker; instant: only decides, in the triggerer.
RegionKind = Literal["wait", "call", "instant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """``head`` names the region, its task and its records; ``nodes`` are all it executes, in definition order."""

    head: str
    kind: RegionKind
    nodes: tuple[str, ...]
    cyclic: bool = False


@dataclass(slots=True)
class _Draft:
    head: str
    kind: RegionKind
    cyclic: bool = False
    nodes: set[str] = field(default_factory=set)


def waits(node: Node) -> bool:
    return isinstance(node, AsyncRequest | ScheduledRequest | EventWait | MapFork)


def calls(node: Node) -> bool:
    return isinstance(node, SyncCall | LibraryCall)


def _is_failed_end(node: Node) -> bool:
    return isinstance(node, End) and node.status == "failed"


def _is_plain(node: Node) -> bool:
    """Instant, with one way out and no way to fail: it may be evaluated later than it is reached."""
    return isinstance(node, Entry | SetState | LogError | Join)


def _prefix_target(graph: Graph, name: str) -> str | None:
    """The waiting or calling node that a straight run of plain nodes from ``name`` leads to, if it does."""
    while _is_plain(graph.nodes[name]):
        targets = graph.targets(name)
        if len(targets) != 1:
            return None
        (name,) = targets
        if {edge.source for edge in graph.incoming(name)} != {graph_source(graph, name)}:
            return None
    in_loop = any(name in cycle for cycle in graph.cycles)
    return name if not in_loop and (waits(graph.nodes[name]) or calls(graph.nodes[name])) else None


def graph_source(graph: Graph, name: str) -> str:
    """The one predecessor of ``name``, or an arbitrary one of several."""
    return graph.incoming(name)[0].source


def _heads(graph: Graph, members: Iterable[str]) -> list[str]:
    """Where tokens enter a loop, in the order of the definition."""
    inside = set(members)
    return [
        name
        for name in graph.nodes
        if name in inside and (name == graph.entry or any(edge.source not in inside for edge in graph.incoming(name)))
    ]


def plan_regions(graph: Graph) -> Mapping[str, Region]:
    """The regions of a node-by-node layout, by head.

    Nodes that no run can reach belong to none.
    """
    drafts: dict[str, _Draft] = {}
    carrier: dict[str, str | None] = {}
    loops = {name: cycle for cycle in graph.cycles for name in cycle}
    condensed = nx.condensation(graph.digraph)
    order = {name: index for index, name in enumerate(graph.nodes)}
    units = nx.lexicographical_topological_sort(
        condensed, key=lambda unit: min(order[name] for name in condensed.nodes[unit]["members"])
    )
    for unit in units:
        members = condensed.nodes[unit]["members"]
        name = min(members, key=order.__getitem__)
        if name not in graph.reachable:
            continue
        node = graph.nodes[name]
        if name in loops:
            head = (_heads(graph, members) or [name])[0]
            drafts[head] = _Draft(head, "wait", cyclic=True, nodes=set(members))
            carrier.update(dict.fromkeys(members, head))
            continue
        if name in carrier:  # a prefix, assigned when its first node was met
            continue
        deciders = {carrier.get(edge.source) for edge in graph.incoming(name) if edge.source in graph.reachable}
        if waits(node) or calls(node) or _is_failed_end(node):
            kind: RegionKind = "wait" if waits(node) else "call" if calls(node) else "instant"
            drafts.setdefault(name, _Draft(name, kind)).nodes.add(name)
            carrier[name] = name
        elif len(deciders) == 1 and (only := next(iter(deciders))) is not None:
            drafts[only].nodes.add(name)
            carrier[name] = only
        elif isinstance(node, End):
            carrier[name] = None
        elif (target := _prefix_target(graph, name)) is not None:
            draft = drafts.setdefault(target, _Draft(target, "wait" if waits(graph.nodes[target]) else "call"))
            while name != target:
                draft.nodes.add(name)
                carrier[name] = target
                (name,) = graph.targets(name)
        else:
            drafts[name] = _Draft(name, "instant", nodes={name})
            carrier[name] = name
    return {
        head: Region(
            head=head, kind=draft.kind, cyclic=draft.cyclic, nodes=tuple(sorted(draft.nodes, key=order.__getitem__))
        )
        for head, draft in sorted(drafts.items(), key=lambda item: order[item[0]])
    }


def carriers(regions: Mapping[str, Region]) -> Mapping[str, str]:
    """Node → head of the region that executes it; an ``end`` that needs nobody has none."""
    return {name: region.head for region in regions.values() for name in region.nodes}
