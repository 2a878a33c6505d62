"""Checks after the schema: everything that can be known to be wrong, or looks wrong, before a run."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx

from cch.definition.document import Document, Path
from cch.definition.kinds import BRANCH_END, Requesting
from cch.definition.model import Definition
from cch.definition.nodes import target_keys
from cch.definition.reader import parse, served_document
from cch.definition.schema import MOST_GUESSES, did_you_mean, schema_problems
from cch.errors import DefinitionError, Problem
from cch.graph.build import build_graph
from cch.graph.expressed import bad_expressions, said_twice
from cch.graph.model import Graph

#: Most targets in one definition: 500 nodes have about 1,500, and some checks take the square of it.
MAX_WAYS = 10_000


def _targets(document: Document) -> Iterator[tuple[Path, str]]:
    """What nodes name under a key that names nodes, in whatever type, with its place; nothing has been checked yet."""
    single, several = target_keys()
    nodes = document.data.get("nodes")
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        for key, value in node.items() if isinstance(node, dict) else ():
            items: Iterable[tuple[Any, Any]] = ()
            if key in single:
                items = [((), value)]
            elif key in several and isinstance(value, Mapping):
                items = (((index,), target) for index, target in value.items())
            elif key in several and isinstance(value, list):
                items = (
                    ((index, "next"), each.get("next")) if isinstance(each, Mapping) else ((index,), each)
                    for index, each in enumerate(value)
                )
            yield from ((("nodes", name, key, *index), target) for index, target in items if isinstance(target, str))


def _unknown_targets(document: Document) -> Iterator[Problem]:
    nodes = document.data.get("nodes")
    if not isinstance(nodes, dict):
        return

    guesses = iter(range(MOST_GUESSES))

    def missing(path: Path, target: str) -> Problem:
        guess = did_you_mean(target, nodes) if next(guesses, None) is not None else ""
        hint = guess or "add the node, or name one that exists"
        return document.problem(path, "CCH-G001", f"there is no node {target!r}", hint)

    entry = document.data.get("entry_point")
    if isinstance(entry, str) and entry not in nodes:
        yield missing(("entry_point",), entry)
    for path, target in _targets(document):
        if target not in nodes:
            yield missing(path, target)


def _too_many_ways(document: Document) -> Iterator[Problem]:
    """Refuse before the graph is built: an anchor makes thousands of ways in a few lines."""
    ways = sum(1 for _ in _targets(document))
    if ways > MAX_WAYS:
        message = f"too large: nodes name others {ways} times, more than {MAX_WAYS}"
        yield document.problem(("nodes",), "CCH-D003", message, "split the workflow")


def _problem(document: Document, name: str, code: str, message: str, hint: str, *, warning: bool = False) -> Problem:
    return document.problem(("nodes", name), code, message, hint, warning=warning)


def _unreachable(graph: Graph, document: Document) -> Iterator[Problem]:
    """The nodes with which a part begins that nobody comes to; what comes after them follows from it."""
    lost = [name for name in graph.nodes if name not in graph.reachable]
    listed = {branch for branches in graph.joins.values() for branch in branches}
    behind: set[str] = set()
    for name in lost:
        if name not in behind:
            behind |= nx.descendants(graph.digraph, name)
            behind -= {name}
    for name in lost:
        started_by_nobody = name in listed and any(join in graph.reachable for join in graph.joins)
        if name not in behind and not started_by_nobody:  # of the branches of a join it says so itself
            yield _problem(
                document, name, "CCH-G101", f"no way leads from {graph.entry!r} to {name!r}",
                "point a node to it, or remove it", warning=True,
            )  # fmt: skip


def _no_end(graph: Graph, document: Document) -> Iterator[Problem]:
    if not any(graph.nodes[name].is_end for name in graph.reachable):
        message = "no way leads from the entry point to an 'end'"
        yield document.problem(("entry_point",), "CCH-G002", message, "add a node of type end and lead to it")


def _open_ends(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, node in graph.nodes.items():
        is_open = name in graph.reachable and node.open_way not in (None, BRANCH_END)
        if is_open and not any(edge.label == node.open_way for edge in graph.outgoing(name)):
            yield _problem(
                document, name, "CCH-G003", f"{name!r} does not say where to go after success",
                "add on_success, or list the branch in a join", warning=True,
            )  # fmt: skip


def _joins(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, branches in graph.joins.items():
        if not graph.reachable & {name, *branches}:
            continue  # a dead part as a whole, which is reported as that
        arrivals = graph.join_arrivals.get(name, {})
        for index, branch in enumerate(branches):
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
        ends = sorted(n for n in body if graph.nodes[n].is_end)
        into_end = sorted(n for n in body if any(graph.nodes[t].is_end for t in graph.targets(n)))
        return next(iter(into_end or ends), "")

    for node in graph.nodes.values():
        for join, branches in graph.joins.items():
            for branch in (each for each in node.parallel if each in branches):
                if culprit := leaves(branch, join):
                    yield _problem(
                        document, culprit, "CCH-G102",
                        f"branch {branch!r} may leave here without arriving at its join {join!r}",
                        "the join then does not fire; lead the way to the join if that is not meant", warning=True,
                    )  # fmt: skip
                    break


def _hot_loops(graph: Graph, document: Document) -> Iterator[Problem]:
    for cycle in graph.cycles:
        names = [name for name in graph.nodes if name in cycle]
        leaves = any(graph.targets(name) - cycle for name in cycle)
        if not leaves or not any(graph.nodes[name].effect in ("waits", "calls") for name in cycle):
            yield _problem(
                document, names[0], "CCH-G005",
                f"the loop {' → '.join([*names, names[0]])} has {'no wait and no call' if leaves else 'no exit'}",
                "add a request, a wait or a call, and a way out",
            )  # fmt: skip


def _map_bodies(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, node in graph.maps.items():
        if node.branch_entry_node in graph.nodes:
            entry, rest = node.branch_entry_node, nx.restricted_view(graph.digraph, [name], [])
            body = {entry} | (nx.descendants(rest, entry) if entry != name else set())
            if not any(graph.nodes[n].ends for n in body):
                yield _problem(
                    document, name, "CCH-G006", f"the body of map {name!r} never ends",
                    "end it with an end_branch",
                )  # fmt: skip


def _unhandled_errors(graph: Graph, document: Document) -> Iterator[Problem]:
    for name, node in graph.nodes.items():
        if not isinstance(node, Requesting) or name not in graph.reachable:
            continue
        handled = node.on_failure is not None or node.error_reply is not None
        if not handled and not graph.decides_by_status(node.on_response):
            yield _problem(
                document, name, "CCH-G103", f"an ERROR reply to {name!r} is handled by nobody",
                f"add on_failure, or make {node.on_response!r} a condition on status; without it the run goes on",
                warning=True,
            )  # fmt: skip


GRAPH_CHECKS = (
    _unreachable,
    _no_end,
    _open_ends,
    _joins,
    _escaping_branches,
    _hot_loops,
    _map_bodies,
    _unhandled_errors,
    bad_expressions,  # of keys that no earlier release has served
    said_twice,
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
    problems = [problem for look in GRAPH_CHECKS for problem in look(graph, document)]
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
