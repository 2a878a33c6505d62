"""What one visit of each node type does, where it goes, and what it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from scripted import ManualClock, ScriptedHost
from workflows import graph_of

from cch.definition.kinds import Retry
from cch.definition.rules import FIRST, NEWEST
from cch.durations import LONGEST
from cch.errors import CapabilityError, GraphError
from cch.interpreter.effects import perform
from cch.interpreter.host import Answer, Call, Request
from cch.interpreter.instants import evaluate
from cch.interpreter.visit import Result, Visit

REST = "\nE: {type: end}\nX: {type: end}\nY: {type: end}\n"
REPLY_PATCH = {"k": 1, "messages": [{"code": "BAD", "summary": "no"}]}


def visit_of(node: str, context: Mapping[str, Any] | None = None, **more: Any) -> tuple[Any, Visit]:
    graph = graph_of(f"N: {node}{REST}")
    return graph.nodes["N"], Visit(graph=graph, number=1, context=context or {}, now=1_700_000_000_000, **more)


def evaluated(node: str, context: Mapping[str, Any] | None = None) -> Result:
    return evaluate(*visit_of(node, context))


async def performed(node: str, host: ScriptedHost, context: Mapping[str, Any] | None = None, **more: Any) -> Result:
    record, visit = visit_of(node, context, **more)
    return await perform(record, visit, host)


# --- instant nodes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("{type: entry, next: E}", Result(label="next")),
        (
            "{type: set_state, static_outputs: {a: {b: 1}, c: null}, on_success: E}",
            Result(label="on_success", patch={"a": {"b": 1}, "c": None}),
        ),
        ("{type: fork, branches: [E, X]}", Result(label="branches")),
        ("{type: join, join_branches: [E], on_success: X}", Result(label="on_success")),
        ("{type: end_branch}", Result(label="end_of_branch")),
        ("{type: end}", Result()),
        ("{type: end, status: failed}", Result(failed=True)),
    ],
)
def test_plain_instant_nodes(node: str, expected: Result) -> None:
    """They have one way, and need nothing but the definition."""
    assert evaluated(node) == expected


@pytest.mark.parametrize(
    ("value", "way"),
    [("x", "x"), (True, "true"), (None, "null"), (1, "1"), ("other", "_default"), ({"a": 1}, "_default")],
)
def test_a_condition_compares_the_values_text(value: Any, way: str) -> None:
    """Labels without quotes are text too; what no branch names takes the default."""
    node = "{type: condition, condition_on_key: a.k, branches: {x: E, true: X, null: Y, 1: E, _default: X}}"

    assert evaluated(node, {"a": {"k": value}}).label == way


def test_a_missing_key_reads_as_null() -> None:
    """So a definition may ask whether something is there."""
    assert evaluated("{type: condition, condition_on_key: a.k, branches: {null: E, x: X}}").label == "null"


def test_a_condition_that_nothing_matches_takes_on_failure_or_fails() -> None:
    """The reason names the key, the value and the branches."""
    handled = evaluated("{type: condition, condition_on_key: k, branches: {x: E}, on_failure: Y}", {"k": "z"})
    unhandled = evaluated("{type: condition, condition_on_key: k, branches: {x: E}}", {"k": "z"})

    assert (handled.label, handled.failed) == ("on_failure", False)
    assert (unhandled.label, unhandled.failed) == ("", True)
    assert handled.patch == {
        "_internalError": "k is 'z', which no branch of 'N' names (branches: x)", "_errorNode": "N",
        "_errorCode": "FAILED",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("context", "message"),
    [({"m": "from there"}, "from there"), ({"m": None}, "default"), ({}, "default"), ({"m": 7}, "7")],
)
def test_log_error_takes_its_message_from_the_context_if_it_is_there(context: dict[str, Any], message: str) -> None:
    """It goes on, and leaves a structured error for the instance."""
    node = "{type: log_error, default_error_code: E1, default_message: default, on_success: E, %s}"

    result = evaluated(node % "message_from_context_key: m", context)

    assert result.label == "on_success"
    assert result.errors == ({"code": "E1", "message": message, "node": "N", "timestamp": "2023-11-14T22:13:20.000Z"},)


@pytest.mark.parametrize(
    ("node", "instant"),
    [
        ("{type: entry, next: E}", True),
        ("{type: end}", True),
        ("{type: async_request, capability_id: a, on_response: E}", False),
        ("{type: sync_call, capability_id: a, on_success: E}", False),
        ("{type: library_call, library_function_id: l, parameters: {}, output_key: a, on_success: E}", False),
        ("{type: event_wait, on_event: E}", False),
    ],
)
async def test_a_node_is_either_instant_or_has_an_effect(node: str, instant: bool) -> None:
    """Asking for the wrong one is a bug of the caller, and says so."""
    record, visit = visit_of(node)

    assert (record.effect == "instant") is instant
    if instant:
        with pytest.raises(GraphError, match="does not wait or call"):
            await perform(record, visit, ScriptedHost())
    else:
        with pytest.raises(GraphError, match="no instant node"):
            evaluate(record, visit)


# --- async_request -------------------------------------------------------------------------------------------


def replying(status: str, payload: Mapping[str, Any] | None = None) -> ScriptedHost:
    payload = REPLY_PATCH if payload is None else payload
    return ScriptedHost(on_request=lambda r: Answer(kind="reply", at=1, command_id="c", status=status, payload=payload))


async def test_a_success_reply_is_merged_with_its_status() -> None:
    """The capability gets the chosen keys; its payload becomes the patch."""
    host = replying("SUCCESS", {"k": 1})

    result = await performed(
        "{type: async_request, capability_id: 'a#b', input_keys: [x, y.z, gone], request_output_keys: [k],"
        " on_response: E, timeout: 2m}",
        host,
        {"x": 1, "y": {"z": 2, "w": 3}, "other": 4, "_private": 5},
    )

    assert result == Result(
        label="on_response", patch={"k": 1, "status": "SUCCESS"},
        cause={"kind": "reply", "command_id": "c", "attempt": 1},
    )  # fmt: skip
    assert host.requests == [
        Request(
            node="N", visit=1, attempt=1, capability_id="a#b", context={"x": 1, "y.z": 2}, request_output_keys=("k",),
            timeout=120,
        )
    ]  # fmt: skip


async def test_without_input_keys_everything_public_is_sent() -> None:
    """Keys that start with ``_`` never leave the platform."""
    host = replying("SUCCESS", {})

    await performed("{type: async_request, capability_id: a, on_response: E}", host, {"a": 1, "_internalError": "x"})

    assert host.requests[0].context == {"a": 1}


STATUS = "S: {type: condition, condition_on_key: status, branches: {ERROR: Y, _default: E}}\n"
OTHER = "S: {type: condition, condition_on_key: k, branches: {1: Y, _default: E}}\n"


@pytest.mark.parametrize(
    ("after", "on_failure", "error_reply", "way"),
    [
        ("E", False, None, "on_response"),
        ("E", True, None, "on_failure"),
        ("E", False, "response", "on_response"),
        ("E", True, "response", "on_response"),
        ("E", False, "failure", "fails"),
        ("E", True, "failure", "on_failure"),
        ("status", False, None, "on_response"),
        ("status", True, None, "on_response"),
        ("status", False, "response", "on_response"),
        ("status", True, "response", "on_response"),
        ("status", False, "failure", "fails"),
        ("status", True, "failure", "on_failure"),
        ("other", False, None, "on_response"),
        ("other", True, None, "on_failure"),
        ("other", True, "response", "on_response"),
        ("other", False, "failure", "fails"),
    ],
)
async def test_where_an_error_reply_goes(after: str, on_failure: bool, error_reply: str | None, way: str) -> None:
    """on_failure, unless a condition on status follows or there is none; ``error_reply`` says it outright."""
    target = {"E": "E", "status": "S", "other": "S"}[after]
    behind = {"E": "", "status": STATUS, "other": OTHER}[after]
    keys = f"on_response: {target}" + (", on_failure: X" if on_failure else "")
    keys += f", error_reply: {error_reply}" if error_reply else ""
    graph = graph_of(f"N: {{type: async_request, capability_id: cap, {keys}}}\n{behind}{REST.lstrip()}")

    result = await perform(graph.nodes["N"], Visit(graph=graph, number=1, context={}, now=0), replying("ERROR"))

    assert (result.label or "fails", result.failed) == (way, way == "fails")
    assert result.patch.items() >= {**REPLY_PATCH, "status": "ERROR"}.items()
    if way != "on_response":
        assert result.patch["_internalError"] == "cap answered ERROR: BAD"
        assert result.patch["_errorNode"] == "N"


@pytest.mark.parametrize(
    ("keys", "way"),
    [
        ("on_timeout: Y, on_failure: X", "on_timeout"),
        ("on_failure: X", "on_failure"),
        ("on_timeout: Y", "on_timeout"),
        ("", ""),
    ],
)
async def test_a_timeout_takes_on_timeout_else_on_failure(keys: str, way: str) -> None:
    """Without either the instance fails; the reason has the length."""
    host = ScriptedHost(on_request=lambda r: Answer(kind="timeout", at=5))

    result = await performed(f"{{type: async_request, capability_id: cap, on_response: E, timeout: 90s, {keys}}}", host)

    assert (result.label, result.failed) == (way, not way)
    assert result.patch["_internalError"] == "no reply from cap within 90 s"


async def test_what_cannot_be_sent_takes_on_failure() -> None:
    """on_timeout is not for it."""
    host = ScriptedHost(on_request=lambda r: Answer(kind="unsendable", at=5, reason="no queue"))

    result = await performed(
        "{type: async_request, capability_id: cap, on_response: E, on_timeout: Y, on_failure: X}", host
    )

    assert (result.label, result.patch["_internalError"], result.cause["kind"]) == (
        "on_failure",
        "no queue",
        "unsendable",
    )


RETRY = (
    "{type: async_request, capability_id: cap, on_response: E, on_failure: X, on_timeout: Y, timeout: 1m, retry: %s}"
)


def answering(*answers: Answer) -> ScriptedHost:
    left = list(answers)
    return ScriptedHost(clock=ManualClock(1000), on_request=lambda r: left.pop(0))


def error(code: str, at: int = 1000) -> Answer:
    return Answer(kind="reply", at=at, status="ERROR", payload={"messages": [{"code": code}, "noise", {"no": 1}]})


async def test_attempts_pause_and_back_off_from_the_recorded_time() -> None:
    """Each attempt is a new request; pauses count from the answer's time, so a replay waits no longer."""
    host = answering(
        error("A", 5_000), Answer(kind="timeout", at=50_000), Answer(kind="unsendable", at=90_000, reason="r")
    )

    result = await performed(RETRY % "{max_attempts: 3, delay: 10s, backoff: 3, max_delay: 20s}", host)

    assert [request.attempt for request in host.requests] == [1, 2, 3]
    assert host.slept_until == [15_000, 70_000]
    assert (result.label, result.cause["attempt"]) == ("on_failure", 3)


