"""Nodes and labelled edges, with the structure that the rules of execution need."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from cch.definition.kinds import Requesting
from cch.definition.model import Definition
from cch.definition.nodes import MapFork, Node
from cch.definition.uses import read_by

#: Label with which a fork ends: all its branches at once.
FORKED = "branches"
#: Key that every reply sets to SUCCESS or ERROR.
STATUS = "status"


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """A way from one node to another.

    ``label`` is the key that names it in the definition (``on_response``, a branch's value, …); ``implied``
    edges are not written there but follow from a join's list.
    """

    source: str
    label: str
    target: str
    implied: bool = False


@dataclass(frozen=True)
class Graph:
    """One definition's graph. Edges keep the order of the definition."""

    definition: Definition
    edges: tuple[Edge, ...]
    #: For each join, its branches; for each branch, the nodes whose edge into the join closes it.
    join_arrivals: Mapping[str, Mapping[str, frozenset[str]]]
    #: The capabilities whose calls are made where everything else waits, and not on a worker.
    awaited: frozenset[str] = frozenset()

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.definition.nodes

    @property
    def entry(self) -> str:
        return self.definition.entry_point

    @functools.cached_property
    def order(self) -> Mapping[str, int]:
        """Node → its place in the definition."""
        return {name: index for index, name in enumerate(self.nodes)}

    @functools.cached_property
    def _outgoing(self) -> Mapping[str, tuple[Edge, ...]]:
        table: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            table[edge.source].append(edge)
        return {name: tuple(edges) for name, edges in table.items()}

    @functools.cached_property
    def _incoming(self) -> Mapping[str, tuple[Edge, ...]]:
        table: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            table[edge.target].append(edge)
        return {name: tuple(edges) for name, edges in table.items()}

    def outgoing(self, name: str) -> tuple[Edge, ...]:
        return self._outgoing[name]

    def incoming(self, name: str) -> tuple[Edge, ...]:
        return self._incoming[name]

    def chosen(self, name: str, label: str) -> tuple[Edge, ...]:
        """The edges that receive a token when ``name`` ends with ``label``; a fork's branches go together."""
        node, edges = self.nodes[name], self._outgoing[name]
        if node.parallel and label == FORKED:
            return tuple(edge for edge in edges if edge.target in node.parallel)
        return tuple(edge for edge in edges if edge.label == label)

    def targets(self, name: str) -> frozenset[str]:
        return frozenset(edge.target for edge in self._outgoing[name])

    def chooses(self, name: str) -> bool:
        """Whether ``name`` may end without failing the instance, and one of its targets go without a token."""
        branches = set(self.nodes[name].parallel)
        ends = {edge.label: {edge.target} for edge in self._outgoing[name] if edge.target not in branches}
        ends |= {FORKED: branches} if branches else {}
        if not ends.keys() - {"on_failure", "on_timeout"}:
            ends["success"] = set()  # its success leads nowhere: it is an end, or nothing follows it
        return len({frozenset(targets) for targets in ends.values()}) > 1

    @functools.cached_property
    def digraph(self) -> nx.DiGraph[str]:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((edge.source, edge.target) for edge in self.edges)
        return graph

    @functools.cached_property
    def reachable(self) -> frozenset[str]:
        """Nodes that a run can come to."""
        return frozenset({self.entry} | nx.descendants(self.digraph, self.entry))

    @functools.cached_property
    def cycles(self) -> tuple[frozenset[str], ...]:
        """The strongly connected components that hold a loop."""
        return tuple(
            frozenset(component)
            for component in nx.strongly_connected_components(self.digraph)
            if len(component) > 1 or any(edge.target == edge.source for edge in self._outgoing[next(iter(component))])
        )

    @functools.cached_property
    def closing(self) -> frozenset[tuple[str, str]]:
        """(source, target) of edges that close a loop: the back edges of a walk in the definition's order."""
        back: set[tuple[str, str]] = set()
        on_path: set[str] = set()
        seen: set[str] = set()
        for root in (self.entry, *self.nodes):
            if root in seen:
                continue
            stack = [(root, iter(self._outgoing[root]))]
            seen.add(root)
            on_path.add(root)
            while stack:
                name, edges = stack[-1]
                edge = next(edges, None)
                if edge is None:
                    on_path.discard(name)
                    stack.pop()
                elif edge.target in on_path:
                    back.add((name, edge.target))
                elif edge.target not in seen:
                    seen.add(edge.target)
                    on_path.add(edge.target)
                    stack.append((edge.target, iter(self._outgoing[edge.target])))
        return frozenset(back)

    @functools.cached_property
    def _loops(self) -> Mapping[str, frozenset[str]]:
        """For each node to which a loop is closed, the nodes of that loop."""
        loops: dict[str, set[str]] = {}
        for source, header in self.closing:
            loop = loops.setdefault(header, {header})
            todo = [source]
            while todo:
                name = todo.pop()
                if name not in loop:
                    loop.add(name)
                    todo.extend(edge.source for edge in self._incoming[name])
        return {header: frozenset(loop) for header, loop in loops.items()}

    @functools.cached_property
    def ahead(self) -> Mapping[str, frozenset[str]]:
        """For each node, the nodes that a token at it may come to without closing a loop that they are in.

        No two nodes are ahead of each other, nor several in a ring: what leads from one to the next around a loop
        closes it where it began.
        """
        after: dict[str, set[str]] = {name: set() for name in self.nodes}
        for target in self.nodes:
            around = {header for header, loop in self._loops.items() if target in loop}
            seen: set[str] = set()
            todo = [target]
            while todo:
                name = todo.pop()
                closed = name in around
                for edge in self._incoming[name]:
                    source = edge.source
                    if source not in seen and not (closed and (source, name) in self.closing):
                        seen.add(source)
                        after[source].add(target)
                        todo.append(source)
        return {name: frozenset(targets) for name, targets in after.items()}

    def course_of(self, name: str) -> frozenset[str]:
        """The node, and those that come after its success while nothing fails."""
        seen = {name}
        todo = [name]
        while todo:
            for edge in self._outgoing[todo.pop()]:
                if edge.label not in ("on_failure", "on_timeout") and edge.target not in seen:
                    seen.add(edge.target)
                    todo.append(edge.target)
        return frozenset(seen)

    @functools.cached_property
    def joins(self) -> Mapping[str, tuple[str, ...]]:
        """Node that waits for branches → these, as the definition names them."""
        return {name: node.joins for name, node in self.nodes.items() if node.joins}

    @functools.cached_property
    def maps(self) -> Mapping[str, MapFork]:
        """The nodes that run a body for each item of a list, by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, MapFork)}

    def error_goes_on(self, node: Requesting) -> bool:
        """Whether an ERROR reply goes ``on_response``, where the author's condition decides."""
        if node.error_reply is not None:
            return node.error_reply == "response"
        if self.definition.speaks.errors_go_on:
            return True
        return node.on_failure is None or self.decides_by_status(node.on_response)

    def decides_by_status(self, name: str) -> bool:
        """Whether the node is there and chooses its way by what the last reply has set."""
        node = self.nodes.get(name)
        if node is None or node.shape != "decision":
            return False
        return node.decides_by == STATUS or any(read.text == STATUS for read in read_by(node.expressions()))
