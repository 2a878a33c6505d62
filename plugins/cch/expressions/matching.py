"""Which events a wait takes, as an expression with the values that it had when the wait began.

The text form is stored with waits, and every process that is asked about an event reads it: never change what a form
means. A form that a later release has written matches nothing here; the later release takes the event.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.expressions.expression import ExpressionError, FailedError, expression_of

#: Number of the form that is written.
_FORM = 1
#: Largest stored form, in characters: it is part of an item of the ledger, which takes 400 KB.
MOST = 100_000


class MatchError(ValueError):
    """The expression cannot be stored with what it reads."""


@dataclass(frozen=True, slots=True)
class Match:
    """``text`` is the expression, ``context`` and ``names`` what it reads besides the event."""

    text: str
    context: Mapping[str, Any]
    names: Mapping[str, Any]

    @classmethod
    def of(cls, text: str, context: Mapping[str, Any], names: Mapping[str, Any]) -> Match:
        """With those keys of the context and those names that the expression reads.

        :raises MatchError: it reads too much, or cannot be used.
        """
        try:
            expression = expression_of(text)
            if expression is None:
                raise MatchError("it is a text, not an expression")
            roots = None if expression.reads_anything else {path[0] for path in expression.reads}
            used = expression.names
        except ExpressionError as error:
            raise MatchError(str(error)) from None
        read = {key: value for key, value in context.items() if roots is None or key in roots}
        match = cls(text, read, {name: value for name, value in names.items() if name in used})
        if len(match.stored()) > MOST:
            raise MatchError(f"what it reads of the context has more than {MOST} characters")
        return match

    def stored(self) -> str:
        """The text form that :func:`read_match` reads."""
        form = {"form": _FORM, "expression": self.text, "context": dict(self.context), "names": dict(self.names)}
        return json.dumps(form, separators=(",", ":"))

    def takes(self, payload: Mapping[str, Any]) -> bool:
        """Whether the expression is true of an event with this payload; not if it cannot be evaluated."""
        try:
            expression = expression_of(self.text)
            return expression is not None and expression.value(self.context, {**self.names, "event": payload}) is True
        except (ExpressionError, FailedError):
            return False


@functools.lru_cache(maxsize=256)
def read_match(stored: str) -> Match | None:
    """The match that was stored; None if its form is not known here."""
    try:
        raw = json.loads(stored)
        if raw["form"] != _FORM:
            return None
        return Match(raw["expression"], raw["context"], raw["names"])
    except (ValueError, KeyError, TypeError):
        return None