@pytest.mark.parametrize(
    ("on", "first", "attempts"),
    [
        ("[TEMPORARY]", error("TEMPORARY"), 2),
        ("[TEMPORARY]", error("OTHER"), 1),
        ("[TIMEOUT]", Answer(kind="timeout", at=1), 2),
        ("[TEMPORARY]", Answer(kind="timeout", at=1), 1),
        ("[TIMEOUT]", Answer(kind="unsendable", at=1, reason="r"), 1),
        ("[]", error("TEMPORARY"), 1),
    ],
)
async def test_only_named_codes_are_tried_again(on: str, first: Answer, attempts: int) -> None:
    """``on`` lists codes of an ERROR's messages, and TIMEOUT; without it everything is tried again."""
    host = answering(first, Answer(kind="reply", at=2))

    result = await performed(RETRY % f"{{max_attempts: 5, on: {on}}}", host)

    assert len(host.requests) == attempts
    assert (result.label == "on_response") == (attempts == 2)


async def test_a_success_ends_the_attempts() -> None:
    """And a superseded request of an earlier try counts for nobody."""
    host = answering(Answer(kind="superseded", at=1), error("A"), Answer(kind="reply", at=3, payload={"k": 1}))

    result = await performed(RETRY % "{max_attempts: 2}", host)

    assert [request.attempt for request in host.requests] == [1, 2, 3]
    assert (result.label, result.patch["k"]) == ("on_response", 1)


