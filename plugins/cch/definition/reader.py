"""YAML text to a :class:`~cch.definition.model.Definition`: parse, check against the schema, build records."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cch.definition import json_schemas
from cch.definition.document import Document, read_document
from cch.definition.kinds import Retry
from cch.definition.model import Definition
from cch.definition.nodes import NODE_TYPES, Node
from cch.definition.rules import FIRST, NEWEST
from cch.definition.schema import embedded_schemas, schema_problems
from cch.durations import parse_duration
from cch.errors import DefinitionError


@functools.cache
def _tuples(record: Any) -> tuple[str, ...]:
    """The fields of a record that are tuples; in YAML they are lists."""
    return tuple(field.name for field in fields(record) if str(field.type).startswith("tuple["))


def _retry(raw: Mapping[str, Any]) -> Retry:
    known: dict[str, Any] = {key: value for key, value in raw.items() if not key.startswith("x-")}
    for key in ("delay", "max_delay"):
        if key in known:
            known[key] = parse_duration(known[key])
    if "on" in known:
        known["on"] = tuple(known["on"])
    return Retry(**known)


def _node(name: str, raw: Mapping[str, Any], document: Document) -> Node:
    place = document.position(("nodes", name))
    keys: dict[str, Any] = {key: value for key, value in raw.items() if not key.startswith("x-")}
    record: Any = NODE_TYPES[keys.pop("type")]
    values = record.fields_of(keys)
    values |= {"name": name, "line": place.line, "column": place.column}
    if "timeout" in values:
        values["timeout"] = parse_duration(values["timeout"])
    if "retry" in values:
        values["retry"] = _retry(values["retry"])
    for key in _tuples(record):
        if key in values:
            values[key] = tuple(values[key])
    node: Node = record(**values)
    return node


def _required(raw: list[str] | Mapping[str, Any]) -> dict[str, Any]:
    return dict(raw) if isinstance(raw, Mapping) else dict.fromkeys(raw, True)


def digest_of(text: str) -> str:
    """sha256 (hex) that names a definition's text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def parse(document: Document) -> Definition:
    """Build the records of a document that :func:`~cch.definition.schema.schema_problems` finds nothing in."""
    raw = document.data
    execution = raw.get("execution", {})
    return Definition(
        workflow_id=raw["workflow_id"],
        workflow_name=raw["workflow_name"],
        entry_point=raw["entry_point"],
        nodes={name: _node(name, node, document) for name, node in raw["nodes"].items()},
        required=_required(raw.get("initial_context", [])),
        describes_start="initial_context" in raw,
        schema_version=raw.get("schema_version", ""),
        description=raw.get("description", ""),
        tags=tuple(raw.get("tags", ())),
        owner=raw.get("owner", ""),
        timeout=parse_duration(raw["timeout"]) if "timeout" in raw else None,
        granularity=execution.get("granularity", "node"),
        dialect=raw.get("dialect", ""),
        reading_rules=document.rules,
        digest=digest_of(document.text),
        file=document.file,
        text=document.text,
    )


def _worth(document: Document) -> int:
    """2: everything in it can be used. 1: it is a definition, but a JSON Schema in it cannot be applied. 0: none."""
    if document.problems or schema_problems(document):
        return 0
    return 1 if any(json_schemas.faults(schema) for _, schema in embedded_schemas(document)) else 2


def served_document(text: str, file: str = "", rules: int = NEWEST) -> Document:
    """The document by ``rules``, or by others if more of it can be used by those.

    A definition that was good before there were other rules is served as it was, whatever is found in it now.

    :raises DefinitionError: it is no YAML mapping.
    """
    document = read_document(text, file, rules)
    newest = document if rules == NEWEST else read_document(text, file, NEWEST)
    if not newest.older or (worth := _worth(document)) == 2:
        return document
    other = read_document(text, file, FIRST) if rules == NEWEST else newest
    return other if _worth(other) > worth else document


def read_definition(text: str, file: str = "", rules: int = NEWEST) -> Definition:
    """Read one definition, without graph checks (see :func:`cch.graph.checks.check`).

    :raises DefinitionError: with every problem of YAML and schema.
    """
    document = served_document(text, file, rules)
    problems = [*document.problems, *schema_problems(document)]
    if problems:
        raise DefinitionError(problems)
    return parse(document)


def read_checked(text: str, file: str = "") -> Definition:
    """Read a definition that was found good before; ten times as fast, because nothing is checked again."""
    return parse(served_document(text, file))


def read_by(rules: int, text: str, file: str = "") -> Definition:
    """Read the definition of an instance that reads it by ``rules``, whatever is thought of them now."""
    return parse(read_document(text, file, rules))
