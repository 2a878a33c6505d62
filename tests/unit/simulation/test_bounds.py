"""The simulator is the real thing without the waiting: the same checks, whole milliseconds, and always an end."""

from __future__ import annotations

import pytest

from cch.capabilities import sync_capability
from cch.graph.checks import load
from cch.interpreter.host import Call
from cch.simulation import bounds
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import Simulated, differences, same, simulate

HEAD = "workflow_id: w\nworkflow_name: W\nentry_point: S\n"
WAIT = "  S: {type: event_wait, event_key: k, timeout: 36500d, on_event: E, on_timeout: F}\n"
ENDS = "  F: {type: end, status: failed}\n  E: {type: end}\n"


def ran(nodes: str, scenario: str = "name: s\n", top: str = "") -> Simulated:
    definition = load(f"{HEAD}{top}nodes:\n{nodes}{ENDS}", "w.yaml")
    return simulate(definition, read_scenario(scenario))


def messages(result: Simulated) -> str:
    return "\n".join(str(error["message"]) for error in result.errors)


@pytest.mark.parametrize("days", [1, 193, 195, 400, 20_000, 36_500])
def test_time_is_whole_milliseconds_however_long_it_takes(days: int) -> None:
    """Beyond 194 days the steps of the clock were lost in its digits, and the simulation hung."""
    result = ran(
        WAIT, f"events: [{{after: {days}d, payload: {{other: 1}}}}, {{after: {days - 0.5}d, payload: {{k: 1}}}}]"
    )

    assert (result.status, result.elapsed_seconds) == ("completed", (days - 0.5) * 86_400)


def test_a_wait_of_a_century_times_out_in_it() -> None:
    """To the millisecond."""
    result = ran(WAIT)

    assert (result.status, result.elapsed_seconds) == ("failed", 36_500 * 86_400)


def test_milliseconds_are_kept_over_many_short_waits() -> None:
    """A thousand waits of 1 ms are a second."""
    result = ran("  S: {type: async_request, capability_id: a, timeout: 1ms, on_response: E, on_failure: S}\n")

    assert result.elapsed_seconds == 1.0


def test_a_node_that_fails_into_itself_ends() -> None:
    """The visit after the last fails the instance, also where ``on_failure`` leads back to it."""
    result = ran(
        "  S: {type: async_request, capability_id: a, timeout: 1s, max_visits: 5, on_response: E, on_failure: S}\n"
    )

    assert result.status == "failed"
    assert len(result.visited) == 6
    assert "visited more than 5 times" in messages(result)


@pytest.mark.parametrize(
    ("bound", "value", "words"),
    [
        ("MAX_VISITS", 50, "after 50 visits"),
        ("MAX_STEPS", 300, "after 300 steps"),
        ("MAX_WRITTEN", 2**20, "1 MiB of memory"),
    ],
)
def test_what_goes_on_for_ever_says_which_bound_it_met(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int, words: str
) -> None:
    """Visits, steps or memory: never gigabytes and hours."""
    monkeypatch.setattr(bounds, bound, value)

    @sync_capability("t#grows")
    def grows(call: Call) -> dict[str, object]:
        return {"text": "x" * 10_000}

    result = ran("  S: {type: sync_call, capability_id: t#grows, max_visits: 1000000, on_success: S, on_failure: E}\n")

    assert result.status == "stopped"
    assert words in messages(result)


@pytest.mark.parametrize(
    ("top", "scenario", "words"),
    [
        ("initial_context: [shipmentId]\n", "name: s\n", "required key 'shipmentId' is missing"),
        ("initial_context: {n: {type: integer}}\n", "context: {n: x}", "'n': 'x' is not of type 'integer'"),
        ("", "lists: {l: {count: 120000, item: 1234567890}}", "more than the 1048576 allowed"),
    ],
)
def test_a_start_is_checked_as_the_real_one(top: str, scenario: str, words: str) -> None:
    """What would be rejected is, by the same functions."""
    result = ran(WAIT, scenario, top)

    assert (result.status, result.visited) == ("rejected", ())
    assert words in messages(result)


def test_defaults_of_the_initial_context_hold() -> None:
    """As for every way to start."""
    result = ran("  S: {type: entry, next: E}\n", top="initial_context: {n: {type: integer, default: 3}}\n")

    assert (result.status, result.context) == ("completed", {"n": 3})


def test_a_request_that_is_too_large_is_not_sent() -> None:
    """The node fails as on the real host, with the same words."""
    nodes = (
        "  S: {type: library_call, library_function_id: 's3#read_jsonpath', output_key: big, on_success: T,"
        " parameters: {input_s3_uri_key: u, jsonpath_expression: $}}\n"
        "  T: {type: library_call, library_function_id: 's3#read_jsonpath', output_key: more, on_success: A,"
        " parameters: {input_s3_uri_key: u, jsonpath_expression: $}}\n"
        "  A: {type: async_request, capability_id: a, timeout: 1d, on_response: E, on_failure: F}\n"
    )

    result = ran(
        nodes, f"context: {{u: 's3://b/k'}}\nobjects: {{'s3://b/k': {'x' * 600_000}}}\ncapabilities: {{a: [{{}}]}}"
    )

    assert (result.visited, result.requests) == (("S", "T", "A", "F"), {})
    assert "the request would have" in messages(result)


def test_the_timeout_of_the_workflow_ends_it() -> None:
    """As Airflow ends the run."""
    result = ran(WAIT, top="timeout: 3d\n")

    assert (result.status, result.elapsed_seconds) == ("failed", 3 * 86_400)
    assert "the workflow's timeout of 259200 s is up" in messages(result)


@pytest.mark.parametrize(
    ("raised", "words"),
    [(StopIteration(), "StopIteration"), (SystemExit(3), "SystemExit: 3"), (ValueError("\ud800"), "\\ud800")],
)
def test_whatever_a_function_raises_takes_on_failure(raised: BaseException, words: str) -> None:
    """Also what asyncio or the ledger would stumble over."""

    @sync_capability("t#raises")
    def raises(call: Call) -> dict[str, object]:
        raise raised

    result = ran("  S: {type: sync_call, capability_id: t#raises, on_success: E, on_failure: F}\n")

    assert result.visited == ("S", "F")
    assert words in messages(result)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [(1, True, False), (0, False, False), (1, 1.0, True), ([1], [True], False), ({"a": [0]}, {"a": [False]}, False),
     ({"a": 1}, {"a": 1, "b": 2}, False), (None, False, False), ("1", 1, False), ([1, 2], [1, 2], True)],
)  # fmt: skip
def test_true_is_not_one(one: object, other: object, is_same: bool) -> None:
    """JSON tells them apart, and so does ``expect``."""
    assert same(one, other) is is_same
    assert same(other, one) is is_same


def test_an_expected_one_is_not_met_by_true() -> None:
    """In the context and where things are counted."""
    result = ran("  S: {type: set_state, static_outputs: {flag: true}, on_success: E}\n")

    assert differences(result, {"context": {"flag": 1}}) == ["context flag is True, expected 1"]
    assert differences(result, {"context": {"flag": True}}) == []
