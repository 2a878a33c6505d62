"""DynamoDB's expressions, as far as ``cch.aws.tables`` writes them: read into what the ledger's store takes.

Everything else is refused, never ignored::

    condition  = group { "OR" group }
    group      = "(" all ")" | all
    all        = clause { "AND" clause }
    clause     = "attribute_not_exists" "(" name ")" | name ( "=" | "<" ) :value
    update     = { "SET" name "=" :value, ... | "REMOVE" name, ... | "ADD" name :value, ... }
    key        = name "=" :value [ "AND" ( prefix | name "BETWEEN" :value "AND" :value ) ]
    filter     = prefix
    prefix     = "begins_with" "(" name "," :value ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cch.ledger.store import Absent, Below, Change, Clause, Equals, When
from cch.testing.quick_aws.protocol import AwsError, Given
from cch.testing.quick_aws.typed_values import decoded_value

_TOKEN = re.compile(r"\s*([#:]?[A-Za-z0-9_]+|\S)")
_NAME = re.compile(r"#?[A-Za-z0-9_]+")
#: Texts of expressions that are kept as they were read: the program writes few.
_KEPT = 4096

#: (word, name, placeholder of the value) of a clause; the word is "absent", "=" or "<".
_Clause = tuple[str, str, str]


class Tokens:
    """An expression in parts; ``what`` names it in errors."""

    def __init__(self, what: str, text: str) -> None:
        self._what = what
        self._text = text
        self._left: list[str] = _TOKEN.findall(text)[::-1]

    def refused(self) -> AwsError:
        at = f"at {self._left[-1]!r}" if self._left else "at its end"
        return AwsError(
            "ValidationException", f"Invalid {self._what}: the quick stand-in does not read it {at}: {self._text}"
        )

    def take(self, word: str) -> bool:
        """Whether this word comes next; then it is passed. Keywords may be in small letters."""
        if self._left and self._left[-1].upper() == word.upper():
            self._left.pop()
            return True
        return False

    def need(self, word: str) -> None:
        if not self.take(word):
            raise self.refused()

    def name(self) -> str:
        return self._next(lambda token: bool(_NAME.fullmatch(token)))

    def value(self) -> str:
        return self._next(lambda token: token.startswith(":") and len(token) > 1)

    def _next(self, fits: Callable[[str], bool]) -> str:
        if not self._left or not fits(self._left[-1]):
            raise self.refused()
        return self._left.pop()

    @property
    def ended(self) -> bool:
        return not self._left

    def end(self) -> None:
        if self._left:
            raise self.refused()


class Placeholders:
    """Names and values of one request; each has to be used, as DynamoDB wants it."""

    def __init__(self, given: Given) -> None:
        self._names: Mapping[str, str] = given.get("ExpressionAttributeNames") or {}
        self._values: Mapping[str, Any] = given.get("ExpressionAttributeValues") or {}
        self._used: set[str] = set()

    def name(self, token: str) -> str:
        if not token.startswith("#"):
            return token
        self._used.add(token)
        try:
            return self._names[token]
        except KeyError:
            raise _undefined("name", token) from None

    def value(self, token: str) -> Any:
        self._used.add(token)
        try:
            typed = self._values[token]
        except KeyError:
            raise _undefined("value", token) from None
        return decoded_value(token, typed)

    def refuse_unused(self) -> None:
        """:raises AwsError: some were given for nothing."""
        if unused := (self._names.keys() | self._values.keys()) - self._used:
            raise AwsError("ValidationException", f"Value unused in expressions: keys: {{{', '.join(sorted(unused))}}}")


def _undefined(what: str, token: str) -> AwsError:
    return AwsError("ValidationException", f"An expression attribute {what} is not defined: {token}")


# --- conditions --------------------------------------------------------------------------------------------------


def condition(text: str, given: Placeholders) -> When:
    """A ``ConditionExpression``.

    :raises AwsError: it is none that is known.
    """
    return When(tuple(tuple(_bound(clause, given) for clause in group) for group in _alternatives(text)))


def _bound(clause: _Clause, given: Placeholders) -> Clause:
    word, name, value = clause
    if word == "absent":
        return Absent(given.name(name))
    return (Equals if word == "=" else Below)(given.name(name), given.value(value))


@lru_cache(_KEPT)
def _alternatives(text: str) -> tuple[tuple[_Clause, ...], ...]:
    tokens = Tokens("ConditionExpression", text)
    found = [_group(tokens)]
    while tokens.take("OR"):
        found.append(_group(tokens))
    tokens.end()
    return tuple(found)


def _group(tokens: Tokens) -> tuple[_Clause, ...]:
    enclosed = tokens.take("(")
    clauses = [_clause(tokens)]
    while tokens.take("AND"):
        clauses.append(_clause(tokens))
    if enclosed:
        tokens.need(")")
    return tuple(clauses)


def _clause(tokens: Tokens) -> _Clause:
    if tokens.take("attribute_not_exists"):
        tokens.need("(")
        name = tokens.name()
        tokens.need(")")
        return "absent", name, ""
    name = tokens.name()
    for word in ("=", "<"):
        if tokens.take(word):
            return word, name, tokens.value()
    raise tokens.refused()


# --- changes -----------------------------------------------------------------------------------------------------


def change(text: str, given: Placeholders) -> Change:
    """An ``UpdateExpression``.

    :raises AwsError: it is none that is known.
    """
    sets, removed, added = _sections(text)
    return Change(
        set={given.name(name): given.value(value) for name, value in sets},
        remove=[given.name(name) for name, _ in removed],
        add={given.name(name): _member(given, value) for name, value in added},
    )


def _member(given: Placeholders, token: str) -> str:
    value = given.value(token)
    if not isinstance(value, frozenset) or len(value) != 1:
        raise AwsError("ValidationException", f"the quick stand-in adds one text to a set of texts, not {token}")
    (member,) = value
    return str(member)


@lru_cache(_KEPT)
def _sections(text: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Names and placeholders of what is set, removed and added."""
    tokens = Tokens("UpdateExpression", text)
    found: dict[str, list[tuple[str, str]]] = {"SET": [], "REMOVE": [], "ADD": []}
    names: list[str] = []
    while not tokens.ended:
        section = next((word for word in found if not found[word] and tokens.take(word)), None)
        if section is None:
            raise tokens.refused()
        while True:
            name = tokens.name()
            if section == "SET":
                tokens.need("=")
            found[section].append((name, "" if section == "REMOVE" else tokens.value()))
            names.append(name)
            if not tokens.take(","):
                break
    if not names:
        raise tokens.refused()
    if len(set(names)) < len(names):
        raise AwsError("ValidationException", f"Invalid UpdateExpression: Two document paths overlap: {text}")
    return tuple(map(tuple, found.values()))


