"""A definition of 500 nodes: checked, laid out and simulated like a small one."""

from __future__ import annotations

import pytest
from workflows import BLOCKS, large_definition

from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.plan import plan_tasks
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate


@pytest.fixture(scope="module")
def text() -> str:
    return large_definition()


def test_it_is_checked_and_laid_out(text: str) -> None:
    """Every node has its task, every loop its region, and the plan is the same each time."""
    definition, problems = check(text, "large.yaml")
    assert definition is not None, problems
    assert len(definition.nodes) == 10 * BLOCKS + 2

    plan = plan_tasks(build_graph(definition))

    assert sum(region.cyclic for region in plan.regions.values()) == BLOCKS
    assert set(plan.task_of) == set(definition.nodes)
    assert plan.structure_digest == plan_tasks(build_graph(definition)).structure_digest


def test_it_is_simulated(text: str) -> None:
    """From the first to the last of its nodes, with the first correction on the way."""
    definition, _ = check(text, "large.yaml")
    assert definition is not None
    scenario = read_scenario(
        "capabilities:\n  a#x: [{status: ERROR, payload: {}}, {payload: {}, after: 1m}]\n"
        "  b#x: [{after: 1m, payload: {}}]\n"
        "events: [{after: 1h, payload: {messages: []}}]"
    )

    result = simulate(definition, scenario)

    assert result.status == "completed"
    assert len(result.visited) == 8 * BLOCKS + 4 + 1
    assert result.elapsed_seconds == 3600 + 2 * 60 * BLOCKS
    assert result.context[f"k_{BLOCKS - 1}"] == BLOCKS - 1