async def test_a_new_try_goes_on_counting_attempts() -> None:
    """The host knows the last attempt that an earlier try of the task used up."""
    host = ScriptedHost(on_request=lambda r: Answer(kind="reply", at=1), first_attempts={"N#1": 4})

    await performed(RETRY % "{max_attempts: 2}", host)

    assert [request.attempt for request in host.requests] == [4]


# --- calls ---------------------------------------------------------------------------------------------------


async def test_a_sync_call_merges_its_declared_outputs() -> None:
    """What was not declared is left out; the function learns the last reply and a stable key."""
    host = ScriptedHost(on_call=lambda c: {"a": 1, "b": None, "extra": 3})

    result = await performed(
        "{type: sync_call, capability_id: fn, input_keys: [x], output_keys: [a, b], on_success: E}",
        host,
        {"x": 1, "_y": 2},
        last_reply={"r": 1},
    )

    assert (result.label, result.patch) == ("on_success", {"a": 1, "b": None})
    assert host.calls == [
        Call(
            node="N", capability_id="fn", context={"x": 1}, outputs=("a", "b"), last_reply={"r": 1}, instance_id="i",
            correlation_id="c", request_key="i/N/1", attempt=1, idempotency_key="i/N/1",
        )
    ]  # fmt: skip


async def test_without_declared_outputs_everything_is_merged() -> None:
    """An empty list declares that nothing is."""
    host = ScriptedHost(on_call=lambda c: {"a": 1})

    everything = await performed("{type: sync_call, capability_id: fn, on_success: E}", host)
    nothing = await performed("{type: sync_call, capability_id: fn, output_keys: [], on_success: E}", host)

    assert (everything.patch, nothing.patch) == ({"a": 1}, {})


