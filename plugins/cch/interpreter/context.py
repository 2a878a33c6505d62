"""The instance's business data: merging, dotted paths, and how a value reads as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

MISSING: Any = object()


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``patch`` laid over it: objects deeply, every other value replaced, null included."""
    result = dict(base)
    for key, value in patch.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def lookup(context: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or :data:`MISSING`. A key that contains the dots itself wins."""
    if path in context:
        return context[path]
    value: Any = context
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def nested(path: str, value: Any) -> dict[str, Any]:
    """The patch that puts ``value`` at a dotted path."""
    for part in reversed(path.split(".")):
        value = {part: value}
    result: dict[str, Any] = value
    return result


def as_text(value: Any) -> str:
    """How a condition reads a value: text as it is, everything else in its JSON form; a missing key as null."""
    if isinstance(value, str):
        return value
    return json.dumps(None if value is MISSING else value, separators=(",", ":"), ensure_ascii=False)


def selected(context: Mapping[str, Any], keys: Iterable[str] | None) -> dict[str, Any]:
    """What of a context may be sent: the chosen keys (all, if None), never one that starts with ``_``."""
    public = {key: value for key, value in context.items() if not key.startswith("_")}
    if keys is None:
        return public
    chosen: dict[str, Any] = {}
    for key in keys:
        value = lookup(public, key)
        if value is not MISSING:
            chosen[key] = value
    return chosen
