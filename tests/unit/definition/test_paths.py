"""Paths into the context: one grammar for reading and writing, and the one before it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.definition.merging import merge, placed
from cch.definition.paths import MISSING, PathError, escaped, path_fault, read_key, read_path
from cch.definition.rules import FIRST, NEWEST

CONTEXT = {
    "a": {"b": [{"c": 7}], "0": "key"}, "x.y": 1, "x": {"y": 2}, "n": None, "orders": [{"lines": [1]}, {"lines": [2]}],
    "back\\slash": {"d.e": 3},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "first", "newest"),
    [
        ("a.b.0.c", 7, 7),
        ("a.0", "key", "key"),
        ("n", None, None),
        ("orders.1.lines.0", 2, 2),
        ("x.y", 1, 2),
        (r"x\.y", MISSING, 1),
        (r"back\\slash.d\.e", MISSING, 3),
        ("a.b.1", MISSING, MISSING),
        ("a.b.-1", MISSING, MISSING),
        ("a.b.00.c", 7, MISSING),
        ("a.b.٠.c", 7, MISSING),
        ("a.z", MISSING, MISSING),
        ("n.m", MISSING, MISSING),
        ("", MISSING, MISSING),
        (f"orders.{'9' * 5000}", MISSING, MISSING),
    ],
)
def test_what_a_path_finds(path: str, first: Any, newest: Any) -> None:
    """By the first rules a key with the dots in it won; by the newest its dots are escaped."""
    if len(path) < 1000:
        assert read_path(path, FIRST).find(CONTEXT) == first
    assert read_path(path, NEWEST).find(CONTEXT) == newest


@pytest.mark.parametrize(
    "path", ["orders.0.lines", "a.b.0.c", r"x\.y", "x.y", "new.one", r"new\.one", "n.m", "orders.1"]
)
def test_what_is_written_at_a_path_is_found_there_and_nothing_else_changes(path: str) -> None:
    """Items of lists included, whose neighbours stay as they are."""
    way = read_path(path, NEWEST)

    after = merge(CONTEXT, way.patch(CONTEXT, ["written"]))

    assert way.find(after) == ["written"]
    others = [key for key in CONTEXT if key != way.root]
    assert {key: after[key] for key in others} == {key: CONTEXT[key] for key in others}
    if path == "orders.0.lines":
        assert after["orders"] == [{"lines": ["written"]}, {"lines": [2]}]


def test_two_branches_write_into_items_of_one_list() -> None:
    """Neither takes the other's back: a patch names the item that it changes."""
    left = read_path("orders.0.lines", NEWEST).patch(CONTEXT, "left")
    right = read_path("orders.1.lines", NEWEST).patch(CONTEXT, "right")

    assert merge(merge(CONTEXT, left), right)["orders"] == [{"lines": "left"}, {"lines": "right"}]
    assert merge(CONTEXT, merge(left, right))["orders"] == [{"lines": "left"}, {"lines": "right"}]


@pytest.mark.parametrize("path", ["orders.lines", "orders.2.lines", "orders.2", "a.b.c", "orders.-1"])
def test_a_list_is_never_replaced_by_an_object(path: str) -> None:
    """The whole list was lost; now the node fails and says why."""
    with pytest.raises(PathError, match="stands a list of"):
        read_path(path, NEWEST).patch(CONTEXT, 1)


@given(keys=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4), value=st.integers())
def test_every_key_can_be_named(keys: list[str], value: int) -> None:
    """Whatever characters it has: escaped keys with dots between are the way back to the value."""
    way = read_path(".".join(map(escaped, keys)), NEWEST)

    assert way.steps == tuple(keys)
    assert way.find(merge({}, way.patch({}, value))) == value


def test_keys_that_the_first_rules_took_literally_are_paths_now() -> None:
    """In static_outputs, output_keys, event_key and initial_context."""
    assert placed({"a.b": 1, "a.c": 2}, {}, FIRST) == {"a.b": 1, "a.c": 2}
    assert placed({"a.b": 1, "a.c": 2, r"d\.e": 3}, {}, NEWEST) == {"a": {"b": 1, "c": 2}, "d.e": 3}
    assert read_key("x.y", FIRST).find({"x.y": 1, "x": {"y": 2}}) == 1
    assert read_key("x.y", NEWEST).find({"x.y": 1, "x": {"y": 2}}) == 2


@pytest.mark.parametrize("path", ["", ".", "a..b", ".a", "a.", r"a\b", "a\\", "$.a", "orders[0].lines", "a[*]", "a.-1"])
def test_paths_that_can_never_match_have_a_fault(path: str) -> None:
    """The fault says what is wrong, in words."""
    assert path_fault(path)


@pytest.mark.parametrize("path", ["a", "a.b", "a.0.b", r"a\.b", r"a\\.b", "a b", "ä.ö", "a#b", "-a", "01"])
def test_other_paths_have_none(path: str) -> None:
    """Keys are data and may have any name."""
    assert path_fault(path) == ""