# --- keys and filters --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """``prefix`` or ``between``, or neither, of the sort key ``sorts`` ("": it is not named)."""

    selects: str
    value: Any
    sorts: str = ""
    prefix: str | None = None
    between: tuple[Any, Any] | None = None


def key_condition(text: str, given: Placeholders) -> KeyCondition:
    """A ``KeyConditionExpression``.

    :raises AwsError: it is none that is known.
    """
    selects, value, word, sorts, bounds = _key(text)
    first = given.name(selects), given.value(value)
    if not word:
        return KeyCondition(*first)
    name, values = given.name(sorts), [given.value(bound) for bound in bounds]
    if "" in values:
        raise AwsError("ValidationException", "One or more parameter values are not valid: a key has an empty text")
    if word == "begins_with":
        return KeyCondition(*first, name, prefix=values[0])
    return KeyCondition(*first, name, between=(values[0], values[1]))


@lru_cache(_KEPT)
def _key(text: str) -> tuple[str, str, str, str, tuple[str, ...]]:
    tokens = Tokens("KeyConditionExpression", text)
    selects = tokens.name()
    tokens.need("=")
    value = tokens.value()
    word, sorts, bounds = "", "", tuple[str, ...]()
    if tokens.take("AND"):
        if tokens.take("begins_with"):
            sorts, begins = _arguments(tokens)
            word, bounds = "begins_with", (begins,)
        else:
            word, sorts = "BETWEEN", tokens.name()
            tokens.need("BETWEEN")
            low = tokens.value()
            tokens.need("AND")
            bounds = (low, tokens.value())
    tokens.end()
    return selects, value, word, sorts, bounds


def _arguments(tokens: Tokens) -> tuple[str, str]:
    tokens.need("(")
    name = tokens.name()
    tokens.need(",")
    value = tokens.value()
    tokens.need(")")
    return name, value


def prefix_filter(text: str, given: Placeholders) -> tuple[str, str]:
    """A ``FilterExpression``: the attribute and what it begins with.

    :raises AwsError: it is none that is known.
    """
    tokens = Tokens("FilterExpression", text)
    tokens.need("begins_with")
    name, value = _arguments(tokens)
    tokens.end()
    return given.name(name), given.value(value)
