"""Checks after the schema: everything that can be known to be wrong, or looks wrong, before a run."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx

from cch.definition.document import Document, Path
from cch.definition.model import (
    AsyncRequest,
    Condition,
    Definition,
    End,
    EndBranch,
    EventWait,
    Fork,
    Join,
    LibraryCall,
    MapFork,
    Node,
    ScheduledRequest,
    SyncCall,
)
from cch.definition.paths import read_key, read_path
from cch.definition.reader import parse, served_document
from cch.definition.schema import did_you_mean, schema_problems
from cch.errors import DefinitionError, Problem
from cch.graph.build import build_graph, success_is_open
from cch.graph.model import Graph

#: Keys of a node whose value names another node.
_TARGET_KEYS = (
    "next", "on_response", "on_success", "on_failure", "on_timeout", "on_event", "branch_entry_node",
)  # fmt: skip
_TARGET_LISTS = ("branches", "join_branches")
#: Most targets in one definition: 500 nodes have about 1,500, and some checks take the square of it.
MAX_WAYS = 10_000
#: Unknown targets of one file for which a node that might be meant is looked for: each costs a look at all names.
_GUESSES = 50


def _raw_targets(node: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for key in _TARGET_KEYS:
        if isinstance(node.get(key), str):
            yield (key,), node[key]
    for key in _TARGET_LISTS:
        value = node.get(key)
        items: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, Mapping):
            items = value.items()
        elif isinstance(value, list):
            items = enumerate(value)
        for index, target in items:
            if isinstance(target, str):
                yield (key, index), target


def _unknown_targets(document: Document) -> Iterator[Problem]:
    nodes = document.data.get("nodes")
    if not isinstance(nodes, dict):
        return

    guesses = iter(range(_GUESSES))

    def missing(path: Path, target: str) -> Problem:
        guess = did_you_mean(target, nodes) if next(guesses, None) is not None else ""
        hint = guess or "add the node, or name one that exists"
        return document.problem(path, "CCH-G001", f"there is no node {target!r}", hint)

    entry = document.data.get("entry_point")
    if isinstance(entry, str) and entry not in nodes:
        yield missing(("entry_point",), entry)
    for name, node in nodes.items():
        if isinstance(node, dict):
            for path, target in _raw_targets(node):
                if target not in nodes:
                    yield missing(("nodes", name, *path), target)


def _too_many_ways(document: Document) -> Iterator[Problem]:
    """Refuse before the graph is built: an anchor makes thousands of ways in a few lines."""
    nodes = document.data.get("nodes")
    found = nodes.values() if isinstance(nodes, dict) else ()
    ways = sum(1 for node in found if isinstance(node, dict) for _ in _raw_targets(node))
    if ways > MAX_WAYS:
        message = f"too large: nodes name others {ways} times, more than {MAX_WAYS}"
        yield document.problem(("nodes",), "CCH-D003", message, "split the workflow")


def _problem(document: Document, name: str, code: str, message: str, hint: str, *, warning: bool = False) -> Problem:
    return document.problem(("nodes", name), code, message, hint, warning=warning)


def _unreachable(graph: Graph, document: Document) -> Iterator[Problem]:
    for name in graph.nodes:
        if name not in graph.reachable:
            yield _problem(
                document, name, "CCH-G101", f"no way leads from {graph.entry!r} to {name!r}",
                "point a node to it, or remove it", warning=True,
            )  # fmt: skip


def _no_end(graph: Graph, document: Document) -> Iterator[Problem]:
    if not any(isinstance(graph.nodes[name], End) for name in graph.reachable):
        message = "no way leads from the entry point to an 'end'"
        yield document.problem(("entry_point",), "CCH-G002", message, "add a node of type end and lead to it")


def _open_ends(graph: Graph, document: Document) -> Iterator[Problem]:
    for name in graph.nodes:
        node = graph.nodes[name]
        is_open = name in graph.reachable and success_is_open(node) and not isinstance(node, EndBranch)
        if is_open and not any(edge.label == "on_success" for edge in graph.outgoing(name)):
            yield _problem(
                    document, name, "CCH-G003", f"{name!r} does not say where to go after success",
                    "add on_success, or list the branch in a join", warning=True,
                )  # fmt: skip


def _joins(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, join in graph.joins().items():
        if not graph.reachable & {name, *join.join_branches}:
            continue  # a dead part as a whole, which is reported as that
        arrivals = graph.join_arrivals.get(name, {})
        for index, branch in enumerate(join.join_branches):
            if branch in graph.nodes and not arrivals.get(branch):
                yield document.problem(
                    ("nodes", name, "join_branches", index), "CCH-G004",
                    f"join {name!r} can never fire: branch {branch!r} never arrives at it",
                    "let the branch end in the join or in an end_branch",
                )  # fmt: skip
            elif branch in graph.nodes and branch not in graph.reachable:
                yield document.problem(
                    ("nodes", name, "join_branches", index), "CCH-G004",
                    f"join {name!r} can never fire: nothing starts branch {branch!r}",
                    "start it from a fork",
                )  # fmt: skip


def _escaping_branches(graph: Graph, document: Document) -> Iterator[Problem]:
    """A branch that may go past its join: production definitions do it on purpose, so only a warning."""

    @functools.cache  # many forks may share their branches
    def leaves(branch: str, join: str) -> str:
        """The node at which a token of the branch may go to an end instead."""
        body = {branch} | (graph.ahead[branch] - graph.ahead[join] - {join})
        ends = sorted(n for n in body if isinstance(graph.nodes[n], End))
        into_end = sorted(n for n in body if any(isinstance(graph.nodes[t], End) for t in graph.targets(n)))
        return next(iter(into_end or ends), "")

    for node in graph.nodes.values():
        if not isinstance(node, Fork):
            continue
        joins = [join for join, spec in graph.joins().items() if set(spec.join_branches) & set(node.branches)]
        for join in joins:
            for branch in set(node.branches) & set(graph.nodes[join].join_branches):  # type: ignore[union-attr]
                if culprit := leaves(branch, join):
                    yield _problem(
                        document, culprit, "CCH-G102",
                        f"branch {branch!r} may leave here without arriving at its join {join!r}",
                        "the join then does not fire; lead the way to the join if that is not meant", warning=True,
                    )  # fmt: skip
                    break


def _hot_loops(graph: Graph, document: Document) -> Iterator[Problem]:
    effects = (AsyncRequest, ScheduledRequest, EventWait, SyncCall, LibraryCall)
    for cycle in graph.cycles:
        names = [name for name in graph.nodes if name in cycle]
        leaves = any(graph.targets(name) - cycle for name in cycle)
        if not leaves or not any(isinstance(graph.nodes[name], effects) for name in cycle):
            yield _problem(
                document, names[0], "CCH-G005",
                f"the loop {' → '.join([*names, names[0]])} has {'no wait and no call' if leaves else 'no exit'}",
                "add a request, a wait or a call, and a way out",
            )  # fmt: skip


def _map_bodies(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, node in graph.nodes.items():
        if isinstance(node, MapFork) and node.branch_entry_node in graph.nodes:
            entry, rest = node.branch_entry_node, nx.restricted_view(graph.digraph, [name], [])
            body = {entry} | (nx.descendants(rest, entry) if entry != name else set())
            if not any(isinstance(graph.nodes[n], End | EndBranch) for n in body):
                yield _problem(
                    document, name, "CCH-G006", f"the body of map {name!r} never ends",
                    "end it with an end_branch",
                )  # fmt: skip


def _unhandled_errors(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, node in graph.nodes.items():
        if not isinstance(node, AsyncRequest | ScheduledRequest) or name not in graph.reachable:
            continue
        if node.on_failure is None:
            after = graph.nodes.get(node.on_response)
            decides = isinstance(after, Condition) and after.condition_on_key == "status"
            if not decides and node.error_reply is None:
                yield _problem(
                    document, name, "CCH-G103", f"an ERROR reply to {name!r} is handled by nobody",
                    f"add on_failure, or make {node.on_response!r} a condition on status; without it the run goes on",
                    warning=True,
                )  # fmt: skip


#: Keys that are in a context without anybody writing them.
_ALWAYS_THERE = frozenset({"status", "workflowInstanceId", "workflow_id", "internalError", "errorNode"})


def _produced(graph: Graph) -> dict[str, set[str]]:
    """The keys that each node brings, ``*`` for any; replies are trusted for what they are asked for."""
    produced: dict[str, set[str]] = {}
    rules = graph.definition.reading_rules

    def roots(keys: Iterable[str]) -> set[str]:
        return {read_key(key, rules).root for key in keys}

    for name, node in graph.nodes.items():
        match node:
            case AsyncRequest() | ScheduledRequest():
                produced[name] = set(node.request_output_keys) or {"*"}
                produced[name] |= roots(getattr(node, "on_schedule_set", {}))
            case SyncCall():
                produced[name] = roots(node.output_keys) if node.output_keys is not None else {"*"}
            case LibraryCall():
                produced[name] = {read_path(node.output_key, rules).root}
            case EventWait():
                produced[name] = {"*"}
            case MapFork():
                produced[name] = {node.item_key}
            case Join():
                produced[name] = {read_path(node.destination, rules).root} if node.destination else set()
            case _:
                produced[name] = roots(getattr(node, "static_outputs", {}))
    return produced


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


def _reads(node: Node) -> Iterator[tuple[Path, str]]:
    """The keys that a node reads by name, with their place."""
    if isinstance(node, Condition):
        yield ("condition_on_key",), node.condition_on_key
    for index, key in enumerate(getattr(node, "input_keys", None) or ()):
        yield ("input_keys", index), key


def _parallel_writer(graph: Graph, reader: str, writers: set[str]) -> str | None:
    """One of ``writers`` that is in another branch of a fork than ``reader``."""
    for fork in graph.nodes.values() if writers else ():
        if not isinstance(fork, Fork):
            continue
        own = {branch for branch in fork.branches if reader == branch or reader in graph.ahead[branch]}
        for writer in sorted(writers) if own else ():
            around = {branch for branch in fork.branches if writer == branch or writer in graph.ahead[branch]}
            if around and not around & own:
                return writer
    return None


def _inputs(graph: Graph, document: Document) -> Iterator[Problem]:
    """Keys that nothing before the node brings. A condition may ask for such a key: it reads as null."""
    produced, before = _produced(graph), _before(graph)
    items = {node.item_key for node in graph.nodes.values() if isinstance(node, MapFork)}
    rules = graph.definition.reading_rules
    always = {*(read_key(key, rules).root for key in graph.definition.required), *_ALWAYS_THERE, *items}
    for name, node in graph.nodes.items():
        reads = list(_reads(node))
        # Merged long before the request is made.
        own = [read_key(key, rules).root for key in getattr(node, "on_schedule_set", {})]
        known = always.union(own, *(produced[earlier] for earlier in before[name])) if reads else {"*"}
        for path, key in reads if "*" not in known else ():
            root = read_path(key, rules).root
            if root in known:
                continue
            writers = {writer for writer, keys in produced.items() if root in keys}
            if writer := _parallel_writer(graph, name, writers):
                yield document.problem(
                    ("nodes", name, *path), "CCH-G105",
                    f"{name!r} does not see {key!r}: only {writer!r} writes it, in a parallel branch",
                    "read it behind the join, or write it before the fork", warning=True,
                )  # fmt: skip
            elif not isinstance(node, Condition):
                yield document.problem(
                    ("nodes", name, *path), "CCH-G104",
                    f"nothing before {name!r} brings the input key {key!r}",
                    "add it to initial_context or to an earlier node's outputs", warning=True,
                )  # fmt: skip


_GRAPH_CHECKS = (
    _unreachable,
    _no_end,
    _open_ends,
    _joins,
    _escaping_branches,
    _hot_loops,
    _map_bodies,
    _unhandled_errors,
    _inputs,
)


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, by file and place."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.file, p.line, p.column, p.code)))


def check(text: str, file: str = "") -> tuple[Definition | None, tuple[Problem, ...]]:
    """What keeps one definition from being served or looks wrong, and the definition if nothing is an error.

    What was served once is served for good: what is to be refused from now on is a finding (:mod:`cch.graph.findings`).
    """
    try:
        document = served_document(text, file)
    except DefinitionError as error:
        return None, error.problems
    return check_document(document)


def check_document(document: Document) -> tuple[Definition | None, tuple[Problem, ...]]:
    """As :func:`check`, of a document that was read."""
    problems = [*document.problems, *schema_problems(document), *_unknown_targets(document), *_too_many_ways(document)]
    if problems:
        return None, ordered(problems)
    definition = parse(document)
    graph = build_graph(definition)
    problems = [problem for look in _GRAPH_CHECKS for problem in look(graph, document)]
    failed = any(problem.severity == "error" for problem in problems)
    return None if failed else definition, ordered(problems)


def load(text: str, file: str = "") -> Definition:
    """The definition, or every reason why it cannot be used.

    :raises DefinitionError: at least one problem is an error.
    """
    definition, problems = check(text, file)
    if definition is None:
        raise DefinitionError(problems)
    return definition
