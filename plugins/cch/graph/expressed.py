"""Expressions of a definition that cannot be used, and what is said twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cch.definition.document import Document, Path
from cch.errors import Problem
from cch.expressions.expression import ExpressionError, expression_of
from cch.graph.model import Graph
from cch.graph.scopes import map_body

#: Keys that have to be expressions as a whole.
_WHOLE = ("when", "items", "match")
#: Pairs of keys of one node of which only one can be meant.
_EITHER = (
    ("input", "input_keys"),
    ("output", "output_keys"),
    ("output", "request_output_keys"),
    ("choices", "condition_on_key"),
    ("choices", "branches"),
    ("items", "input_list_key"),
)


def bad_expressions(graph: Graph, document: Document) -> Iterator[Problem]:
    """Those that cannot be read, or use what has no value at their place."""
    in_maps = _behind_maps(graph)
    for name, node in graph.nodes.items():
        for written in node.expressions():
            place: Path = ("nodes", name, *written.place)
            try:
                found = expression_of(written.text)
                if found is None:
                    if place[-1] in _WHOLE:
                        message = f"{place[-1]!r} is a text, not an expression"
                        yield document.problem(place, "CCH-G010", message, f"write {{% {written.text:.80} %}}")
                    continue
                names = written.names if name in in_maps else tuple(each for each in written.names if each != "item")
                found.check(names)
            except ExpressionError as error:
                yield _at(document, place, written.text, error)


def _behind_maps(graph: Graph) -> frozenset[str]:
    """The bodies of maps, and what comes after them: there a text was served that uses ``$item``."""
    entries = [node.branch_entry_node for node in graph.maps.values()]
    return frozenset().union(*(frozenset({entry} | graph.ahead.get(entry, frozenset())) for entry in entries))


def items_outside(graph: Graph, document: Document) -> Iterator[Problem]:
    """Expressions that use ``$item`` behind a map, where it has no value."""
    bodies = (map_body(graph, name).reachable for name in graph.maps)
    for name in sorted(_behind_maps(graph).difference(*bodies)):
        node = graph.nodes.get(name)
        for written in node.expressions() if node is not None else ():
            try:
                if (found := written.expression) is not None and "item" in found.names:
                    found.check(tuple(each for each in written.names if each != "item"))
            except ExpressionError as error:
                yield _at(document, ("nodes", name, *written.place), written.text, error)


def _at(document: Document, place: Path, text: str, error: ExpressionError) -> Problem:
    message = f"the expression {' '.join(text.split())!r:.120} cannot be used: {error}"
    problem = document.problem(place, "CCH-G010", message, "see Expressions in docs/language.md")
    try:
        found = expression_of(text)
    except ExpressionError:
        found = None
    offset = (found.offset if found else 0) + max(error.position, 0)
    inside = document.inside(place, text, offset)
    return problem if inside is None else replace(problem, line=inside.line, column=inside.column)


def said_twice(graph: Graph, document: Document) -> Iterator[Problem]:
    """Two keys that say the same in two ways."""
    for name in graph.nodes:
        written = document.data["nodes"][name]
        for one, other in _EITHER:
            if one in written and other in written:
                message = f"{name!r} has {one!r} and {other!r}, which say the same in two ways"
                yield document.problem(("nodes", name, other), "CCH-G011", message, f"leave out {other!r} or {one!r}")
