"""The instance's business data: merging, paths, and how a value reads as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cch.definition.merging import merge, placed
from cch.definition.paths import PathError, read_key, read_path
from cch.definition.rules import FIRST, NEWEST
from cch.values import MISSING, as_text

__all__ = [
    "ERROR_KEYS",
    "MISSING",
    "PathError",
    "as_text",
    "lookup",
    "merge",
    "placed",
    "python_text",
    "read_key",
    "read_path",
    "selected",
]

#: Names under which a capability may ask for why an earlier node failed, and which one did: key → key of the context.
ERROR_KEYS: Mapping[str, str] = {"internalError": "_internalError", "errorNode": "_errorNode"}


def lookup(context: Any, path: str, rules: int) -> Any:
    """The value at a path, or :data:`MISSING`."""
    return read_path(path, rules).find(context)


def python_text(value: Any) -> str:
    """How Python writes a boolean or null; any other value as :func:`as_text` has it."""
    return str(value) if value is None or isinstance(value, bool) else "None" if value is MISSING else as_text(value)


def selected(context: Mapping[str, Any], keys: Iterable[str] | None, rules: int = NEWEST) -> dict[str, Any]:
    """What of a context may be sent: the chosen paths (all, if None), never a key that starts with ``_``.

    What a path of several steps names is sent under the path as it is written. The failure of an earlier node goes out
    where it is asked for by name (:data:`ERROR_KEYS`), and nobody else has brought a key of that name.
    """
    public = {key: value for key, value in context.items() if not key.startswith("_")}
    if keys is None:
        return public
    chosen: dict[str, Any] = {}
    for key in keys:
        path = read_path(key, rules)
        value = path.find(public)
        if value is MISSING and rules > FIRST:
            value = context.get(ERROR_KEYS.get(key, ""), MISSING)
        if value is not MISSING:
            chosen[path.root if len(path.steps) == 1 else key] = value
    return chosen
