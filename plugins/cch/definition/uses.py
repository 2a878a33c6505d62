"""The paths and expressions of a node: what of the context it reads and what it writes, with where it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cch.definition.paths import ContextPath, escaped, read_key, read_path
from cch.expressions.expression import Expression, ExpressionError, expression_of, expressions_in

#: How a path of a definition is read. path: dots lead into objects. once_literal: so, but the first rules took it for
#: one key. key: it is one key by all rules, whatever characters it has.
Reading = Literal["path", "once_literal", "key"]
#: Names that every expression may use besides the context.
ALWAYS = ("item", "error", "instance", "now")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A path that a node uses; ``place``: where the definition writes it, inside the node."""

    place: tuple[str | int, ...]
    text: str
    reading: Reading = "path"

    def path(self, rules: int) -> ContextPath:
        """The path as ``rules`` read it."""
        if self.reading == "key":
            return ContextPath(self.text, (self.text,), literal=True)
        return (read_path if self.reading == "path" else read_key)(self.text, rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(_Use):
    """A path that a node reads: in the context, or in each item of its list, or in the payload of an event.

    ``sent``: the value goes to a capability. ``optional``: the node does without it.
    """

    optional: bool = False
    of: Literal["context", "item", "payload"] = "context"
    sent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(_Use):
    """A path of the context that a node writes. ``brings``: also where nothing was before."""

    brings: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An expression, or what begins like one, at its place in a node; ``names``: what it may use besides the context.

    ``sent``: its value goes to a capability.
    """

    place: tuple[str | int, ...]
    text: str
    names: tuple[str, ...] = ALWAYS
    sent: bool = False

    @property
    def expression(self) -> Expression | None:
        """The expression; None if the text is none."""
        try:
            return expression_of(self.text)
        except ExpressionError:
            return None

    def reads(self) -> tuple[Read, ...]:
        """The paths of the context that it reads; none if it cannot be used."""
        try:
            paths = () if (found := self.expression) is None else found.reads
        except ExpressionError:
            return ()
        texts = (".".join(map(escaped, path)) for path in paths)
        return tuple(Read(place=self.place, text=text, sent=self.sent) for text in texts)


def sent_paths(keys: tuple[str, ...] | None) -> tuple[Read, ...]:
    """The paths of ``input_keys``."""
    return tuple(Read(place=("input_keys", index), text=key, sent=True) for index, key in enumerate(keys or ()))


def write_paths(key: str, texts: tuple[str, ...] | Mapping[str, Any], reading: Reading) -> tuple[Write, ...]:
    """The paths that a list or a mapping under ``key`` names."""
    places = ((text, text) for text in texts) if isinstance(texts, Mapping) else enumerate(texts)
    return tuple(Write(place=(key, place), text=text, reading=reading) for place, text in places)


def asking_expressions(given: Mapping[str, Any] | None, output: Mapping[str, Any] | None) -> tuple[Written, ...]:
    """The expressions of ``input`` and ``output``."""
    return (
        *written_in(given, "input", sent=True),
        *written_in(output, "output", names=("reply", *ALWAYS)),
    )


def written_in(value: Any, *key: str, names: tuple[str, ...] = ALWAYS, sent: bool = False) -> tuple[Written, ...]:
    """The expressions in a value of the definition that stands under ``key``."""
    return tuple(
        Written(place=(*key, *place), text=text, names=names, sent=sent) for place, text in expressions_in(value)
    )


def read_by(expressions: tuple[Written, ...]) -> tuple[Read, ...]:
    """The paths of the context that expressions read."""
    return tuple(read for written in expressions for read in written.reads())


def keys_of_reply(output: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of a reply that expressions read; none if one of them reads it as a whole, or cannot be used."""
    found: set[str] = set()
    for written in written_in(output, "output"):
        try:
            keys = () if (expression := written.expression) is None else expression.of_name("reply")
        except ExpressionError:
            return ()
        if keys is None:
            return ()
        found.update(keys)
    return tuple(sorted(found - {"status"}))
