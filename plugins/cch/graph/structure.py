"""Ways that lead where nobody wants to be: past joins, out of maps, back to what has just failed, to no end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import networkx as nx

from cch.definition.document import Document, Path
from cch.definition.kinds import MAP_ITEM
from cch.definition.nodes import Node
from cch.errors import Problem
from cch.graph.flows import FAILING
from cch.graph.model import Edge, Graph


def _outside_maps(graph: Graph) -> frozenset[str]:
    """Nodes that the instance's own tokens come to, not those of items."""
    return _reach(graph, graph.entry, set(), failing=True)


def loose_branches(graph: Graph, document: Document) -> Iterator[Problem]:
    """An ``end_branch`` that no join waits for: the ways end there, and the instance may end nowhere."""
    outside = _outside_maps(graph)
    if not any(graph.nodes[name].is_end for name in outside):
        return  # which is said as a whole
    for name, node in graph.nodes.items():
        if node.ends == "branch" and name in outside and not graph.outgoing(name):
            yield document.problem(
                ("nodes", name), "CCH-G013", f"no join waits for the branch that ends at {name!r}",
                "list the branch in the join_branches of a join, or lead the way on",
            )  # fmt: skip


def forgotten_branches(graph: Graph, document: Document) -> Iterator[Problem]:
    """A join that waits for some branches of a fork, and goes on without another that arrives as well."""
    for join in graph.joins:
        for fork in graph.nodes.values():
            waited = [branch for branch in fork.parallel if _is_waited_for(graph, join, branch)]
            if not waited or len(waited) == len(fork.parallel):
                continue
            for branch in fork.parallel:
                if branch in waited or branch not in graph.nodes:
                    continue
                body = {branch} | (graph.ahead[branch] - graph.ahead[join] - {join})
                direct = any(edge.source in body for edge in graph.incoming(join))
                loose = any(graph.nodes[n].open_way is not None and not graph.outgoing(n) for n in body)
                if direct or loose:
                    yield document.problem(
                        ("nodes", join, "join_branches"), "CCH-G110",
                        f"join {join!r} does not wait for branch {branch!r} of fork {fork.name!r}",
                        f"add {branch} to join_branches", warning=True,
                    )  # fmt: skip


def _is_waited_for(graph: Graph, join: str, branch: str) -> bool:
    if branch not in graph.nodes:
        return False
    return any(
        branch == name or name in graph.ahead[branch]
        for name in graph.joins[join]
        if graph.join_arrivals.get(join, {}).get(name)
    )


def hot_handlers(graph: Graph, document: Document) -> Iterator[Problem]:
    """A failure whose handling leads back to what failed, with nothing between that takes time."""
    quick: nx.DiGraph[str] = nx.DiGraph()
    quick.add_nodes_from(graph.nodes)
    for edge in graph.edges:
        node = graph.nodes[edge.source]
        if edge.label == "on_failure" or node.effect == "instant":
            quick.add_edge(edge.source, edge.target)
    for edge in graph.edges:
        node = graph.nodes[edge.source]
        if edge.label != "on_failure" or node.effect == "instant" or _pauses(node):
            continue
        if edge.target == edge.source or edge.source in nx.descendants(quick, edge.target):
            yield document.problem(
                ("nodes", edge.source, "on_failure"), "CCH-G111",
                f"a failure of {edge.source!r} leads back to it without any pause",
                "give it a retry with a delay, or let a person or a wait come between", warning=True,
            )  # fmt: skip


def _pauses(node: Node) -> bool:
    retry = getattr(node, "retry", None)
    return retry is not None and retry.max_attempts > 1 and retry.delay > 0


def _reach(graph: Graph, entry: str, without: set[str], *, failing: bool) -> frozenset[str]:
    """Nodes that a way leads to from ``entry``, past none of ``without``; ``failing``: also ways of failures."""
    if entry not in graph.nodes:
        return frozenset()
    seen, todo = {entry}, [entry]
    while todo:
        for edge in graph.outgoing(todo.pop()):
            goes = edge.target not in seen and edge.target not in without
            if goes and edge.label != MAP_ITEM and (failing or edge.label not in FAILING):
                seen.add(edge.target)
                todo.append(edge.target)
    return frozenset(seen)


