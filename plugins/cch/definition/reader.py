"""YAML text to a :class:`~cch.definition.model.Definition`: parse, check against the schema, build records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cch.definition import json_schemas
from cch.definition.document import Document, read_document
from cch.definition.model import (
    AsyncRequest,
    Condition,
    Definition,
    End,
    EndBranch,
    Entry,
    EventWait,
    Fork,
    Join,
    LibraryCall,
    LogError,
    MapFork,
    Node,
    Retry,
    ScheduledRequest,
    SetState,
    SyncCall,
)
from cch.definition.rules import FIRST, NEWEST
from cch.definition.schema import embedded_schemas, schema_problems
from cch.durations import parse_duration
from cch.errors import DefinitionError

_SIMPLE: Mapping[str, type[Any]] = {
    "entry": Entry,
    "condition": Condition,
    "set_state": SetState,
    "log_error": LogError,
    "fork": Fork,
    "join": Join,
    "map_fork": MapFork,
    "end_branch": EndBranch,
    "end": End,
    "async_request": AsyncRequest,
    "sync_call": SyncCall,
    "library_call": LibraryCall,
    "event_wait": EventWait,
    "scheduled_request": ScheduledRequest,
}


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
    values: dict[str, Any] = {key: value for key, value in raw.items() if not key.startswith("x-")}
    kind = str(values["type"])
    values |= {"name": name, "line": place.line, "column": place.column}
    if "timeout" in values:
        values["timeout"] = parse_duration(values["timeout"])
    if "retry" in values:
        values["retry"] = _retry(values["retry"])
    if kind in ("async_request", "scheduled_request") and "output_keys" in values:
        values.setdefault("request_output_keys", values["output_keys"])
        del values["output_keys"]
    if kind == "scheduled_request":
        schedule = values.pop("schedule_parameters")
        values |= {key: schedule[key] for key in ("date_context_key", "timezone") if key in schedule}
    if kind == "event_wait":
        success = values.pop("on_success", None)
        values.setdefault("on_event", success)
    for key in ("input_keys", "output_keys", "request_output_keys", "join_branches"):
        if key in values:
            values[key] = tuple(values[key])
    if kind == "fork":
        values["branches"] = tuple(values["branches"])
    node: Node = _SIMPLE[kind](**values)
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
        schema_version=raw.get("schema_version", ""),
        description=raw.get("description", ""),
        tags=tuple(raw.get("tags", ())),
        owner=raw.get("owner", ""),
        timeout=parse_duration(raw["timeout"]) if "timeout" in raw else None,
        granularity=execution.get("granularity", "node"),
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
