"""Why an instance failed: the failure that led to its end, and not one that was handled before."""

from __future__ import annotations

import pytest

from cch.graph.checks import load
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

HEAD = "workflow_id: w\nworkflow_name: W\nentry_point: A\nnodes:\n"
REPORT = "  R: {type: sync_call, capability_id: r, input_keys: [internalError], on_success: F}\n"
ENDS = "  F: {type: end, status: failed}\n  E: {type: end}\n"
BROKEN = "[{status: ERROR, payload: {messages: [{code: BROKEN}]}}]"


def call(name: str, ways: str) -> str:
    return f"  {name}: {{type: sync_call, capability_id: {name.lower()}, {ways}}}\n"


def reason(nodes: str, capabilities: str) -> str:
    result = simulate(load(f"{HEAD}{nodes}{ENDS}"), read_scenario(f"capabilities: {capabilities}"))
    assert result.status == "failed"
    return str(result.errors[-1]["message"])


@pytest.mark.parametrize(
    ("nodes", "capabilities", "names_a"),
    [
        (call("A", "on_success: E, on_failure: F"), f"{{a: {BROKEN}}}", True),
        (call("A", "on_success: E, on_failure: R") + REPORT, f"{{a: {BROKEN}, r: [{{}}]}}", True),
        (
            call("A", "on_success: B, on_failure: R") + call("B", "on_success: E, on_failure: R") + REPORT,
            f"{{a: {BROKEN}, b: [{{}}], r: [{{}}]}}", True,
        ),
        (
            call("A", "on_success: C, on_failure: B") + call("B", "on_success: C")
            + "  C: {type: condition, condition_on_key: k, branches: {ok: E, _default: F}}\n",
            f"{{a: {BROKEN}, b: [{{}}]}}", False,
        ),
        (
            call("A", "on_success: C, on_failure: B") + call("B", "on_success: A")
            + "  C: {type: condition, condition_on_key: k, branches: {ok: E, _default: F}}\n",
            "{a: [{status: ERROR, payload: {messages: [{code: BROKEN}]}}, {}], b: [{}]}", False,
        ),
    ],
    ids=["at once", "reported first", "one handler for several", "made up for elsewhere", "tried again"],
)  # fmt: skip
def test_a_failure_that_was_handled_is_no_reason_later(nodes: str, capabilities: str, names_a: bool) -> None:
    """Handled is what the way has come back from to where it would have gone without it."""
    found = reason(nodes, capabilities)

    assert found.startswith("ended at 'F' as failed")
    assert ("BROKEN" in found) is names_a
