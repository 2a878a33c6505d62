r"""Paths into the context: one type for reading and for writing.

``orders.0.lines`` names the key ``lines`` of the first item of the list ``orders``. A dot that belongs to a key is
written ``\.``, a backslash ``\\``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.counting import counted
from cch.definition.rules import FIRST
from cch.values import MISSING

#: The only key of a patch that changes items of a list: its value maps their indexes to what is laid over them.
#: Stored in outcomes: do not rename.
ITEMS = "[]"
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_STEP = re.compile(r"(?:[^.\\]|\\[.\\]|\\)*", re.DOTALL)
_ESCAPED = re.compile(r"\\([.\\])")


class PathError(ValueError):
    """Nothing can be written at the path; the message says why."""


@dataclass(frozen=True, slots=True)
class ContextPath:
    """A path. ``literal``: a key that contains the dots itself wins over the steps (the first rules read so)."""

    text: str
    steps: tuple[str, ...]
    literal: bool = False

    @property
    def root(self) -> str:
        """The context's key in which the path ends or goes on."""
        return self.steps[0]

    def find(self, context: Any) -> Any:
        """The value, or :data:`MISSING`."""
        if self.literal and isinstance(context, Mapping) and self.text in context:
            return context[self.text]
        value = context
        for step in self.steps:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and (index := _index(step, first=self.literal)) is not None:
                if index >= len(value):
                    return MISSING
                value = value[index]
            else:
                return MISSING
        return value

    def patch(self, context: Any, value: Any) -> dict[str, Any]:
        """What has to be merged into ``context`` for ``value`` to stand at the path.

        :raises PathError: the way leads through a list and names none of its items.
        """
        return _patch(MISSING if self.literal else context, self.steps, value, self.text)  # type: ignore[no-any-return]


def _index(step: str, *, first: bool) -> int | None:
    if first:
        return int(step) if step.isdecimal() else None
    return int(step) if _INDEX.fullmatch(step) else None


def _patch(here: Any, steps: tuple[str, ...], value: Any, text: str) -> Any:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(here, list):
        index = _index(step, first=False)
        if index is None or index >= len(here):
            raise PathError(
                f"nothing can be written at {text!r}: before {step!r} stands a list of {counted(len(here), 'item')};"
                " name one of them by its index, from 0"
            )
        return {ITEMS: {step: _patch(here[index], tuple(rest), value, text)}}
    inner = here.get(step, MISSING) if isinstance(here, Mapping) else MISSING
    return {step: _patch(inner, tuple(rest), value, text)}


@functools.lru_cache(maxsize=4096)
def read_path(text: str, rules: int) -> ContextPath:
    """A path as it is read by ``rules``. Every text is one; :func:`path_fault` tells which can never match."""
    if rules == FIRST:
        return ContextPath(text, tuple(text.split(".")), literal=True)
    steps = tuple(_ESCAPED.sub(r"\1", step) for step in _split(text))
    return ContextPath(text, steps)


@functools.lru_cache(maxsize=4096)
def read_key(text: str, rules: int) -> ContextPath:
    """As :func:`read_path`, where the first rules took the dots literally."""
    return ContextPath(text, (text,), literal=True) if rules == FIRST else read_path(text, rules)


def _split(text: str) -> list[str]:
    steps, at = [], 0
    while True:
        step = _STEP.match(text, at)
        assert step is not None
        steps.append(step[0])
        at = step.end() + 1
        if at > len(text):
            return steps


def escaped(key: str) -> str:
    """The path of one key of the context, whatever characters it has."""
    return re.sub(r"([.\\])", r"\\\1", key)


def key_fault(key: str) -> str:
    """Why paths do not lead to ``key`` as it is written; "" if they do."""
    return "it is one key: write it without dots and backslashes" if escaped(key) != key else ""


def path_fault(text: str) -> str:
    """Why a path can never match anything; "" if it can."""
    if re.search(r"\\(?![.\\])", re.sub(r"\\\\", "", text)):
        return "a backslash stands before a dot or another backslash only"
    steps = _split(text)
    if not all(steps):
        return "it has an empty step: a path neither begins nor ends with a dot, nor has two in a row"
    if steps[0] == "$":
        return "it begins with '$': paths into the context are no JSONPath, write the keys with dots between"
    if any(re.search(r"\[\*?\d*\]$", step) for step in steps):
        return "an item of a list is named by a step of its own: orders.0.lines"
    if any(re.fullmatch(r"-\d+", step) for step in steps):
        return "indexes count from the beginning, from 0"
    return ""
