"""What the types of nodes say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest
from workflows import graph_of

from cch.definition.kinds import NodeRecord
from cch.definition.nodes import NODE_TYPES
from cch.definition.paths import MISSING
from cch.definition.rules import FIRST, NEWEST
from cch.definition.schema import definition_schema

REST = "\nE: {type: end}\nX: {type: end}\n"
#: Type → a node that uses all of its paths; what it reads and writes, as (place, path); its ways.
USES: dict[str, tuple[str, set[tuple[str, str]], set[tuple[str, str]], list[tuple[str, str]]]] = {
    "entry": ("next: E", set(), set(), [("next", "E")]),
    "async_request": (
        "capability_id: a, input_keys: [a.b, c], output_keys: [x.y], on_response: E, on_timeout: X, on_failure: X",
        {("input_keys.0", "a.b"), ("input_keys.1", "c")},
        {("request_output_keys.0", "x.y")},
        [("on_response", "E"), ("on_timeout", "X"), ("on_failure", "X")],
    ),
    "sync_call": (
        "capability_id: a, input_keys: [a.b], output_keys: [x.y], on_success: E, on_timeout: X",
        {("input_keys.0", "a.b")},
        {("output_keys.0", "x.y")},
        [("on_success", "E"), ("on_timeout", "X")],
    ),
    "condition": (
        "condition_on_key: a.b, branches: {x: E, _default: X}, on_failure: E",
        {("condition_on_key", "a.b")},
        set(),
        [("x", "E"), ("_default", "X"), ("on_failure", "E")],
    ),
    "set_state": (
        "static_outputs: {x.y: 1}, on_success: E",
        set(),
        {("static_outputs.x.y", "x.y")},
        [("on_success", "E")],
    ),
    "log_error": (
        "default_error_code: C, default_message: m, message_from_context_key: a.b, on_success: E",
        {("message_from_context_key", "a.b")},
        set(),
        [("on_success", "E")],
    ),
    "library_call": (
        (
            "library_function_id: core#calculate_timedelta, parameters: {date_context_key: a.b, timedelta: 1d},"
            " output_key: x.y, on_success: E"
        ),
        {("parameters.date_context_key", "a.b")},
        {("output_key", "x.y")},
        [("on_success", "E")],
    ),
    "fork": ("branches: [E, X]", set(), set(), [("E", "E"), ("X", "X")]),
    "join": (
        "join_branches: [X], destination: x.y, on_success: E",
        set(),
        {("destination", "x.y")},
        [("on_success", "E")],
    ),
    "map_fork": (
        "input_list_key: a.b, branch_key: id, item_key: i, branch_entry_node: E",
        {("input_list_key", "a.b"), ("branch_key", "id")},
        {("input_list_key", "a.b"), ("item_key", "i")},
        [("item", "E")],
    ),
    "end_branch": ("on_failure: X", set(), set(), [("on_failure", "X")]),
    "event_wait": (
        "event_key: p.q, on_success: E, on_timeout: X",
        {("event_key", "p.q")},
        {("event_key", "p.q")},
        [("on_event", "E"), ("on_timeout", "X")],
    ),
    "scheduled_request": (
        (
            "capability_id: a, schedule_parameters: {date_context_key: d.e}, input_keys: [a.b],"
            " request_output_keys: [z], on_schedule_set: {x.y: 1}, on_success: X, on_response: E"
        ),
        {("input_keys.0", "a.b"), ("schedule_parameters.date_context_key", "d.e")},
        {("on_schedule_set.x.y", "x.y"), ("request_output_keys.0", "z")},
        [("on_success", "X"), ("on_response", "E")],
    ),
    "end": ("on_failure: X", set(), set(), []),
}
#: Types that write what somebody answers unless the definition names the keys.
ANSWERED = {"async_request", "scheduled_request", "sync_call", "event_wait"}


def node_of(kind: str, keys: str) -> NodeRecord:
    return graph_of(f"N: {{type: {kind}, {keys}}}{REST}").nodes["N"]


def places(uses: Iterable[Any]) -> set[tuple[str, str]]:
    return {(".".join(map(str, used.place)), used.text) for used in uses}


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_a_node_names_the_paths_that_it_reads_and_writes_and_its_ways(kind: str) -> None:
    """Whoever adds a type says it here, too."""
    keys, reads, writes, ways = USES[kind]

    node = node_of(kind, keys)

    assert places(node.reads()) == reads
    assert places(node.writes()) == writes
    assert list(node.ways()) == ways


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("async_request", "capability_id: a, on_response: E"),
        ("scheduled_request", "capability_id: a, schedule_parameters: {date_context_key: d}, on_response: E"),
        ("sync_call", "capability_id: a, on_success: E"),
        ("event_wait", "on_event: E"),
        ("library_call", "library_function_id: l, parameters: {}, output_key: a, on_success: E"),
        ("set_state", "on_success: E"),
    ],
)
def test_without_names_an_answer_is_written_whatever_it_holds(kind: str, keys: str) -> None:
    """The keys of replies, calls and events are not known before a run; those of fixed values are."""
    assert node_of(kind, keys).writes_anything is (kind in ANSWERED)


def test_named_outputs_are_all_that_is_written() -> None:
    """Also where an event may bring more: what counts is what the definition knows of."""
    named = {kind for kind, (keys, *_) in USES.items() if node_of(kind, keys).writes_anything}

    assert named == set()


@pytest.mark.parametrize(
    ("kind", "place", "rules", "found"),
    [
        ("sync_call", "output_keys.0", FIRST, "dotted"),
        ("sync_call", "output_keys.0", NEWEST, "nested"),
        ("async_request", "request_output_keys.0", FIRST, "dotted"),
        ("async_request", "request_output_keys.0", NEWEST, "dotted"),
    ],
)
def test_a_path_is_read_by_the_rules_of_its_instance(kind: str, place: str, rules: int, found: str) -> None:
    """A declared output was one key, dots and all, before there were rules; what is asked for is one key for good."""
    (write,) = (used for used in node_of(kind, USES[kind][0]).writes() if (place, used.text) in places([used]))

    assert write.path(rules).find({"x.y": "dotted", "x": {"y": "nested"}}) == found
    assert write.path(rules).find({}) is MISSING


def test_the_list_of_a_map_is_changed_and_not_brought() -> None:
    """There must be one before; the item's key is there in the body only because of the map."""
    brings = {write.text: write.brings for write in node_of("map_fork", USES["map_fork"][0]).writes()}

    assert brings == {"a.b": False, "i": True}


def test_the_schema_has_every_type_and_no_other() -> None:
    """A type that the schema does not know is refused; one that only the schema knows cannot be read."""
    schema = definition_schema()["$defs"]
    node = schema["node"]

    assert set(node["properties"]["type"]["enum"]) == set(NODE_TYPES)
    assert {each["then"]["$ref"].removeprefix("#/$defs/") for each in node["allOf"]} == set(NODE_TYPES)


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_the_keys_that_name_nodes_are_keys_of_the_type(kind: str) -> None:
    """A way that the checks do not know leads nowhere without anybody being told."""
    record = NODE_TYPES[kind]
    known = {field.name for field in fields(record)}

    assert {*record.target_keys, *record.target_lists} <= known
    assert {name for name in known if name.startswith("on_") and name != "on_schedule_set"} == {
        "on_failure", *(key for key in record.target_keys if key.startswith("on_")),
    }  # fmt: skip
