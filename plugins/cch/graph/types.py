"""Keys whose type, as schemas and constants say it, cannot be what a node needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cch.definition.document import Document
from cch.definition.json_schemas import schema_at
from cch.definition.nodes import Node
from cch.definition.uses import Read
from cch.errors import Problem
from cch.graph.contracted import answer_at
from cch.graph.flows import ALWAYS, constant_at
from cch.graph.model import Graph
from cch.values import MISSING

#: The types of JSON Schema.
_KINDS = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
#: Last part of the place of a path → the types of JSON Schema that its value may have, and how messages call them.
_WANTED: Mapping[str, tuple[frozenset[str], str]] = {
    "input_list_key": (frozenset({"array"}), "a list"),
    "date_context_key": (frozenset({"string"}), "a date as text"),
    "input_s3_uri_key": (frozenset({"string"}), "an S3 URI as text"),
}


def types_of(schema: Any) -> frozenset[str] | None:
    """The types that a JSON Schema names, without null; None if it names none."""
    kinds = schema.get("type") if isinstance(schema, Mapping) else None
    found = frozenset([kinds] if isinstance(kinds, str) else map(str, kinds) if isinstance(kinds, list) else ())
    return found - {"null"} if found and found <= _KINDS else None


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case list():
            return "array"
        case _:
            return "null"


def said_types(graph: Graph, steps: tuple[str, ...]) -> tuple[frozenset[str], str] | None:
    """The types of a path and who says them; None if several write it, or nobody says."""
    rules = graph.definition.reading_rules
    sources: list[tuple[frozenset[str] | None, str]] = []
    if steps[0] in graph.definition.required:
        schema, _ = schema_at(graph.definition.required[steps[0]], steps[1:])
        sources.append((types_of(schema), "initial_context"))
    for name, node in graph.nodes.items():
        answer = answer_at(graph, node, steps)
        if answer is not None:
            sources.append((types_of(answer[0]), name))
        elif any(write.path(rules).root == steps[0] and write.brings for write in node.writes()) and not node.form:
            sources.append((_of_constants(graph, node, steps), name))
        schema, _ = schema_at(node.form, steps)
        if schema is not None:
            sources.append((types_of(schema), name))
    if len(sources) != 1 or sources[0][0] is None:
        return None
    return sources[0][0], sources[0][1]


def _of_constants(graph: Graph, node: Node, steps: tuple[str, ...]) -> frozenset[str] | None:
    value = constant_at(graph, node, steps)
    if value is not MISSING:
        return None if value is None else frozenset({_type_of(value)})
    if node.asks is not None and node.asks.id == "core#calculate_timedelta":
        return frozenset({"string"})
    return None


def wrong_types(graph: Graph, document: Document) -> Iterator[Problem]:
    """Where a list, a date or a URI is needed and something else is said to be there."""
    for name, node in graph.nodes.items():
        for used in node.reads():
            wanted = _WANTED.get(str(used.place[-1]))
            if wanted is None or used.of != "context":
                continue
            yield from _unfit(graph, document, name, used=used, wanted=wanted)


def _unfit(
    graph: Graph, document: Document, name: str, *, used: Read, wanted: tuple[frozenset[str], str]
) -> Iterator[Problem]:
    steps = used.path(graph.definition.reading_rules).steps
    if steps[0] in ALWAYS:
        return
    said = said_types(graph, steps)
    if said is not None and not said[0] & wanted[0]:
        kinds = " or ".join(sorted(said[0]))
        message = f"{name!r} needs {wanted[1]} at {used.text!r}, and {said[1]!r} says that it is of type {kinds}"
        hint = "name another key, or correct what is said of it"
        yield document.problem(("nodes", name, *used.place), "CCH-G012", message, hint)
