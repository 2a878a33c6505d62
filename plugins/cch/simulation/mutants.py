"""Definitions with one thing changed: whether a scenario notices says what the scenarios are worth."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cch.definition.document import read_document
from cch.definition.model import Definition
from cch.definition.nodes import NODE_TYPES
from cch.graph.checks import check


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """``definition`` with one change; ``line`` is where the node that was changed stands in the original."""

    definition: Definition
    node: str
    line: int
    what: str


def mutants(definition: Definition) -> Iterator[Mutant]:
    """Every change of one label, target, key or value that leaves a definition that can be used."""
    document = read_document(definition.text, definition.file, definition.reading_rules)
    for name, what, data in _changes(document.data):
        changed, _ = check(json.dumps(data), definition.file)
        if changed is not None:
            place = document.position(("nodes", name))
            yield Mutant(definition=changed, node=name, line=place.line, what=what)


def _changes(data: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, node in data["nodes"].items():
        for what, path, value in _of_node(data, name, node):
            changed: dict[str, Any] = copy.deepcopy(dict(data))
            here: Any = changed["nodes"][name]
            for step in path[:-1]:
                here = here[step]
            if value is _GONE:
                del here[path[-1]]
            elif path[-1] == _RENAMED:
                old, new = value
                items = [(new if key == old else key, each) for key, each in here.items()]
                here.clear()
                here.update(items)
            else:
                here[path[-1]] = value
            yield name, what, changed


_GONE, _RENAMED = object(), object()


def _of_node(data: Mapping[str, Any], name: str, node: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """(what is changed, where in the node, the new value)."""
    nodes = list(data["nodes"])
    record = NODE_TYPES[node["type"]]
    for key in (*record.target_keys, "on_failure"):
        target = node.get(key)
        other = next((each for each in reversed(nodes) if each not in (target, name)), None)
        if isinstance(target, str) and other is not None:
            yield f"{key} leads to {other}", (key,), other
    branches = node.get("branches")
    for label, target in (branches if isinstance(branches, dict) else {}).items():
        other = next((each for each in node["branches"].values() if each != target), None)
        if other is not None:
            yield f"label {label} leads to {other}", ("branches", label), other
        if label != "_default":
            yield f"label {label} is another", ("branches", _RENAMED), (label, f"{label} ")
    for key in ("input_keys", "request_output_keys", "output_keys"):
        listed = node.get(key)
        for index, each in enumerate(listed if isinstance(listed, list) else ()):
            yield f"{key} is without {each}", (key, index), _GONE
    for key in ("static_outputs", "on_schedule_set"):
        fixed = node.get(key)
        for each, value in fixed.items() if isinstance(fixed, dict) else ():
            yield f"{key} has another {each}", (key, each), _other(value)
    if isinstance(node.get("status"), str) and node["type"] == "end":
        yield "the end is another", ("status",), "success" if node["status"] == "failed" else "failed"


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value} "
        case _:
            return "another value"
