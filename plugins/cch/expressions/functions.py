"""JSONata's functions as expressions may use them: none that differs at a replay, and none without a bound."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cch.expressions.bounds import MAX_TEXT, Meter, check_text
from cch.expressions.library import Frame, Functions, Jsonata, NativeFunction, create_sequence, is_regex, null
from cch.expressions.numbers import calculated, is_number, normal, power
from cch.values import MISSING

#: Functions that an expression may not call, and what to do instead.
REFUSED: Mapping[str, str] = {
    "eval": "write the expression itself",
    "random": "a replay has to come to the same value: let a capability choose",
    "shuffle": "a replay has to come to the same order",
    "now": "write $now without parentheses: the time of what led to this node",
    "millis": "write $toMillis($now): the time of what led to this node",
}
#: Functions that read all of what they are given, in one go.
_WHOLE = frozenset(
    {"string", "clone", "distinct", "merge", "spread", "match", "contains", "replace", "split", "join", "sort"}
)
#: Longest picture of a number or date, and longest text of one, in characters.
_LONGEST_PICTURE = 200
_PICTURES = frozenset({"formatNumber", "formatInteger", "parseInteger", "fromMillis", "toMillis"})
#: Digits of the largest whole number; most decimal places of a double that mean anything.
_INTEGER_DIGITS = 20
_MOST_PLACES = 300
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")


class FunctionError(ValueError):
    """A function cannot do what it was asked; the message says why."""


def string(value: Any) -> str:
    """The text of a value, as ``$string`` and ``&`` make it; whole numbers keep all their digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text: str = Functions.string(value, None)
    return text


def canonical(value: Any) -> str:
    """Text that is the same for equal values, and for no others."""

    def plain(inner: Any) -> Any:
        return None if inner is null else "\u0000function"

    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=plain)


def _number(value: Any) -> Any:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return normal(int(value))
    try:
        return Functions.number(value)
    except ValueError:
        raise FunctionError(f"{value!r:.60} is no number") from None


def _sum(values: Sequence[Any] | None) -> Any:
    return None if values is None else normal(sum(values))


def _average(values: Sequence[Any] | None) -> Any:
    return None if not values else calculated(normal(sum(values)), "/", len(values))


def _rounded(value: Any, precision: Any = None) -> Any:
    if value is None:
        return None
    places = int(precision or 0)
    if not -_INTEGER_DIGITS <= places <= _MOST_PLACES:
        raise FunctionError(f"numbers are not rounded to {places} places")
    result = round(Decimal(str(value)), places)
    return normal(int(result) if places <= 0 else float(result))


def _floor(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else normal(value // 1)


def _ceil(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else normal(-(-value // 1))


def _power(base: Any, exponent: Any) -> Any:
    return None if base is None or exponent is None else power(base, exponent)


def _distinct(values: Any) -> Any:
    if not isinstance(values, list) or len(values) <= 1:
        return values
    found = {canonical(each): each for each in reversed(values)}
    kept = {id(each) for each in found.values()}
    first = [each for each in values if id(each) in kept and found.pop(canonical(each), MISSING) is not MISSING]
    result = create_sequence()
    result.extend(first)
    return result


def _pad(text: Any, width: Any, character: Any = None) -> Any:
    check_text(abs(int(width or 0)))
    return Functions.pad(text, width, character)


def _replaced(text: Any, pattern: Any, replacement: Any = None, limit: Any = None) -> Any:
    if isinstance(text, str):
        matches = text.count(pattern) if isinstance(pattern, str) and pattern else len(text) + 1
        if limit is not None:
            matches = min(matches, int(limit))
        if isinstance(replacement, str):
            longest = len(replacement) + replacement.count("$") * len(text)
            if len(text) + matches * longest > MAX_TEXT and isinstance(pattern, str):
                check_text(len(text) + matches * longest)
            elif is_regex(pattern):
                found = sum(1 for _ in pattern.finditer(text))
                check_text(len(text) + min(found, matches) * longest)
    return Functions.replace(text, pattern, replacement, limit)


def _joined(texts: Any, separator: Any = None) -> Any:
    if isinstance(texts, list):
        check_text(sum(map(len, texts)) + len(texts) * len(separator or ""))
    return Functions.join(texts, separator)


def _to_millis(text: Any, picture: Any = None) -> Any:
    if picture is not None:
        raise FunctionError("dates are read in ISO 8601 only: write $toMillis with one argument")
    return Functions.datetime_to_millis(text, None)


_OWN: Mapping[str, Callable[..., Any]] = {
    "string": lambda value, prettify=None: (
        string(value) if not prettify or not isinstance(value, list | dict) else Functions.string(value, prettify)
    ),
    "number": _number,
    # As in JSONata's own implementation: what is not there is not true.
    "not": lambda value=None: not Functions.to_boolean(value),
    "sum": _sum,
    "average": _average,
    "round": _rounded,
    "floor": _floor,
    "ceil": _ceil,
    "power": _power,
    "distinct": _distinct,
    "pad": _pad,
    "replace": _replaced,
    "join": _joined,
    "toMillis": _to_millis,
}


class Bounded(NativeFunction):  # type: ignore[misc]
    """A function of JSONata that counts what it is given, before it begins."""

    def __init__(self, native: Any) -> None:
        self.__dict__.update(native.__dict__)
        self._own = _OWN.get(self.function_name)

    def call(self, input: Any, args: Sequence[Any] | None) -> Any:  # noqa: A002, ARG002 - as it is called
        meter: Meter = Jsonata.CURRENT.jsonata.meter
        given = list(args or ())
        meter.charge(1)
        for each in given:
            if self.function_name in _WHOLE:
                meter.read_whole(each)
                continue
            meter.touch(each)
            if isinstance(each, str) and self.function_name in _PICTURES and len(each) > _LONGEST_PICTURE:
                raise FunctionError(f"${self.function_name} takes texts of {_LONGEST_PICTURE} characters at most")
        given += [None] * (self.nargs - len(given))
        result = (self._own or self.method)(*given)
        return normal(result) if is_number(result) else result


def natives() -> Any:
    """A frame with all functions that expressions may call."""
    frame = Frame(None)
    for name, native in Jsonata.static_frame.bindings.items():
        frame.bindings[name] = None if name in REFUSED else Bounded(native)
    return frame


def names() -> Iterator[str]:
    """The names of all functions that expressions may call, without ``$``."""
    return (name for name in Jsonata.static_frame.bindings if name not in REFUSED)
