"""How a patch is laid over a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cch.definition.paths import ITEMS, read_key
from cch.definition.rules import FIRST


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``patch`` laid over it: objects deeply, every other value replaced, null included.

    A patch for items of a list (:data:`~cch.definition.paths.ITEMS`) changes these items and leaves the others.
    """
    result = dict(base)
    for key, value in patch.items():
        result[key] = laid_over(result[key], value) if key in result else value
    return result


def laid_over(old: Any, value: Any) -> Any:
    """One value with another laid over it."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(old, Mapping):
        return merge(old, value)
    if isinstance(old, list) and is_for_items(value):
        items = list(old)
        for index, item in value[ITEMS].items():
            if int(index) < len(items):  # a branch beside may have put a shorter list there
                items[int(index)] = laid_over(items[int(index)], item)
        return items
    return value


def is_for_items(value: Any) -> bool:
    """Whether the value is a patch for items of a list."""
    if not isinstance(value, Mapping) or len(value) != 1 or not isinstance(value.get(ITEMS), Mapping):
        return False
    return all(isinstance(index, str) and index.isascii() and index.isdecimal() for index in value[ITEMS])


def has_items(value: Any) -> bool:
    """Whether a patch for items of a list stands anywhere in the value."""
    return isinstance(value, Mapping) and (is_for_items(value) or any(map(has_items, value.values())))


def placed(values: Mapping[str, Any], context: Any, rules: int) -> dict[str, Any]:
    """The patch that puts each value at its key; keys are paths, which the first rules took literally.

    :raises PathError: see :meth:`~cch.definition.paths.ContextPath.patch`.
    """
    if rules == FIRST:
        return dict(values)
    patch: dict[str, Any] = {}
    for key, value in values.items():
        patch = merge(patch, read_key(key, rules).patch(context, value))
    return patch
