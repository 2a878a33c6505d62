"""What a start brings and must bring, the same for every way to start: queue, API, Airflow, simulator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from cch.definition.json_schemas import misfits, takes_null
from cch.definition.merging import merge
from cch.definition.model import Definition
from cch.definition.paths import ContextPath, PathError, read_key
from cch.values import MISSING, UnstorableError, storable

#: Whole numbers beyond 64 bits cannot pass Airflow's own channels (msgpack).
_BIGGEST = 2**63 - 1
#: Largest number of problems of one kind that are reported: a message may hold thousands.
_MOST = 20
#: Keywords by which a schema without ``type`` may say that null is a value.
_CHOOSING = ("enum", "const", "anyOf", "oneOf", "allOf", "$ref")


def _large_numbers(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _BIGGEST:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _large_numbers(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _large_numbers(child, f"{path}[{index}]")


def _is_nullable(schema: Any) -> bool:
    says = isinstance(schema, Mapping) and ("type" in schema or any(key in schema for key in _CHOOSING))
    return says and takes_null(schema)


def _allows_null(schema: Any) -> bool:
    """Whether a key that is there with null is there: only a schema may forbid it."""
    return takes_null(schema) if isinstance(schema, Mapping) else schema is True


def _required(definition: Definition) -> Iterator[tuple[str, ContextPath, Any]]:
    for key, schema in definition.required.items():
        yield key, read_key(key, definition.reading_rules), schema


def start_context(definition: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """The context of an instance that is started with ``given``: keys that are absent have their schema's default.

    A required path may also be given as a key with its dots, as forms do.
    """
    context = dict(given)
    for key, path, schema in _required(definition):
        if len(path.steps) > 1 and key in context and path.find(context) is MISSING:
            value = context.pop(key)
            try:
                context = merge(context, path.patch(context, value))
            except PathError:
                context[key] = value
        absent = path.find(context) in (MISSING, None) and not (path.find(context) is None and _is_nullable(schema))
        if absent and isinstance(schema, Mapping) and "default" in schema:
            try:
                context = merge(context, path.patch(context, schema["default"]))
            except PathError:
                pass  # the key is then missing, which is said
    return context


def context_of_form(definition: Definition, form: Mapping[str, Any]) -> dict[str, Any]:
    """The context that a form brings whose fields are the required keys as they are written; None: not filled in."""
    nullable = {key for key, _, schema in _required(definition) if _is_nullable(schema)}
    filled = {key: value for key, value in form.items() if value is not None or key in nullable}
    return start_context(definition, filled)


def form_of_context(definition: Definition, context: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of that form, from a context.

    A null that a form would take for a field that is not filled in is told by a value that says so to people; the
    context itself is in the ledger.
    """
    found = ((key, path.find(context), schema) for key, path, schema in _required(definition))
    return {key: _of_form(value, schema) for key, value, schema in found if value is not MISSING}


def _of_form(value: Any, schema: Any) -> Any:
    if value is not None or _is_nullable(schema):
        return value
    return "null" if schema is True else False  # keywords of a schema without a type do not apply to booleans


def _unstorable(context: Mapping[str, Any]) -> str:
    try:
        storable(context)
    except UnstorableError as error:
        return str(error)[:200]
    return ""


def storable_context(context: Mapping[str, Any]) -> bool:
    """Whether the ledger can hold the context at all."""
    return not _unstorable(context)


def context_problems(definition: Definition, context: Mapping[str, Any]) -> list[str]:
    """Why ``context`` (see :func:`start_context`) cannot start ``definition``; empty if it can. Never raises."""
    problems: list[str] = []
    fitting: list[str] = []
    for key, path, schema in _required(definition):
        value = path.find(context)
        if value is MISSING or (value is None and not _allows_null(schema)):
            problems.append(f"required key {key!r} is missing")
        elif schema is not True:
            fitting.extend(f"{key!r}: {message[:200]}" for _, message in misfits(schema, value))
    large = itertools.islice(_large_numbers(dict(context), ""), _MOST)
    numbers = [f"{path[1:][:200]} is a number beyond 64 bits" for path in large]
    if reason := _unstorable(context):
        numbers.append(reason)
    return [*problems, *fitting, *numbers]
