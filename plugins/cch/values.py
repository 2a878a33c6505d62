"""The border of the context: what comes from code, services and files becomes JSON that can be stored, or not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

#: Stands for a value that is not there; JSON's null is one that is.
MISSING: Any = object()
#: Deepest value, in levels; messages have the same limit.
MAX_DEPTH = 100
#: Bits of the largest whole number: Python writes 4,300 digits and no more.
_MAX_BITS = 14_000
#: Parts of a value through which :func:`storable` goes in about 10 ms.
_MANY_PARTS = 5_000
#: Longest text of a reason, in characters.
_LONGEST_REASON = 4_000


def as_text(value: Any) -> str:
    """How a condition reads a value: text as it is, everything else in its JSON form; a missing key as null."""
    if isinstance(value, str):
        return value
    return json.dumps(None if value is MISSING else value, separators=(",", ":"), ensure_ascii=False)


def is_large(value: Any) -> bool:
    """Whether to walk through the value takes more than some milliseconds; tells it by looking at few of its parts."""
    todo, seen = [value], 0
    while todo and seen <= _MANY_PARTS:
        part = todo.pop()
        seen += 1
        if isinstance(part, Mapping):
            todo.extend(part.values())
        elif isinstance(part, (list, tuple)):
            todo.extend(part)
    return bool(todo)


class UnstorableError(ValueError):
    """The value cannot be stored; the message says what, and where in it."""


def storable(value: Any, place: str = "") -> Any:
    """``value`` as JSON that can be stored, with the same meaning.

    Decimals become numbers where a number is exactly the same, else text; dates, times and UUIDs their ISO text; tuples
    lists; members of an Enum their values; keys that are numbers, booleans or None the text that JSON gives them.

    :raises UnstorableError: NaN, infinity, text that is not Unicode, bytes, sets, any other object, or nested too deep.
    """
    return _storable(value, place, 0)


def storable_object(value: Any, what: str) -> dict[str, Any]:
    """As :func:`storable`, for something that has to be a mapping; None is an empty one. ``what`` begins the message.

    :raises UnstorableError: it is no mapping, or cannot be stored.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnstorableError(f"{what} returned {type(value).__name__}, not a mapping of outputs")
    try:
        return storable(value)  # type: ignore[no-any-return]
    except UnstorableError as error:
        raise UnstorableError(f"{what} returned what cannot be stored: {error}") from None


def _refuse(place: str, what: str) -> UnstorableError:
    return UnstorableError(f"{place} is {what}" if place else f"it is {what}")


def _storable(value: Any, place: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _refuse(place[:200], f"nested more than {MAX_DEPTH} levels deep")
    match value:
        case None | bool():
            return value
        case Enum():
            return _storable(value.value, place, depth + 1)
        case str():
            return _text(value, place)
        case int():
            if value.bit_length() > _MAX_BITS:
                raise _refuse(place, "a number of more digits than can be written")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise _refuse(place, f"{float(value)!r}, which JSON does not have")
            return float(value)
        case Decimal():
            return _decimal(value, place)
        case datetime() | date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping():
            return _mapping(value, place, depth)
        case bytes() | bytearray() | memoryview():
            raise _refuse(place, "bytes: decode them to text")
        case set() | frozenset():
            raise _refuse(place, "a set, which has no order: make it a list")
        case Sequence():
            return [_storable(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        case _:
            raise _refuse(place, f"of type {type(value).__name__}, which JSON does not have")


def _text(value: str, place: str) -> str:
    text = str.__str__(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        found = ord(error.object[error.start])
        raise _refuse(place, f"text that is not Unicode: half of a surrogate pair, U+{found:04X}") from None
    return text


def _decimal(value: Decimal, place: str) -> int | float | str:
    if not value.is_finite():
        raise _refuse(place, f"the decimal {value}, which JSON does not have")
    if abs(value.adjusted()) > _MAX_BITS:
        return str(value)
    if value == value.to_integral_value():
        return _storable(int(value), place, 0)  # type: ignore[no-any-return]
    number = float(value)
    return number if math.isfinite(number) and Decimal(repr(number)) == value else str(value)


def _mapping(value: Mapping[Any, Any], place: str, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, child in value.items():
        name = _key(key, place)
        if name in result:
            raise _refuse(place, f"a mapping with two keys that read {name!r:.60}")
        result[name] = _storable(child, f"{place}.{name}" if place else name, depth + 1)
    return result


def _key(key: Any, place: str) -> str:
    match key:
        case Enum():
            return _key(key.value, place)
        case str():
            return _text(key, f"a key of {place}" if place else "a key")
        case bool():
            return "true" if key else "false"
        case None:
            return "null"
        case int() | float() if not isinstance(key, float) or math.isfinite(key):
            return repr(float(key) if isinstance(key, float) else int(key))
        case _:
            raise _refuse(f"a key of {place}" if place else "a key", f"of type {type(key).__name__}, not text")


def reason_text(text: str) -> str:
    """A reason as it can be stored and shown: an exception's message may be anything."""
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return clean if len(clean) <= _LONGEST_REASON else f"{clean[:_LONGEST_REASON]}…"