async def test_a_missing_output_is_a_failure_that_names_it() -> None:
    """With what was delivered instead."""
    host = ScriptedHost(on_call=lambda c: {"other": 1})

    result = await performed(
        "{type: sync_call, capability_id: fn, output_keys: [a, b], on_success: E, on_failure: X}", host
    )

    assert result.label == "on_failure"
    assert "did not deliver a, b" in result.patch["_internalError"]
    assert "delivered: other" in result.patch["_internalError"]


async def test_calls_are_tried_again() -> None:
    """``on`` names error codes; the attempt is told to the function."""
    seen: list[int] = []

    def flaky(call: Call) -> Mapping[str, Any]:
        seen.append(call.attempt)
        if call.attempt < 3:
            raise CapabilityError("not yet")
        return {}

    node = "{type: sync_call, capability_id: fn, on_success: E, on_failure: X, retry: %s}"
    host = ScriptedHost(clock=ManualClock(0), on_call=flaky)
    result = await performed(node % "{max_attempts: 3, delay: 2s, on: [CCH-C000]}", host)
    refused = await performed(node % "{max_attempts: 3, on: [TIMEOUT]}", ScriptedHost(on_call=flaky))

    assert (result.label, seen) == ("on_success", [1, 2, 3, 1])
    assert host.slept_until == [2_000, 4_000]
    assert refused.label == "on_failure"


