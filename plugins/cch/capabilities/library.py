"""The built-in library functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cch.capabilities.registry import ObjectReader, library_function
from cch.errors import CapabilityError
from cch.interpreter.context import MISSING, lookup


def _parameter(parameters: Mapping[str, Any], name: str) -> Any:
    if name not in parameters:
        raise CapabilityError(f"parameter {name!r} is missing")
    return parameters[name]


def _from_context(context: Mapping[str, Any], key: str) -> Any:
    value = lookup(context, key)
    if value is MISSING or value is None:
        raise CapabilityError(f"the context has no {key!r}")
    return value


@library_function("s3#read_jsonpath")
def read_jsonpath(parameters: Mapping[str, Any], context: Mapping[str, Any], read: ObjectReader) -> Any:
    """The value at ``jsonpath_expression`` in the JSON object whose S3 URI is at ``input_s3_uri_key``.

    Several matches give a list; no match is a failure.
    """
    from jsonpath_ng.ext import parse  # noqa: PLC0415 - its parser is slow to load

    uri = str(_from_context(context, str(_parameter(parameters, "input_s3_uri_key"))))
    expression = str(_parameter(parameters, "jsonpath_expression"))
    try:
        path = parse(expression)
    except Exception as error:  # noqa: BLE001 - its lexer raises plain exceptions, too
        raise CapabilityError(f"{expression!r} is no JSONPath: {error}") from None
    try:
        document = json.loads(read(uri))
    except ValueError as error:
        raise CapabilityError(f"{uri} is not JSON: {error}") from None
    values = [match.value for match in path.find(document)]
    if not values:
        raise CapabilityError(f"{expression!r} matches nothing in {uri}")
    return values[0] if len(values) == 1 else values


@library_function("core#calculate_timedelta")
def calculate_timedelta(parameters: Mapping[str, Any], context: Mapping[str, Any], read: ObjectReader) -> str:  # noqa: ARG001
    """The ISO 8601 date at ``date_context_key`` plus ``timedelta`` (the arguments of Python's timedelta)."""
    text = str(_from_context(context, str(_parameter(parameters, "date_context_key"))))
    try:
        date = datetime.fromisoformat(text)
        moved = (date if date.tzinfo else date.replace(tzinfo=UTC)) + timedelta(**_parameter(parameters, "timedelta"))
    except (ValueError, TypeError, OverflowError) as error:
        raise CapabilityError(f"cannot add {parameters.get('timedelta')!r} to {text!r}: {error}") from None
    return moved.isoformat().replace("+00:00", "Z")
