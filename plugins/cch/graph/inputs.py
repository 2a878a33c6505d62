"""Keys of the context that a node reads and that nothing before it brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx

from cch.definition.document import Document
from cch.definition.paths import read_key
from cch.errors import Problem
from cch.graph.model import Graph

#: Keys that are in a context without anybody writing them.
_ALWAYS_THERE = frozenset({"status", "workflowInstanceId", "workflow_id", "internalError", "errorNode"})
#: Stands for any key.
_ANYTHING = "*"


def brought_keys(graph: Graph) -> dict[str, set[str]]:
    """The keys that each node brings, ``*`` for any; replies are trusted for what they are asked for."""
    rules = graph.definition.reading_rules
    brought: dict[str, set[str]] = {}
    for name, node in graph.nodes.items():
        brought[name] = {write.path(rules).root for write in node.writes() if write.brings}
        if node.writes_anything:
            brought[name].add(_ANYTHING)
    return brought


def _before(graph: Graph) -> dict[str, frozenset[str]]:
    """For each node, all that may have run when it starts; in a loop that is the whole loop."""
    parts: Any = nx.condensation(graph.digraph)
    up_to: dict[int, frozenset[str]] = {}
    before: dict[str, frozenset[str]] = {}
    looping = frozenset[str]().union(*graph.cycles)
    for part in nx.topological_sort(parts):
        members = frozenset(parts.nodes[part]["members"])
        above = frozenset[str]().union(*(up_to[earlier] for earlier in parts.predecessors(part)))
        up_to[part] = above | members
        before |= dict.fromkeys(members, up_to[part] if members & looping else above)
    return before


def _parallel_writer(graph: Graph, reader: str, writers: set[str]) -> str | None:
    """One of ``writers`` that is in another branch of a fork than ``reader``."""
    for fork in graph.nodes.values() if writers else ():
        own = {branch for branch in fork.parallel if reader == branch or reader in graph.ahead[branch]}
        for writer in sorted(writers) if own else ():
            around = {branch for branch in fork.parallel if writer == branch or writer in graph.ahead[branch]}
            if around and not around & own:
                return writer
    return None


def unknown_inputs(graph: Graph, document: Document) -> Iterator[Problem]:
    """Keys that nothing before the node brings. A condition may ask for such a key: it reads as null."""
    produced, before = brought_keys(graph), _before(graph)
    items = {node.item_key for node in graph.maps.values()}
    rules = graph.definition.reading_rules
    always = {*(read_key(key, rules).root for key in graph.definition.required), *_ALWAYS_THERE, *items}
    for name, node in graph.nodes.items():
        reads = [used for used in node.reads() if used.sent or used.text == node.decides_by]
        # What it writes at once is merged long before its request is made.
        own = [read_key(key, rules).root for key in node.constants] if node.at_once is not None else []
        known = always.union(own, *(produced[earlier] for earlier in before[name])) if reads else {_ANYTHING}
        for used in reads if _ANYTHING not in known else ():
            root = used.path(rules).root
            if root in known:
                continue
            writers = {writer for writer, keys in produced.items() if root in keys}
            if writer := _parallel_writer(graph, name, writers):
                yield document.problem(
                    ("nodes", name, *used.place), "CCH-G105",
                    f"{name!r} does not see {used.text!r}: only {writer!r} writes it, in a parallel branch",
                    "read it behind the join, or write it before the fork", warning=True,
                )  # fmt: skip
            elif used.sent:
                yield document.problem(
                    ("nodes", name, *used.place), "CCH-G104",
                    f"nothing before {name!r} brings the input key {used.text!r}",
                    "add it to initial_context or to an earlier node's outputs", warning=True,
                )  # fmt: skip
