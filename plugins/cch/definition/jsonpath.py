"""JSONPath expressions: what they match, and whether they can only mean one value."""

from __future__ import annotations

import functools
from typing import Any

from cch.errors import CapabilityError


@functools.lru_cache(maxsize=256)
def _parsed(expression: str) -> Any:
    from jsonpath_ng.ext import parse  # noqa: PLC0415 - its parser is slow to load

    try:
        return parse(expression)
    except Exception as error:  # noqa: BLE001 - its lexer raises plain exceptions, too
        raise CapabilityError(f"{expression!r} is no JSONPath: {error}") from None


def is_single(expression: str) -> bool:
    """Whether the expression can only mean one value: it has no wildcard, slice, filter, descent or union.

    :raises CapabilityError: it is no JSONPath.
    """
    return _is_single(_parsed(expression))


def _is_single(node: Any) -> bool:
    import jsonpath_ng as plain  # noqa: PLC0415 - slow to load
    from jsonpath_ng.ext import arithmetic, iterable  # noqa: PLC0415

    match node:
        case plain.Root() | plain.This() | plain.Parent() | iterable.Len():
            return True
        case plain.Child():
            return _is_single(node.left) and _is_single(node.right)
        case plain.Fields():
            return len(node.fields) == 1 and node.fields[0] != "*"
        case plain.Index():
            return len(getattr(node, "indices", ("",))) == 1
        case arithmetic.Operation():
            return all(_is_single(side) for side in (node.left, node.right) if isinstance(side, plain.JSONPath))
        case _:
            return False


def matches(expression: str, document: Any) -> tuple[bool, list[Any]]:
    """Whether the expression can only mean one value, and all that it matches.

    :raises CapabilityError: it is no JSONPath, or cannot be applied to this document.
    """
    path = _parsed(expression)
    try:
        values = [found.value for found in path.find(document)]
    except Exception as error:  # noqa: BLE001 - comparing a text with a number raises what Python does
        raise CapabilityError(f"{expression!r} cannot be applied: {type(error).__name__}: {error}") from None
    return _is_single(path), values
