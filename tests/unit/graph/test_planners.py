"""Which planner lays out the tasks of a version, and what its number says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflows import definition_text

from cch.definition.version import FIRST_PLANNER, parse_version
from cch.graph.checks import load
from cch.graph.plan import Plan, plan_of
from cch.graph.planners import (
    AWAITING_PLANNER,
    UnknownPlannerError,
    awaited_by,
    planner_for,
    require_planner,
    version_of,
)

NODES = """
A: {type: sync_call, capability_id: 'http#one', on_success: B}
B: {type: sync_call, capability_id: 'python#two', on_success: C}
C: {type: library_call, library_function_id: 'http#one', parameters: {}, output_key: k, on_success: D}
D: {type: sync_call, capability_id: 'http#one', on_success: E}
E: {type: end}
"""
DEFINITION = load(definition_text(NODES))


def many(number: int) -> str:
    """A definition that calls so many capabilities, one after the other."""
    nodes = [
        f"N{each}: {{type: sync_call, capability_id: 'c#{each:03d}', on_success: N{each + 1}}}"
        for each in range(number)
    ]
    return definition_text("\n".join([*nodes, f"N{number}: {{type: end}}"]), "N0")


def kinds(plan: Plan) -> dict[str, str]:
    return {head: region.kind for head, region in plan.regions.items()}


def test_whoever_awaits_nothing_gets_the_first_planner() -> None:
    """An upgrade, and a setting that is off, change no version."""
    for awaited in ((), {"another#capability"}):
        assert planner_for(DEFINITION, awaited) == FIRST_PLANNER
        assert version_of(DEFINITION, awaited) == version_of(DEFINITION)


def test_the_calls_of_an_awaited_capability_are_no_calls_of_a_worker() -> None:
    """Those of others stay there, and so does a library function that is called the same."""
    plan = plan_of(DEFINITION, planner_for(DEFINITION, {"http#one"}))

    assert kinds(plan_of(DEFINITION)) == dict.fromkeys("ABCD", "call")
    assert kinds(plan) == {"A": "wait", "B": "call", "C": "call", "D": "wait"}
    assert (plan.tasks, plan.edges) == (plan_of(DEFINITION).tasks, plan_of(DEFINITION).edges)
    assert plan.structure_digest != plan_of(DEFINITION).structure_digest


def test_with_one_task_for_all_that_waits_awaited_calls_are_in_it() -> None:
    """Only a call of a worker divides the workflow."""
    both = {"http#one", "python#two"}
    library = "library_call, library_function_id: 'http#one', parameters: {}, output_key: k,"
    called = NODES.replace(library, "sync_call, capability_id: 'http#one',")
    whole = replace(load(definition_text(called)), granularity="workflow")

    assert kinds(plan_of(whole)) == dict.fromkeys("ABCD", "call")
    assert kinds(plan_of(whole, planner_for(whole, {"http#one"}))) == {"A": "wait", "B": "call", "C": "wait"}
    assert kinds(plan_of(whole, planner_for(whole, both))) == {"A": "wait"}
    for awaited in ({"http#one"}, both):
        assert plan_of(whole, planner_for(whole, awaited)).domains == plan_of(whole).domains


@given(st.sets(st.integers(0, 59)), st.integers(1, 60))
def test_a_number_says_which_capabilities_are_awaited(places: set[int], number: int) -> None:
    """In every process, from the text and the number alone; no channel or store may cut it."""
    definition = load(many(number))
    awaited = {f"c#{place:03d}" for place in places}

    planner = planner_for(definition, awaited)

    require_planner(planner)
    assert awaited_by(planner, definition) == frozenset(awaited & set(definition.called[:44]))
    assert planner < 2**53
    assert parse_version(str(version_of(definition, awaited))) == version_of(definition, awaited)


@pytest.mark.parametrize("planner", [0, -1, AWAITING_PLANNER, 3, FIRST_PLANNER + 256, 3 + 256, 2 + (256 << 44)])
def test_a_number_of_a_later_release_is_left_alone(planner: int) -> None:
    """Nothing is guessed of it."""
    with pytest.raises(UnknownPlannerError, match="left alone"):
        plan_of(DEFINITION, planner)


def test_a_number_never_means_something_else() -> None:
    """Stored with instances, triggers and runs: whoever changes it gives live instances other tasks."""
    assert planner_for(DEFINITION, {"http#one"}) == 258
    assert planner_for(DEFINITION, {"python#two"}) == 514
    assert planner_for(DEFINITION, {"http#one", "python#two"}) == 770
