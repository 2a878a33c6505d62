"""Ways that lead where nobody wants to be: past joins, out of maps, back to what has just failed, to no end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import networkx as nx

from cch.definition.document import Document, Path
from cch.definition.kinds import MAP_ITEM
from cch.definition.nodes import Node
from cch.errors import Problem
from cch.graph.model import Edge, Graph


def _outside_maps(graph: Graph) -> frozenset[str]:
    """Nodes that the instance's own tokens come to, not those of items."""
    walk: nx.DiGraph[str] = nx.DiGraph()
    walk.add_nodes_from(graph.nodes)
    walk.add_edges_from((e.source, e.target) for e in graph.edges if e.label != MAP_ITEM)
    return frozenset({graph.entry} | nx.descendants(walk, graph.entry)) if graph.entry in graph.nodes else frozenset()


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


def _body(graph: Graph, name: str) -> frozenset[str]:
    entry = graph.maps[name].branch_entry_node
    joins = {join for join, branches in graph.joins.items() if name in branches}
    walk = nx.restricted_view(graph.digraph, [each for each in (*joins, name) if each != entry], [])
    return frozenset({entry} | nx.descendants(walk, entry)) if entry in graph.nodes else frozenset()


def crossed_maps(graph: Graph, document: Document) -> Iterator[Problem]:
    """Ways into the body of a map, and out of it to what comes after the map."""
    for name in graph.maps:
        joins = {join for join, branches in graph.joins.items() if name in branches}
        behind = frozenset().union(*({join} | graph.ahead[join] for join in joins)) if joins else frozenset[str]()
        body = _body(graph, name)
        inside = body - behind
        for edge in graph.edges:
            if edge.implied:
                continue
            if edge.source in inside and edge.target in joins:
                yield _crossing(
                    document, edge, f"leads from an item of map {name!r} to its join {edge.target!r}",
                    "end the body with an end_branch: the join waits for the map as a whole",
                )  # fmt: skip
            elif edge.source in inside and edge.target in behind and not _only_ends(graph, edge.target):
                yield _crossing(
                    document, edge, f"leads out of the body of map {name!r} to {edge.target!r}, which comes after it",
                    "end the body with an end_branch; what comes after the map is led to by its join",
                )  # fmt: skip
            elif (
                edge.target in inside
                and edge.source not in body
                and edge.source != name
                and not _only_ends(graph, edge.target)
            ):
                message = f"leads into the body of map {name!r}, past the map"
                yield _crossing(document, edge, message, f"lead the way to {name} instead")


def _only_ends(graph: Graph, name: str) -> bool:
    """Whether a node is the beginning of a handler that several scopes share: instant nodes up to an end."""
    seen = {name} | set(nx.descendants(graph.digraph, name))
    return all(graph.nodes[each].effect == "instant" for each in seen)


def _crossing(document: Document, edge: Edge, message: str, hint: str) -> Problem:
    place: Path = ("nodes", edge.source, edge.label)
    if place not in document.positions:
        place = ("nodes", edge.source, "branches", edge.label)
    if place not in document.positions:
        place = ("nodes", edge.source)
    text = f"the way {edge.label} of {edge.source!r} {message}"
    return document.problem(place, "CCH-G112", text, hint, warning=True)


def reentered_branches(graph: Graph, document: Document) -> Iterator[Problem]:
    """Ways from behind a join back into one of its branches: the others never come to the join again."""
    for join in graph.joins:
        behind = frozenset(nx.descendants(graph.digraph, join)) | {join}
        for branch in graph.joins[join]:
            if branch not in graph.nodes or branch == join:
                continue
            body = {branch} | (graph.ahead[branch] - graph.ahead[join] - {join})
            for edge in graph.edges:
                into = edge.target in body and edge.source not in body
                if into and edge.source in behind and not _starts_all(graph, edge.source, join):
                    place: Path = ("nodes", edge.source, edge.label)
                    if place not in document.positions:
                        place = ("nodes", edge.source)
                    yield document.problem(
                        place, "CCH-G113",
                        f"the way from {edge.source!r} leads back over join {join!r} into its branch {branch!r}:"
                        " the other branches do not come to the join again",
                        "lead back to the fork, or to what comes before it", warning=True,
                    )  # fmt: skip
                    return


def _starts_all(graph: Graph, source: str, join: str) -> bool:
    return len(graph.joins[join]) < 2 or bool(graph.nodes[source].parallel)


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
                    if keys[0] == keys[1] or "" in keys:
                        said.add(pair)
                        later = max(pair, key=graph.order.__getitem__)
                        yield document.problem(
                            ("nodes", later), "CCH-G114",
                            f"{one!r} and {other!r} wait side by side, and either takes the other's event",
                            "give each an event_key of its own", warning=True,
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
