"""The instance's business data."""

from __future__ import annotations

from typing import Any

import pytest

from cch.interpreter.context import MISSING, as_text, lookup, merge, nested, selected


@pytest.mark.parametrize(
    ("base", "patch", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": {"z": 1}}}, {"a": {"y": {"w": 2}}}, {"a": {"x": 1, "y": {"z": 1, "w": 2}}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
    ],
)
def test_objects_merge_deeply_and_other_values_replace(
    base: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Null overwrites; neither side is changed."""
    before = repr((base, patch))

    assert merge(base, patch) == expected
    assert repr((base, patch)) == before


def test_dotted_paths_walk_objects_and_lists() -> None:
    """A key that has the dots itself wins; what is not there is missing, not null."""
    context = {"a": {"b": [{"c": 7}]}, "x.y": 1, "x": {"y": 2}, "n": None}

    assert [lookup(context, path) for path in ("a.b.0.c", "x.y", "n")] == [7, 1, None]
    assert [lookup(context, path) for path in ("a.b.1", "a.b.-1", "a.z", "n.m", "q")] == [MISSING] * 5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"), (True, "true"), (None, "null"), (MISSING, "null"), (1, "1"), (1.5, "1.5"), ("true", "true"),
        ({"a": "ä"}, '{"a":"ä"}'), ([1, 2], "[1,2]"),
    ],
)  # fmt: skip
def test_values_read_as_text(value: Any, text: str) -> None:
    """Text as it is, everything else in its JSON form."""
    assert as_text(value) == text


def test_private_keys_are_never_selected() -> None:
    """Whether all keys are sent, or they are asked for by name."""
    context = {"a": 1, "_secret": {"x": 1}, "b": {"c": 2}}

    assert selected(context, None) == {"a": 1, "b": {"c": 2}}
    assert selected(context, ["a", "b.c", "_secret", "_secret.x", "missing"]) == {"a": 1, "b.c": 2}


def test_a_value_is_put_at_a_dotted_path() -> None:
    """The patch that merges it there."""
    assert nested("a.b.c", 1) == {"a": {"b": {"c": 1}}}
    assert nested("a", None) == {"a": None}
