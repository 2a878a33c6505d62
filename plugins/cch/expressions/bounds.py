"""What one evaluation may use: steps, depth, and the size of every value that it makes.

Bounds are counted, never timed: an expression does the same at every replay, on every machine.
"""

from __future__ import annotations

import time
from typing import Any

#: Names that an expression may use, besides JSONata's functions; where they have a value, the language page says.
NAMES = ("reply", "event", "item", "error", "instance", "now")
#: Most steps of one evaluation: about two seconds of one core (``make bench ARGS="--only expressions"``).
MAX_STEPS = 200_000
#: Deepest nesting of evaluations: a call of a function that the expression defines takes about four.
MAX_DEPTH = 100
#: Most values inside one value, and most characters in all its texts.
MAX_VALUES = 200_000
MAX_TEXT = 1_000_000
#: Most values and characters of what a function reads in one go, inside C.
MAX_AT_ONCE = 50_000
MAX_TEXT_AT_ONCE = 250_000
#: Most numbers of a range ``[a..b]``.
MAX_RANGE = 10_000
#: Deepest value.
MAX_LEVELS = 60
#: Whole numbers are exact to so many bits, sign included.
INTEGER_BITS = 64
#: Characters that count as one step.
_TEXT_STEP = 64
#: Steps after which an evaluation lets others go first, and for how long (s).
_REST_EVERY = 400
_REST = 0.0002
#: Items of a list that was measured before which count as one step when it is used again.
_LIST_STEP = 4


class BoundMetError(Exception):
    """The evaluation needs more than it may have; the message says of what."""


class Meter:
    """Counts what one evaluation uses."""

    def __init__(self, *given: Any) -> None:
        """``given``: values from outside, which are not measured as long as nothing is made of them."""
        self.steps = 0
        self._rest = _REST_EVERY
        self._given = {id(each) for each in given}
        self._depth = 0
        #: id → the container, its length when it was measured, its values, characters, levels. The reference keeps the
        #: id from being given away.
        self._known: dict[int, tuple[Any, int, int, int, int]] = {}

    def charge(self, steps: int) -> None:
        """:raises BoundMetError: no step is left."""
        self.steps += steps
        if self.steps >= self._rest:
            # Whoever else waits in this process goes first; nothing that counts depends on it.
            time.sleep(_REST)
            self._rest = self.steps + _REST_EVERY
        if self.steps > MAX_STEPS:
            raise BoundMetError(f"it takes more than {MAX_STEPS} steps")

    def enter(self) -> None:
        """One evaluation inside another begins.

        :raises BoundMetError: no step, or no depth, is left.
        """
        self.charge(1)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BoundMetError(f"it is nested more than {MAX_DEPTH} evaluations deep")

    def leave(self) -> None:
        self._depth -= 1

    def touch(self, value: Any) -> None:
        """Count a value that is used, but not what is inside.

        :raises BoundMetError: no step is left.
        """
        if isinstance(value, str):
            self.charge(len(value) // _TEXT_STEP)
        elif isinstance(value, list | dict):
            self.charge(len(value) // _LIST_STEP)

    def take(self, value: Any) -> None:
        """Count a value that was made or found.

        :raises BoundMetError: it is too large, or no step is left.
        """
        self.touch(value)
        if isinstance(value, str):
            check_text(len(value))
        elif isinstance(value, list | dict):
            if type(value) is list or id(value) in self._given:
                return  # as it stands in what was given, or made by a function of what was measured
            self.check(value)

    def check(self, value: Any) -> None:
        """Measure a value to its last part.

        :raises BoundMetError: it is too large, or no step is left.
        """
        if isinstance(value, str | list | dict):
            values, text, levels = self._size(value, 0)
            if values > MAX_VALUES:
                raise BoundMetError(f"a value has more than {MAX_VALUES} values in it")
            check_text(text)
            if levels > MAX_LEVELS:
                raise BoundMetError(f"a value is nested more than {MAX_LEVELS} levels deep")

    def read_whole(self, value: Any) -> None:
        """Count a value that a function reads to its last character, without interruption.

        :raises BoundMetError: it is too large for that, or no step is left.
        """
        values, text, _ = self._size(value, 0)
        self.charge(values // _LIST_STEP + text // _TEXT_STEP)
        if values > MAX_AT_ONCE or text > MAX_TEXT_AT_ONCE:
            raise BoundMetError(
                f"a function reads more than {MAX_AT_ONCE} values or {MAX_TEXT_AT_ONCE} characters in one go"
            )

    def _size(self, value: Any, level: int) -> tuple[int, int, int]:
        """Values, characters and levels; what is inside was measured before, unless it comes from the context."""
        if isinstance(value, str):
            return 1, len(value), 0
        if not isinstance(value, list | dict):
            return 1, 0, 0
        known = self._known.get(id(value))
        if known is not None and known[1] == len(value):
            return known[2:]
        if level > MAX_LEVELS:
            raise BoundMetError(f"a value is nested more than {MAX_LEVELS} levels deep")
        self.charge(len(value) // _LIST_STEP)
        values, text, levels = 1, 0, 0
        if isinstance(value, dict):
            text = sum(map(len, value))
        for inner in value.values() if isinstance(value, dict) else value:
            more = self._size(inner, level + 1)
            values, text, levels = values + more[0], text + more[1], max(levels, more[2])
        self._known[id(value)] = (value, len(value), values, text, levels + 1)
        return values, text, levels + 1


def check_text(characters: int) -> None:
    """:raises BoundMetError: a text of so many characters is too long."""
    if characters > MAX_TEXT:
        raise BoundMetError(f"a text has more than {MAX_TEXT} characters")
