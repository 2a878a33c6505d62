"""Sets of nodes that one task must execute whatever surrounds them.

A *loop*, because Airflow's graph has no cycles. What goes on *beside a scheduled request*, because a task behind
the request's would begin only after the reply. With ``granularity: workflow`` everything between two calls that
need a worker.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import networkx as nx

from cch.definition.kinds import Effect
from cch.graph.model import Graph

#: wait: starts and ends in the triggerer; call: runs on a worker; instant: only decides, in the triggerer.
RegionKind = Literal["wait", "call", "instant"]
_KINDS: Mapping[Effect, RegionKind] = {"waits": "wait", "maps": "wait", "calls": "call", "instant": "instant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """``head``: where tokens enter; ``folded``: nodes without a task of their own in Airflow, ``head`` among them."""

    head: str
    nodes: frozenset[str]
    folded: frozenset[str]
    cyclic: bool


def kind_of(graph: Graph, name: str) -> RegionKind:
    """What executes the node, if it gets a task of its own."""
    node = graph.nodes[name]
    awaited = node.asks is not None and node.asks.answerer == "binding" and node.asks.id in graph.awaited
    return "wait" if awaited else _KINDS[node.effect]


def waits(graph: Graph, name: str) -> bool:
    """Whether the triggerer executes the node, if it gets a task of its own."""
    return kind_of(graph, name) == "wait"


def find_blocks(graph: Graph, granularity: Literal["node", "workflow"]) -> tuple[Block, ...]:
    """The blocks of a layout; they share no node, and no way leaves one and comes back."""
    return _Finder(graph).find(granularity)


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._order = {name: index for index, name in enumerate(graph.nodes)}
        #: Each node and loop by its first node, each after all that lead to it.
        self._units: dict[str, frozenset[str]] = {}
        self._loop_of = {name: cycle for cycle in graph.cycles for name in cycle}
        condensed = nx.condensation(graph.digraph)
        members: dict[int, frozenset[str]] = {unit: frozenset(condensed.nodes[unit]["members"]) for unit in condensed}
        first = {unit: min(members[unit], key=self._order.__getitem__) for unit in condensed}
        for unit in nx.lexicographical_topological_sort(condensed, key=lambda unit: self._order[first[unit]]):
            if members[unit] & graph.reachable:
                self._units[first[unit]] = members[unit]

    def find(self, granularity: Literal["node", "workflow"]) -> tuple[Block, ...]:
        found = self._levels() if granularity == "workflow" else self._beside_schedules()
        taken = {name for block in found for name in block.nodes}
        loops = [members for members in self._units.values() if self._is_loop(members) and not members & taken]
        return (*found, *(self._block(members, folded=members) for members in loops))

    def _is_loop(self, members: frozenset[str]) -> bool:
        return next(iter(members)) in self._loop_of

    def _is_effect(self, name: str) -> bool:
        return self._graph.nodes[name].effect != "instant"

    def _block(self, nodes: frozenset[str], folded: frozenset[str]) -> Block:
        return Block(
            head=self._head(nodes), nodes=nodes, folded=folded, cyclic=any(name in self._loop_of for name in nodes)
        )

    def _head(self, nodes: frozenset[str]) -> str:
        """Where tokens enter first, in the order of the definition; nothing in the block leads to it but its loop."""
        unit = next(
            members
            for members in self._units.values()
            if members <= nodes and not self._sources(members) & nodes - members
        )
        entered = [name for name in self._graph.nodes if name in unit and self._enters(name, unit)]
        return entered[0] if entered else min(unit, key=self._order.__getitem__)

    def _enters(self, name: str, unit: frozenset[str]) -> bool:
        return name == self._graph.entry or any(edge.source not in unit for edge in self._graph.incoming(name))

    def _sources(self, members: Iterable[str]) -> frozenset[str]:
        arriving = (edge.source for name in members for edge in self._graph.incoming(name))
        return frozenset(source for source in arriving if source in self._graph.reachable)

    # --- beside a scheduled request -------------------------------------------------------------------------

    def _beside_schedules(self) -> list[Block]:
        """With each request, what nothing but its ``on_success`` leads to, if anything there waits or calls."""
        blocks: list[Block] = []
        for name, node in self._graph.nodes.items():
            taken = {member for block in blocks for member in block.nodes}
            if node.at_once is None or name not in self._units or {name} != self._units[name]:
                continue
            beside = frozenset({name})
            after = self._at_once(name)
            for members in self._units.values():
                if members <= after and not members & taken and self._sources(members) - members <= beside:
                    beside |= members
            if name not in taken and any(self._is_effect(each) for each in beside - {name}):
                loops = frozenset(each for each in beside if each in self._loop_of)
                blocks.append(self._block(beside, folded=loops | {name}))
        return blocks

    def _at_once(self, name: str) -> frozenset[str]:
        """Where the token may come that leaves a node while it keeps another for itself."""
        at_once = self._graph.nodes[name].at_once
        return self._closure([edge.target for edge in self._graph.outgoing(name) if edge.label == at_once])

    def _closure(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*({name} | nx.descendants(self._graph.digraph, name) for name in names))

    # --- granularity: workflow ------------------------------------------------------------------------------

    def _levels(self) -> list[Block]:
        """All nodes that as many calls on a worker come before; a level that waits for nothing needs no block."""
        level: dict[str, int] = {}
        behind_call: dict[str, str] = {}  # instant nodes that one call alone leads to: its task evaluates them
        groups: dict[int, set[str]] = {}
        on_worker = self._on_worker()
        for first, members in self._units.items():
            before = self._sources(members) - members
            # A call's task ends before the level behind it begins.
            reached = max((level[b] + (b in on_worker or b in behind_call) for b in before), default=0)
            level.update(dict.fromkeys(members, reached))
            deciders = {behind_call.get(b, b) for b in before}
            if first in on_worker:
                continue
            if len(deciders) == 1 and deciders <= on_worker and not self._is_effect(first) and len(members) == 1:
                level[first] = reached - 1
                behind_call[first] = next(iter(deciders))
            elif not self._is_free_end(first) or deciders <= groups.get(reached, set()):
                groups.setdefault(reached, set()).update(members)
        waiting = [frozenset(group) for group in groups.values() if any(self._is_effect(name) for name in group)]
        return [self._block(group, folded=group) for group in waiting]

    def _is_free_end(self, name: str) -> bool:
        return self._graph.nodes[name].needs_nobody

    def _on_worker(self) -> frozenset[str]:
        """The calls outside of loops that no other way of the instance goes beside.

        Others are made in the triggerer, in a thread: a task of their own would begin only when the nodes beside them
        are done, and not at all if one of those fails.
        """
        calling = {name for name in self._units if kind_of(self._graph, name) == "call"}
        lone = calling - self._loop_of.keys()
        beside = [name for members in self._units.values() for name in members if self._takes_time_or_fails(name)]
        after = {name: nx.descendants(self._graph.digraph, name) for name in beside}
        for ways in self._parallel_ways():
            for one, other in itertools.permutations(ways, 2):
                others = [name for name in beside if name in other]
                lone -= {
                    call
                    for call in lone & one
                    if any(name != call and name not in after[call] and call not in after[name] for name in others)
                }
        return frozenset(lone)

    def _takes_time_or_fails(self, name: str) -> bool:
        return self._graph.nodes[name].may_fail or self._is_effect(name)

    def _parallel_ways(self) -> Iterable[list[frozenset[str]]]:
        """For each node that lets several tokens go, where each of them may come."""
        for name, node in self._graph.nodes.items():
            if node.parallel:
                yield [self._closure([branch]) for branch in node.parallel]
            elif node.at_once is not None:
                later = [edge.target for edge in self._graph.outgoing(name) if edge.label != node.at_once]
                yield [self._at_once(name), self._closure(later) | {name}]
