"""What a person fills in, beside what the workflow needs of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cch.definition.document import Document, Path
from cch.definition.paths import read_key
from cch.definition.schema import did_you_mean
from cch.errors import Problem
from cch.graph.model import Graph


def _undescribed(schema: Any, place: Path) -> Iterator[tuple[Path, str, str]]:
    """(place, key, guess) of what is required and not described, at any depth."""
    if not isinstance(schema, Mapping):
        return
    properties = schema.get("properties")
    required = schema.get("required")
    if isinstance(properties, Mapping) and isinstance(required, list):
        for index, key in enumerate(required):
            if isinstance(key, str) and key not in properties:
                yield (*place, "required", index), key, did_you_mean(key, properties)
    for key, inner in properties.items() if isinstance(properties, Mapping) else ():
        yield from _undescribed(inner, (*place, "properties", key))


def unfit_forms(graph: Graph, document: Document) -> Iterator[Problem]:
    """Forms that cannot bring the key of their event, and keys that are required and not described."""
    for name, node in graph.nodes.items():
        form = node.form
        if not isinstance(form, Mapping):
            continue
        place: Path = ("nodes", name, "payload_schema")
        properties = form.get("properties")
        if node.event_path and isinstance(properties, Mapping):
            root = read_key(node.event_path, graph.definition.reading_rules).root
            if root not in properties:
                hint = did_you_mean(root, properties) or f"describe {root} under properties"
                message = f"the form of {name!r} cannot bring {node.event_path!r}, by which the event is known"
                yield document.problem(("nodes", name, "event_key"), "CCH-G119", message, hint, warning=True)
            elif root not in (form.get("required") or ()):
                message = f"the form of {name!r} may be sent without {root!r}, and is then no event of this node"
                yield document.problem(place, "CCH-G119", message, f"add {root} to required", warning=True)
        for at, key, guess in _undescribed(form, place):
            message = f"{key!r} is required and not described, so no form shows it"
            yield document.problem(at, "CCH-G119", message, guess or "describe it under properties", warning=True)