def crossed_maps(graph: Graph, document: Document) -> Iterator[Problem]:
    """Ways into the body of a map, and out of it to what comes after the map."""
    for name, node in graph.maps.items():
        joins = {join for join, branches in graph.joins.items() if name in branches}
        body = _reach(graph, node.branch_entry_node, joins | {name}, failing=True)
        core = _reach(graph, node.branch_entry_node, joins | {name}, failing=False)
        behind = frozenset().union(*(_reach(graph, join, {node.branch_entry_node}, failing=False) for join in joins))
        for edge in graph.edges:
            if edge.implied or edge.label == MAP_ITEM:
                continue
            outward = edge.source in body and edge.source not in behind
            if outward and edge.target in joins:
                message = f"leads from an item of map {name!r} to its join {edge.target!r}"
                hint = "end the body with an end_branch: the join waits for the map as a whole"
                yield _crossing(document, edge, message, hint)
            elif edge.source in core - behind and edge.target in behind and _matters(graph, edge):
                message = f"leads out of the body of map {name!r} to {edge.target!r}, which comes after it"
                hint = "end the body with an end_branch; what comes after the map is led to by its join"
                yield _crossing(document, edge, message, hint)
            elif edge.target in core and edge.source not in body - behind and not graph.nodes[edge.target].is_end:
                message = f"leads into the body of map {name!r}, past the map"
                yield _crossing(document, edge, message, f"lead the way to {name} instead")


def _matters(graph: Graph, edge: Edge) -> bool:
    return edge.label not in FAILING or not _only_ends(graph, edge.target)


def _only_ends(graph: Graph, name: str) -> bool:
    """Whether a node is the beginning of a handler that several scopes share: instant nodes up to an end."""
    seen = {name} | set(nx.descendants(graph.digraph, name))
    return all(graph.nodes[each].effect == "instant" for each in seen)


def _crossing(document: Document, edge: Edge, message: str, hint: str, code: str = "CCH-G112") -> Problem:
    place: Path = ("nodes", edge.source, edge.label)
    if place not in document.positions:
        place = ("nodes", edge.source, "branches", edge.label)
    if place not in document.positions:
        place = ("nodes", edge.source)
    text = f"the way {edge.label} of {edge.source!r} {message}"
    return document.problem(place, code, text, hint, warning=True)


def reentered_branches(graph: Graph, document: Document) -> Iterator[Problem]:
    """Ways from behind a join back into one of its branches: the others never come to the join again."""
    for join in graph.joins:
        for fork in graph.nodes.values():
            waited = [branch for branch in fork.parallel if _is_waited_for(graph, join, branch)]
            behind = _reach(graph, join, {fork.name}, failing=True) if len(waited) > 1 else frozenset[str]()
            for branch in waited:
                body = _reach(graph, branch, {join}, failing=True)
                inside = body - _reach(graph, join, {fork.name, branch}, failing=True)
                for edge in graph.edges:
                    if edge.target not in inside or edge.source in inside or edge.source == fork.name:
                        continue
                    if edge.source in behind and not edge.implied:
                        message = (
                            f"leads back over join {join!r} into branch {branch!r}: the others do not come there again"
                        )
                        yield _crossing(document, edge, message, "lead back to the fork, or before it", "CCH-G113")


def rival_waits(graph: Graph, document: Document) -> Iterator[Problem]:
    """Waits in branches that run side by side, and take each other's events."""
    waits = {name: node for name, node in graph.nodes.items() if node.shape == "event"}
    said: set[frozenset[str]] = set()
    for fork in graph.nodes.values():
        for first, second in ((a, b) for a in fork.parallel for b in fork.parallel if a < b):
            ones = [n for n in waits if n == first or n in graph.ahead.get(first, ())]
            others = [n for n in waits if n == second or n in graph.ahead.get(second, ())]
            for one in ones:
                for other in others:
                    pair = frozenset({one, other})
                    if one in others or other in ones or pair in said:
                        continue
                    keys = waits[one].event_path, waits[other].event_path
                    either = not (waits[one].takes_some or waits[other].takes_some)
                    if either and (keys[0] == keys[1] or "" in keys):
                        said.add(pair)
                        later = max(pair, key=graph.order.__getitem__)
                        yield document.problem(
                            ("nodes", later), "CCH-G114",
                            f"{one!r} and {other!r} wait side by side, and either takes the other's event",
                            "give each an event_key of its own, or a match", warning=True,
                        )  # fmt: skip


def useless_ways(graph: Graph, document: Document) -> Iterator[Problem]:
    """An ``on_failure`` of a node that cannot fail, or fails another way."""
    for name, node in graph.nodes.items():
        if node.on_failure is None or name not in graph.reachable or node.ends is not None:
            continue
        never = node.effect == "instant" and not node.may_fail
        waits = node.shape == "event" and (document.data["nodes"][name].keys() & {"on_timeout"} or not _has_limit(node))
        if never or waits:
            message = f"nothing takes the on_failure of {name!r}"
            hint = (
                "its on_timeout is taken instead"
                if waits and _has_limit(node)
                else "the node cannot fail: leave it out"
            )
            problem = document.problem(("nodes", name, "on_failure"), "CCH-G120", message, hint)
            yield replace(problem, severity="advice")


def _has_limit(node: Node) -> bool:
    return getattr(node, "timeout", None) is not None
