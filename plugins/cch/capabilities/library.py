"""The built-in library functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from cch.capabilities.registry import ObjectReader, library_function
from cch.definition.dates import DateError, read_date
from cch.definition.jsonpath import matches
from cch.definition.rules import FIRST
from cch.errors import CapabilityError
from cch.interpreter.context import MISSING, lookup


def _parameter(parameters: Mapping[str, Any], name: str) -> Any:
    if name not in parameters:
        raise CapabilityError(f"parameter {name!r} is missing")
    return parameters[name]


def _from_context(context: Mapping[str, Any], key: str, rules: int) -> Any:
    value = lookup(context, key, rules)
    if value is MISSING or value is None:
        raise CapabilityError(f"the context has no {key!r}")
    return value


@library_function("s3#read_jsonpath", by_rules=True)
def read_jsonpath(parameters: Mapping[str, Any], context: Mapping[str, Any], read: ObjectReader, rules: int) -> Any:
    """What ``jsonpath_expression`` names in the JSON object whose S3 URI is at ``input_s3_uri_key``.

    An expression that can only mean one value gives it, and fails without it; one with a wildcard, slice, filter or
    descent gives a list. ``match: first`` asks for the first value, ``match: all`` for a list. By the first rules one
    match gives the value, several a list, and none fails.
    """
    uri = str(_from_context(context, str(_parameter(parameters, "input_s3_uri_key")), rules))
    expression = str(_parameter(parameters, "jsonpath_expression"))
    wanted = parameters.get("match")
    if wanted not in (None, "first", "all"):
        raise CapabilityError(f"match is {wanted!r:.40}: use first or all")
    try:
        document = json.loads(read(uri))
    except (ValueError, RecursionError) as error:
        raise CapabilityError(f"{uri} is not JSON: {error}") from None
    single, values = matches(expression, document)
    if wanted is None and rules == FIRST:
        wanted = "all" if len(values) > 1 else "first"
    if wanted == "all" or (wanted is None and not single):
        return values
    if not values:
        raise CapabilityError(f"{expression!r} matches nothing in {uri}")
    return values[0]


@library_function("core#calculate_timedelta", by_rules=True)
def calculate_timedelta(
    parameters: Mapping[str, Any],
    context: Mapping[str, Any],
    _: ObjectReader,
    rules: int,
) -> str:
    """The ISO 8601 date at ``date_context_key`` plus ``timedelta`` (the arguments of Python's timedelta).

    The length of time is what passes on a clock that nobody sets. The result has the offset of the date, and none if
    the date has none; ``timezone`` names the zone of such a date. By the first rules it is UTC, and UTC is written Z.
    """
    text = str(_from_context(context, str(_parameter(parameters, "date_context_key")), rules))
    zone = parameters.get("timezone")
    try:
        length = timedelta(**_parameter(parameters, "timedelta"))
        date = read_date(text, None if zone is None else str(zone))
        if rules == FIRST and date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        # Not on the clock on the wall: that would be an hour off when it is set.
        moved = date + length if date.tzinfo is None else (date.astimezone(UTC) + length).astimezone(date.tzinfo)
    except (DateError, ValueError, TypeError, OverflowError) as error:
        raise CapabilityError(f"cannot add {parameters.get('timedelta')!r} to {text!r}: {error}") from None
    written = moved.isoformat()
    was_z = text.rstrip().upper().endswith("Z")
    return written.replace("+00:00", "Z") if was_z or rules == FIRST else written