async def test_a_call_that_takes_too_long_takes_on_timeout() -> None:
    """The clock is the event loop's; a few milliseconds stand for minutes."""

    class Slow(ScriptedHost):
        async def call(self, call: Call) -> Mapping[str, Any]:
            await asyncio.Event().wait()
            return {}

    result = await performed(
        "{type: sync_call, capability_id: fn, on_success: E, on_timeout: Y, timeout: 10ms}", Slow()
    )

    assert result.label == "on_timeout"
    assert result.patch["_internalError"] == "'N' took longer than 0.01 s"


async def test_each_attempt_of_a_call_takes_a_place_and_leaves_it() -> None:
    """Not for the pause between two, in which others may call; a function of the library needs none."""
    taken: list[str] = []

    class Crowded(ScriptedHost):
        @asynccontextmanager
        async def place(self) -> AsyncIterator[None]:
            taken.append("taken")
            try:
                yield
            finally:
                taken.append("left")

        async def call(self, call: Call) -> Mapping[str, Any]:
            taken.append("called")
            raise CapabilityError("busy")

        async def sleep_until(self, when: int) -> None:
            taken.append("paused")

    node = "{type: sync_call, capability_id: fn, retry: {max_attempts: 2}, on_success: E, on_failure: X}"
    await performed(node, Crowded())
    assert taken == ["taken", "called", "left", "paused", "taken", "called", "left"]

    taken.clear()
    node = "{type: library_call, library_function_id: l, parameters: {}, output_key: a, on_success: E, on_failure: X}"
    await performed(node, Crowded())
    assert taken == []


async def test_a_library_call_puts_its_value_at_a_dotted_path() -> None:
    """It gets the parameters and the whole context."""
    seen: list[Any] = []

    class Library(ScriptedHost):
        async def library(
            self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
        ) -> Any:
            seen.append((function_id, parameters, context))
            return 7

    node = "{type: library_call, library_function_id: 'core#x', parameters: {p: 1}, output_key: a.b, on_success: E}"
    result = await performed(node, Library(), {"k": 1})

    assert (result.label, result.patch) == ("on_success", {"a": {"b": 7}})
    assert seen == [("core#x", {"p": 1}, {"k": 1})]


async def test_a_library_call_that_fails_takes_on_failure() -> None:
    """The reason is what the function says."""

    class Broken(ScriptedHost):
        async def library(
            self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
        ) -> Any:
            raise CapabilityError("no match")

    node = "{type: library_call, library_function_id: l, parameters: {}, output_key: a, on_success: E, on_failure: X}"

    assert (await performed(node, Broken())).patch["_internalError"] == "no match"


@pytest.mark.parametrize(("rules", "label"), [(FIRST, "on_success"), (NEWEST, "on_timeout")])
@pytest.mark.parametrize("kind", ["sync_call", "library_call"])
async def test_a_timeout_of_nothing_is_up_at_once(kind: str, rules: int, label: str) -> None:
    """As at nodes that wait; the first rules took it for no limit."""
    what = {"sync_call": "capability_id: a", "library_call": "library_function_id: l, parameters: {}, output_key: k"}
    node, visit = visit_of(f"{{type: {kind}, {what[kind]}, timeout: 0s, on_success: E, on_timeout: X}}")
    graph = replace(visit.graph, definition=replace(visit.graph.definition, reading_rules=rules))

    host = ScriptedHost()
    result = await perform(node, replace(visit, graph=graph), host)

    assert result.label == label
    # None: whoever makes the call has to give up by himself if nobody answers.
    assert [call.timeout for call in host.calls] == ([None] if (kind, rules) == ("sync_call", FIRST) else [])


