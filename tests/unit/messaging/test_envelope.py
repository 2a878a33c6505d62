"""Bytes become a checked command, or a reason why not; nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.envelope import MAX_BODY, MAX_DEPTH, iso, parse_command, parse_json, start_command, workflow_id_of
from cch.errors import MalformedMessageError

REPLY: dict[str, Any] = {
    "workflowInstanceId": "i",
    "command": {
        "type": "ASYNC_RESP", "id": "r1", "source": "Capability:import#enrichment", "timestamp": "2026-01-31T10:00:00Z",
        "payload": {"k": 1},
    },
}  # fmt: skip


def body(top: dict[str, Any] | None = None, **command: Any) -> str:
    """The reply above, with changes; a value of ... leaves a key out."""
    raw = {**REPLY, **(top or {}), "command": {**REPLY["command"], **command}}
    raw["command"] = {key: value for key, value in raw["command"].items() if value is not ...}
    return json.dumps({key: value for key, value in raw.items() if value is not ...})


def reason(text: str) -> str:
    with pytest.raises(MalformedMessageError) as caught:
        parse_command(text)
    return caught.value.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters(codec=None)))
def test_any_text_is_a_command_or_malformed(text: str) -> None:
    """Lone surrogates, control characters, whatever: no other exception."""
    try:
        parse_command(text)
    except MalformedMessageError as error:
        assert error.reason


@given(st.fixed_dictionaries({}, optional={
    "workflowInstanceId": json_values | st.just("i"),
    "correlationId": json_values,
    "workflowDefinitionURI": json_values,
    "sourceEvent": json_values,
    "command": json_values | st.fixed_dictionaries({}, optional={
        "type": json_values | st.sampled_from(["START_WORKFLOW", "EVENT", "ASYNC_RESP", "EVENT_WAIT_RESP"]),
        "id": json_values | st.just("c"), "source": json_values | st.just("s"),
        "timestamp": json_values | st.just("2026-01-31"), "status": json_values, "payload": json_values | st.just({}),
        "inReplyTo": json_values, "in_reply_to": json_values, "routingHint": json_values,
    }),
}))  # fmt: skip
def test_any_json_is_a_command_or_malformed(value: Any) -> None:
    """Each field of each wrong type; what passes is text and objects where the record says so."""
    try:
        command = parse_command(json.dumps(value))
    except MalformedMessageError as error:
        assert error.reason
    else:
        assert all(isinstance(text, str) for text in (command.instance, command.id, command.source, command.branch))
        assert isinstance(command.payload, dict)


def test_a_reply_is_read() -> None:
    """The smallest one; everything else has a default."""
    command = parse_command(body())

    assert (command.kind, command.instance, command.id, command.source) == (
        "ASYNC_RESP",
        "i",
        "r1",
        "import#enrichment",
    )
    assert (command.status, command.in_reply_to, command.branch, command.correlation_id) == ("", "", "", "i")
    assert command.payload == {"k": 1}


def test_all_optional_fields_are_read() -> None:
    """As the message forms name them."""
    command = parse_command(
        body(
            {"correlationId": "BL-7", "workflowDefinitionURI": "s3://b/w.yaml", "sourceEvent": {"eventType": "ASN"}},
            status="ERROR", inReplyTo="c1", routingHint={"branchKey": 7},
        )
    )  # fmt: skip

    assert (command.status, command.in_reply_to, command.branch, command.correlation_id) == ("ERROR", "c1", "7", "BL-7")
    assert (command.definition_uri, command.source_event) == ("s3://b/w.yaml", {"eventType": "ASN"})


def test_older_spellings_are_accepted() -> None:
    """``in_reply_to``, and EVENT for a start."""
    start = body({"workflowDefinitionURI": "w"}, type="EVENT")

    assert parse_command(body(in_reply_to="c1")).in_reply_to == "c1"
    assert parse_command(start).kind == "START_WORKFLOW"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"), ("{", "not JSON"), ("[]", "must be a JSON object"), ("7", "must be a JSON object"),
        ('{"a": 1e999}', "a number that cannot be stored"),
        ('{"a": NaN}', "NaN is no JSON number"), ('{"a": -Infinity}', "no JSON number"),
        ('{"a": "\\ud800"}', "cannot be stored"), ("\ud800", "not valid Unicode"),
        ("[" * 100_000, "not JSON"), ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "levels deep"),
        (json.dumps("x" * MAX_BODY), "more than the 1048576 allowed"),
        ("9" * 5000, "JSON"),
        (body({"workflowInstanceId": ...}), "workflowInstanceId must be text and is missing"),
        (body({"workflowInstanceId": ""}), "workflowInstanceId must be text"),
        (body({"workflowInstanceId": "a b"}), "letters, digits"),
        (body({"workflowInstanceId": "x" * 201}), "1 to 200 characters"),
        (body({"workflowInstanceId": "a/../b"}), "letters, digits"),
        ('{"workflowInstanceId": "i"}', "command must be an object and is missing"),
        (body(type=...), "command.type must be text and is missing"),
        (body(type="RESP"), "command.type is 'RESP'"),
        (body(id=...), "command.id must be text"),
        (body(id="x" * 2001), "longer than 2000"),
        (body(source=...), "command.source must be text"),
        (body(timestamp=...), "command.timestamp must be text"),
        (body(timestamp="yesterday"), "not ISO 8601"),
        (body(payload=...), "command.payload must be an object and is missing"),
        (body(payload=[1]), "command.payload must be an object"),
        (body(status="OK"), "use SUCCESS or ERROR"),
        (body(inReplyTo=7), "inReplyTo must be text"),
        (body(routingHint="b"), "routingHint must be an object"),
        (body(routingHint={"branchKey": {}}), "branchKey must be text"),
        (body(routingHint={"branchKey": "x" * 201}), "at most 200"),
        (body(inReplyTo="x" * 3000), "inReplyTo is longer than 200"),
        (body(source="x" * 201), "source is longer than 200"),
        (body({"correlationId": "x" * 201}), "correlationId is longer than 200"),
        (body(type="START_WORKFLOW"), "workflowDefinitionURI must be text and is missing"),
    ],
)  # fmt: skip
def test_each_fault_is_named(text: str, words: str) -> None:
    """The reason goes to the dead-letter queue with the message: it says which field, and what to write."""
    assert words in reason(text)


def test_a_body_of_exactly_the_limit_is_read() -> None:
    """Bytes, not characters."""
    room = MAX_BODY - len(body(payload={"t": ""}).encode())

    assert parse_command(body(payload={"t": "x" * room})).payload["t"]
    assert "more than" in reason(body(payload={"t": "x" * (room + 1)}))


def test_deep_but_storable_json_is_read() -> None:
    """One level below the limit."""
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("uri", "workflow_id"),
    [
        ("s3://b/import_v1.yaml", "import_v1"),
        ("s3://b/x/y.yml", "y"),
        ("import_v1", "import_v1"),
        ("a.b_v1.2", "a.b_v1.2"),
    ],
)
def test_a_definition_is_named_by_file_or_id(uri: str, workflow_id: str) -> None:
    """Whatever the sender uses."""
    assert workflow_id_of(uri) == workflow_id


def test_our_own_start_is_read_by_ourselves() -> None:
    """What ``cch run`` sends."""
    text = start_command(
        instance="i", command_id="c", definition_uri="w", context={"a": 1}, correlation_id="BL", now=1_700_000_000_123
    )

    command = parse_command(text)

    assert (command.kind, command.payload, command.correlation_id) == ("START_WORKFLOW", {"a": 1}, "BL")
    assert command.timestamp == iso(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
