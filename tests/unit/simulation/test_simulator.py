"""Definitions in virtual time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text

from cch.errors import DefinitionError
from cch.graph.checks import load
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import Simulated, differences, simulate

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "scenarios").rglob("*.yaml"))
ASK = """
workflow_id: ask
workflow_name: Ask
entry_point: A
nodes:
  A: {type: async_request, capability_id: x#y, timeout: 1h, on_response: E, on_failure: F, request_output_keys: [k]}
  F: {type: end, status: failed}
  E: {type: end}
"""
LOOP = """
workflow_id: loop
workflow_name: Loop
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: x#y, on_response: Again, max_visits: 2000}
  Again: {type: condition, condition_on_key: go, max_visits: 2000, branches: {"yes": Ask, _default: E}}
  E: {type: end}
"""
WAIT = """
workflow_id: wait
workflow_name: Wait
entry_point: W
nodes:
  W: {type: event_wait, event_key: released, timeout: 1h, on_success: E, on_timeout: T}
  T: {type: set_state, static_outputs: {late: true}, on_success: E}
  E: {type: end}
"""


def run(definition: str, scenario: str = "{}") -> Simulated:
    return simulate(load(definition), read_scenario(scenario, "s.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_scenarios_are_as_expected(path: Path) -> None:
    """Every scenario that the project ships holds."""
    scenario = read_scenario(path.read_text(), str(path))
    definition = load((ROOT / "workflow-definitions" / f"{path.parent.name}.yaml").read_text())
    assert scenario.expect

    assert differences(simulate(definition, scenario), scenario.expect) == []


def test_weeks_pass_in_no_time() -> None:
    """Virtual time jumps from one thing that happens to the next."""
    begun = time.process_time()

    result = run(ASK.replace("1h", "60d"), "capabilities: {x#y: [{after: 30d}]}")

    assert result.elapsed_seconds == 30 * 86_400
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("answer", "status", "messages"),
    [
        ("{payload: {k: 1}}", "completed", {}),
        ("{status: ERROR, payload: {}}", "failed", {}),
        ("{never: true}", "failed", {}),
        ("{after: 2h}", "failed", {"late": 1}),
        ("{after: 2h, duplicate: 3}", "failed", {"late": 3}),
        ("{duplicate: 3}", "completed", {"duplicate": 2}),
        ("{malformed: true}", "failed", {"malformed": 1}),
        ("{echo: false, payload: {}}", "completed", {}),
    ],
)
def test_faults_of_a_capability(answer: str, status: str, messages: dict[str, int]) -> None:
    """Late, repeated, broken and missing answers do to the instance what they do in a real run."""
    result = run(ASK, f"capabilities: {{x#y: [{answer}]}}")

    assert result.status == status
    assert {kind: number for kind, number in result.messages.items() if number} == messages


def test_answers_come_in_order_and_the_last_one_repeats() -> None:
    """Three visits, two answers: the second one counts for the rest."""
    result = run(LOOP, 'capabilities: {x#y: [{payload: {go: "yes"}}, {payload: {go: "yes"}}, {payload: {go: stop}}]}')

    assert result.visited == ("Ask", "Again") * 3 + ("E",)
    assert result.requests == {"x#y": 3}


def test_a_loop_of_a_thousand_visits() -> None:
    """Long loops neither recurse nor slow down."""
    answers = ", ".join(['{payload: {go: "yes"}}'] * 999 + ["{payload: {go: stop}}"])

    result = run(LOOP, f"capabilities: {{x#y: [{answers}]}}")

    assert result.status == "completed"
    assert result.visited.count("Ask") == 1000


def test_a_loop_ends_at_max_visits() -> None:
    """Beyond it the node fails, and says so."""
    text = LOOP.replace("x#y, on_response: Again, max_visits: 2000", "x#y, on_response: Again, max_visits: 7")

    result = run(text, 'capabilities: {x#y: [{payload: {go: "yes"}}]}')

    assert result.status == "failed"
    assert result.requests == {"x#y": 7}
    assert "more than 7 times" in result.errors[-1]["message"]


@pytest.mark.parametrize(
    ("events", "late", "unused"),
    [
        ("[{after: 0s, payload: {released: 1}}]", False, 0),
        ("[{after: 59m, payload: {released: 1}}]", False, 0),
        ("[{after: 61m, payload: {released: 1}}]", True, 0),
        ("[{after: 1m, payload: {other: 1}}]", True, 1),
        ("[{after: 1m, branch: b, payload: {released: 1}}]", True, 1),
        ("[{after: 1m, payload: {released: 1}}, {after: 1m, payload: {released: 2}}]", False, 1),
        ("[]", True, 0),
    ],
)
def test_events_before_during_and_after_the_wait(events: str, late: bool, unused: int) -> None:
    """Only a fitting event in time ends the wait; what nobody took is late."""
    result = run(WAIT, f"events: {events}")

    assert ("T" in result.visited) is late
    assert result.messages["late"] == unused


def test_waiting_for_what_never_comes() -> None:
    """The result says where it hangs."""
    result = run(ASK.replace("timeout: 1h, ", ""), "capabilities: {x#y: [{never: true}]}")

    assert result.status == "waiting"
    assert result.waiting_for == ("A",)


def test_a_capability_without_answers_is_named() -> None:
    """A forgotten answer is an error that says which."""
    result = run(ASK, "{}")

    assert result.errors[-1]["code"] == "UNSCRIPTED"
    assert "x#y" in result.errors[-1]["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("capabilties: {}", "unknown key 'capabilties'"),
        ("capabilities: {a: {}}", "answers must be a list"),
        ("capabilities: {a: [{after: soon}]}", "no duration"),
        ("capabilities: {a: [{status: MAYBE}]}", "status is 'MAYBE'"),
        ("capabilities: {a: [{duplicate: 0}]}", "at least 1"),
        ("events: 3", "events must be a list"),
        ("events: [{when: 3}]", "unknown key 'when'"),
        ("start: monday", "not an ISO 8601 date"),
        ("expect: {visits: []}", "unknown key 'visits'"),
        ("context: [1]", "must be a mapping"),
        ("lists: {a: {item: 1}}", "needs the count"),
        ("lists: {a: {count: 1, each: 2}}", "unknown key 'each'"),
    ],
)
def test_a_bad_scenario_says_what_and_where(text: str, words: str) -> None:
    """Every problem has its file, line and column."""
    with pytest.raises(DefinitionError) as caught:
        read_scenario(text, "s.yaml")

    assert words in str(caught.value)
    assert "s.yaml:1:" in str(caught.value)


def test_a_long_list_is_written_as_one_item() -> None:
    """``lists`` puts numbered items into the context, beside what is there, at a dotted key."""
    scenario = read_scenario(
        "context: {c: {name: x}}\nlists: {c.items: {count: 2, item: {id: 'i-{number}', tags: ['{number}'], w: 3}}}"
    )

    assert scenario.context == {
        "c": {"name": "x", "items": [{"id": "i-1", "tags": ["1"], "w": 3}, {"id": "i-2", "tags": ["2"], "w": 3}]}
    }


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"status": "failed"}, "status is completed, expected failed"),
        ({"visited": ["A"]}, "visited more than expected: E"),
        ({"visited": ["A", "B"]}, "visit 2 is E, expected B"),
        ({"visited": [{"any": ["E", "A"]}]}, ""),
        ({"context": {"k": 2}}, "context k is 1, expected 2"),
        ({"context": {"a.b": 2}}, "context a.b is absent"),
        ({"requests": {"x#y": 2}}, "requests x#y: 1, expected 2"),
        ({"messages": {"late": 1}}, "messages late: 0, expected 1"),
        ({"elapsed": "1h"}, "elapsed 5 s, expected 3600 s"),
        ({"elapsed": "5s"}, ""),
    ],
)
def test_differences_are_named(expect: dict[str, Any], words: str) -> None:
    """A scenario that is not met says how."""
    result = run(ASK, "capabilities: {x#y: [{after: 5s, payload: {k: 1}}]}")

    found = differences(result, expect)

    assert "; ".join(found) == words or (words and words in found[0])


def test_what_the_items_of_a_map_wait_for_is_named() -> None:
    """To say that it waits at the map would help nobody."""
    definition = load(
        definition_text(
            "Fan: {type: map_fork, input_list_key: packs, branch_key: id, branch_entry_node: Wait}\n"
            "Wait: {type: event_wait, on_event: Out}\nOut: {type: end_branch}\n"
            "All: {type: join, join_branches: [Fan], on_success: E}\nE: {type: end}"
        )
    )
    scenario = read_scenario(
        "name: one of two\ncontext: {packs: [{id: a}, {id: b}]}\nevents: [{after: 1h, branch: a, payload: {}}]"
    )

    assert simulate(definition, scenario).waiting_for == ("Wait[b]",)


PARALLEL = """
workflow_id: w
workflow_name: Two maps over items of one list, side by side
entry_point: F
nodes:
  F: {type: fork, branches: [L, R]}
  L: {type: map_fork, input_list_key: orders.0.lines, branch_key: id, branch_entry_node: A}
  A: {type: set_state, static_outputs: {side: left}, on_success: A_End}
  A_End: {type: end_branch}
  L_All: {type: join, join_branches: [L], on_success: L_End}
  L_End: {type: end_branch}
  R: {type: map_fork, input_list_key: orders.1.lines, branch_key: id, branch_entry_node: B}
  B: {type: set_state, static_outputs: {side: right}, on_success: B_End}
  B_End: {type: end_branch}
  R_All: {type: join, join_branches: [R], on_success: R_End}
  R_End: {type: end_branch}
  Both: {type: join, join_branches: [L_End, R_End], on_success: E}
  E: {type: end}
"""


def test_maps_over_items_of_one_list_keep_each_others_results() -> None:
    """The list stays a list, and neither branch takes back what the other has written."""
    scenario = read_scenario("context: {orders: [{no: 1, lines: [{id: x}]}, {no: 2, lines: [{id: y}, {id: z}]}]}")

    result = simulate(load(PARALLEL), scenario)

    assert result.status == "completed"
    assert result.context["orders"] == [
        {"no": 1, "lines": [{"id": "x", "side": "left"}]},
        {"no": 2, "lines": [{"id": "y", "side": "right"}, {"id": "z", "side": "right"}]},
    ]


def test_an_item_that_writes_into_a_list_around_it_brings_the_whole_list() -> None:
    """What is merged into the item is data, and no patch."""
    text = (
        "workflow_id: w\nworkflow_name: W\nentry_point: M\nnodes:\n"
        "  M: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: A}\n"
        "  A: {type: set_state, static_outputs: {orders.0.seen: true}, on_success: Z}\n  Z: {type: end_branch}\n"
        "  J: {type: join, join_branches: [M], on_success: E}\n  E: {type: end}\n"
    )

    result = simulate(load(text), read_scenario("context: {items: [{id: x}], orders: [{no: 1}, {no: 2}]}"))

    assert result.context["items"] == [{"id": "x", "orders": [{"no": 1, "seen": True}, {"no": 2}]}]
    assert result.context["orders"] == [{"no": 1}, {"no": 2}]
