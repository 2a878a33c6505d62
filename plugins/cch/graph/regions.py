"""Which Airflow task executes which nodes.

A *region* is the set of nodes that one task executes: a node that waits or calls, or a whole *block* (a loop; what
goes on beside a scheduled request; with ``granularity: workflow`` everything that needs no worker), together with
the instant nodes around it that need no task of their own. An instant node is *carried* by the one region that
decides whether it is reached; a straight run of instant nodes that leads to nothing but one region is carried by
that region as its *prefix*. What remains (a decision with predecessors in several regions, a failed end) is a
region by itself. A successful ``end`` with several predecessors needs nobody, unless it writes something: reaching it
is all it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import networkx as nx

from cch.graph.blocks import Block, RegionKind, find_blocks, kind_of
from cch.graph.model import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """``head`` names the region, its task and its records; ``nodes`` are all it executes, in definition order.

    ``folded``: the nodes that the head's task stands for, instead of a marker of their own. ``cyclic``: a loop is in
    it. ``mapped``: its head is a map whose items have tasks of their own.
    """

    head: str
    kind: RegionKind
    nodes: tuple[str, ...]
    folded: frozenset[str] = frozenset()
    cyclic: bool = False
    mapped: bool = False


@dataclass(slots=True)
class _Draft:
    head: str
    kind: RegionKind
    nodes: set[str] = field(default_factory=set)
    folded: frozenset[str] = frozenset()
    cyclic: bool = False


class _Planner:
    def __init__(self, graph: Graph, blocks: tuple[Block, ...]) -> None:
        self._graph = graph
        self._block_of = {name: block for block in blocks for name in block.nodes}
        self._order = {name: index for index, name in enumerate(graph.nodes)}
        self._drafts: dict[str, _Draft] = {}
        self._carrier: dict[str, str | None] = {}

    def plan(self) -> Mapping[str, Region]:
        for members in self._units():
            name = min(members, key=self._order.__getitem__)
            if name in self._carrier:
                continue  # a prefix, assigned when its first node was met
            if (block := self._block_of.get(name)) is not None:
                self._drafts[block.head] = _Draft(
                    block.head, "wait", set(block.nodes), folded=block.folded, cyclic=block.cyclic
                )
                self._carrier.update(dict.fromkeys(block.nodes, block.head))
            else:
                self._single(name)
        drafts = sorted(self._drafts.values(), key=lambda draft: self._order[draft.head])
        return {draft.head: self._region(draft) for draft in drafts}

    def _units(self) -> list[frozenset[str]]:
        """Blocks and single nodes that a run can come to, each after all that lead to it."""
        first = {name: min(block.nodes, key=self._order.__getitem__) for name, block in self._block_of.items()}
        reachable = self._graph.reachable
        units: nx.DiGraph[str] = nx.DiGraph()
        units.add_nodes_from(first.get(name, name) for name in self._graph.nodes if name in reachable)
        for edge in self._graph.edges:
            source, target = first.get(edge.source, edge.source), first.get(edge.target, edge.target)
            if edge.source in reachable and source != target:
                units.add_edge(source, target)
        ordered = nx.lexicographical_topological_sort(units, key=self._order.__getitem__)
        return [self._block_of[name].nodes if name in self._block_of else frozenset({name}) for name in ordered]

    def _single(self, name: str) -> None:
        node = self._graph.nodes[name]
        arriving = self._graph.incoming(name)
        deciders = {self._carrier.get(edge.source) for edge in arriving if edge.source in self._graph.reachable}
        if node.effect != "instant" or node.ends == "failed":
            self._drafts.setdefault(name, _Draft(name, kind_of(self._graph, name))).nodes.add(name)
            self._carrier[name] = name
        elif len(deciders) == 1 and (only := next(iter(deciders))) is not None:
            self._drafts[only].nodes.add(name)
            self._carrier[name] = only
        elif node.needs_nobody:
            self._carrier[name] = None
        elif (target := self._prefix_target(name)) is not None:
            draft = self._drafts.setdefault(target, _Draft(target, kind_of(self._graph, target)))
            while name != target:
                draft.nodes.add(name)
                self._carrier[name] = target
                (name,) = self._graph.targets(name)
        else:
            self._drafts[name] = _Draft(name, "instant", nodes={name})
            self._carrier[name] = name

    def _prefix_target(self, name: str) -> str | None:
        """The waiting or calling node that a straight run of plain nodes from ``name`` leads to, if it does."""
        while self._graph.nodes[name].is_plain:
            targets = self._graph.targets(name)
            if len(targets) != 1:
                return None
            (target,) = targets
            if {edge.source for edge in self._graph.incoming(target)} != {name}:
                return None
            name = target
        has_effect = self._graph.nodes[name].effect != "instant"
        return name if name not in self._block_of and has_effect else None

    def _region(self, draft: _Draft) -> Region:
        mapping = self._graph.maps.get(draft.head)
        return Region(
            head=draft.head,
            kind=draft.kind,
            nodes=tuple(sorted(draft.nodes, key=self._order.__getitem__)),
            folded=draft.folded,
            cyclic=draft.cyclic,
            mapped=mapping is not None and mapping.execution != "inline" and draft.head not in self._block_of,
        )


def plan_regions(graph: Graph) -> Mapping[str, Region]:
    """The regions of a layout, by head. Nodes that no run can reach belong to none."""
    return _Planner(graph, find_blocks(graph, graph.definition.granularity)).plan()


def failure_domains(graph: Graph, regions: Mapping[str, Region]) -> Mapping[str, str]:
    """Node → head of the region in which its failure stops what comes after it.

    Those of the node-by-node layout whatever the granularity, so that a definition means the same in both.
    """
    if graph.definition.granularity == "node":
        return carriers(regions)
    return carriers(_Planner(graph, find_blocks(graph, "node")).plan())


def carriers(regions: Mapping[str, Region]) -> Mapping[str, str]:
    """Node → head of the region that executes it; an ``end`` that needs nobody has none."""
    return {name: region.head for region in regions.values() for name in region.nodes}
