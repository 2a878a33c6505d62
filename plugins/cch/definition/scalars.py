"""What a plain (unquoted) scalar means, in definitions and scenarios alike."""

from __future__ import annotations

import functools
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from cch.definition.rules import FIRST

#: What JSON writes as a number (RFC 8259, section 6).
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
#: Whole numbers that 64 bits hold.
_LEAST, _MOST = -(2**63), 2**63 - 1
#: More digits than this are no number that anybody means; Python refuses to read 4,300.
_DIGITS = 400
#: YAML's names for what JSON does not have.
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
#: Constructors of YAML 1.1, which the first rules follow.
_yaml_1_1 = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"


class NoValueError(ValueError):
    """The text stands for a value that JSON does not have; the message says which kind."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a plain scalar means. ``doubt``: why somebody might have meant something else; "" if nobody would."""

    value: Any
    doubt: str = ""


def construct(kind: str, text: str) -> Any:
    """A boolean or number as YAML 1.1 reads it; its patterns let through what is none (``0x_``).

    :raises NoValueError: it is none that JSON has.
    """
    try:
        value = getattr(_yaml_1_1, f"construct_yaml_{kind}")(yaml.ScalarNode(f"{_TAG}{kind}", text))
    except (ValueError, KeyError, OverflowError):
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise NoValueError("boolean" if kind == "bool" else "number")
    return value


@functools.lru_cache(maxsize=4096)
def first_reading(text: str) -> Any:
    """The value by the first rules: those of YAML 1.1, except that dates stay text.

    :raises NoValueError: JSON does not have it.
    """
    patterns = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in (*patterns.get(text[:1], ()), *patterns.get(None, ())):
        if pattern.match(text):
            kind = tag.removeprefix(_TAG)
            if kind == "null":
                return None
            return construct(kind, text) if kind in ("bool", "int", "float") else text
    return text


@functools.lru_cache(maxsize=4096)
def newest_reading(text: str) -> Reading:
    """The value by the newest rules: ``true``, ``false``, ``null``, ``~`` and what JSON writes as a number.

    Everything else is the text that was written: ``NO``, ``0101``, ``22:30:00``, ``123_4``.

    :raises NoValueError: it is YAML's infinity or "not a number".
    """
    if text in _WORDS:
        return Reading(_WORDS[text])
    if _NOT_JSON.fullmatch(text):
        raise NoValueError("number")
    found = _NUMBER.fullmatch(text)
    if found is None:
        return Reading(text)
    if len(text) > _DIGITS:
        return Reading(text, "a number of so many digits can only be kept as text")
    if found["fraction"] is None and found["exponent"] is None:
        whole = int(text)
        if not _LEAST <= whole <= _MOST:
            return Reading(text, f"{text:.60} is a whole number beyond 64 bits, which can only be kept as text")
        return Reading(whole, "" if text != "-0" else f"{text} is the number 0")
    number = float(text)
    if not math.isfinite(number):
        return Reading(text, f"{text:.60} is a number of a size that can only be kept as text")
    written = json.dumps(number)
    return Reading(number, "" if written == text else f"{text} is the number {written}")


def read_plain(text: str, rules: int) -> Any:
    """The value of a plain scalar.

    :raises NoValueError: JSON does not have it.
    """
    return first_reading(text) if rules == FIRST else newest_reading(text).value


def older_reading(text: str) -> Any:
    """What the first rules made of ``text`` where the newest make something else of it.

    :raises LookupError: both mean the same, or the first rules took it for nothing at all.
    """
    try:
        old, new = first_reading(text), newest_reading(text).value
    except NoValueError:
        raise LookupError(text) from None
    if type(old) is type(new) and old == new:
        raise LookupError(text)
    return old