@pytest.mark.parametrize(
    ("retry", "pause"),
    [
        (Retry(max_attempts=100, delay=60.0, backoff=1e308, max_delay=300.0), 300.0),
        (Retry(max_attempts=100, delay=60.0, backoff=1e308), LONGEST),
        (Retry(max_attempts=100, delay=0.0, backoff=1e308), 0.0),
        (Retry(max_attempts=100, delay=5.0, backoff=2.0, max_delay=60.0), 60.0),
    ],
)
def test_a_pause_never_overflows(retry: Retry, pause: float) -> None:
    """However large the factor is: the longest delay bounds it, and else a century."""
    assert retry.pause(99) == pause


@pytest.mark.parametrize(
    ("date", "zone", "at"),
    [
        ("2026-01-31T10:00:00", "", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10:00:00", ", timezone: Europe/Brussels", "2026-01-31T09:00:00.000Z"),
        ("2026-01-31T10:00:00Z", ", timezone: Europe/Brussels", "2026-01-31T10:00:00.000Z"),
        ("9999-12-31T23:59:59", "", "9999-12-31T23:59:59.000Z"),
        ("0001-01-01T00:00:00", "", "0001-01-01T00:00:00.000Z"),
    ],
)
async def test_a_date_is_a_moment(date: str, zone: str, at: str) -> None:
    """In its own zone, else in the one that the node names, else in UTC."""
    node = f"type: scheduled_request, capability_id: a, schedule_parameters: {{date_context_key: d{zone}}}"

    result = await performed(f"{{{node}, on_success: E, on_response: E, on_failure: X}}", ScriptedHost(), {"d": date})

    assert (result.label, result.cause["at"]) == ("on_success", at)


@pytest.mark.parametrize(
    "date", ["9999-12-31T23:59:59.9999999", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00", "soon", 7, None]
)
async def test_a_date_that_is_no_moment_is_a_failure(date: object) -> None:
    """At the edge of the calendar as well: no exception that ends the region."""
    node = "type: scheduled_request, capability_id: a, schedule_parameters: {date_context_key: d}"

    result = await performed(f"{{{node}, on_success: E, on_response: E, on_failure: X}}", ScriptedHost(), {"d": date})

    assert result.label == "on_failure"
    assert str(result.patch["_internalError"]).startswith("d is ")


@pytest.mark.parametrize("path", ["orders.lines", "orders.7"])
async def test_what_cannot_be_written_is_a_failure(path: str) -> None:
    """At every type of node that writes at a path."""
    context = {"orders": [{"lines": [{"id": 1}]}]}
    nodes = [
        f"type: library_call, library_function_id: l, parameters: {{}}, output_key: {path}",
        f"type: set_state, static_outputs: {{{path}: 1}}",
    ]

    for node in nodes:
        record, visit = visit_of(f"{{{node}, on_success: E, on_failure: X}}", context)
        result = evaluate(record, visit) if record.effect == "instant" else await perform(record, visit, ScriptedHost())
        assert result.label == "on_failure"
        assert "stands a list of 1 item" in str(result.patch["_internalError"])


@pytest.mark.parametrize(
    ("on", "tries", "slept"),
    [("[HTTP_429]", 2, 90_000), ("[HTTP_4XX]", 2, 90_000), ("[HTTP_503]", 1, None), ("[TIMEOUT]", 1, None)],
)
async def test_a_status_is_a_code_that_a_retry_can_name(on: str, tries: int, slept: int | None) -> None:
    """The pause is as long as the server asks for, if that is longer."""

    def refuse(_: Call) -> Mapping[str, Any]:
        raise CapabilityError("answered 429", codes=("HTTP_429", "HTTP_4XX"), retry_after=90.0)

    host = ScriptedHost(on_call=refuse)
    retry = f"retry: {{max_attempts: 2, delay: 5s, 'on': {on}}}"
    await performed(f"{{type: sync_call, capability_id: a, {retry}, on_success: E, on_failure: X}}", host)

    assert len(host.calls) == tries
    assert host.slept_until == ([slept] if slept else [])
