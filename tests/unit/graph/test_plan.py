"""Which task executes which node, how tasks depend on each other, and that the same input gives the same plan."""

from __future__ import annotations

import json

import networkx as nx
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import Scenario, scenarios
from workflows import definition_text, graph_of

from cch.definition.reader import read_definition
from cch.graph.build import build_graph
from cch.graph.plan import Plan, plan_tasks
from cch.graph.regions import carriers, plan_regions

MODERATE = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def plan_of(nodes: str, **top: object) -> Plan:
    return plan_tasks(graph_of(nodes, **top))


def after(plan: Plan, task_id: str) -> list[str]:
    return sorted(before for before, task in plan.edges if task == task_id)


def test_instant_nodes_are_carried_by_the_region_that_decides_about_them() -> None:
    """A request evaluates everything behind it that needs nobody else."""
    regions = plan_regions(
        graph_of(
            "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: C}\n"
            "C: {type: condition, condition_on_key: k, branches: {x: X, y: E}}\n"
            "X: {type: set_state, on_success: E}\nE: {type: end}"
        )
    )

    assert {head: (region.kind, region.nodes) for head, region in regions.items()} == {
        "A": ("wait", ("S", "A", "C", "X", "E")),
    }


def test_a_merge_of_several_regions_is_a_region_by_itself() -> None:
    """A decision that two tasks lead to is taken in the triggerer."""
    regions = plan_regions(
        graph_of(
            "F: {type: fork, branches: [A, B]}\nA: {type: sync_call, capability_id: a, on_success: C}\n"
            "B: {type: sync_call, capability_id: b, on_success: C}\n"
            "C: {type: condition, condition_on_key: k, branches: {x: D, _default: E}}\n"
            "D: {type: end}\nE: {type: end}"
        )
    )

    assert (regions["C"].kind, regions["C"].nodes) == ("instant", ("C", "D", "E"))


def test_a_successful_end_of_several_regions_needs_nobody() -> None:
    """Reaching it is all it does; a failed one must fail its task."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: sync_call, capability_id: a, on_success: E, on_failure: X}\n"
        "B: {type: sync_call, capability_id: b, on_success: E, on_failure: X}\n"
        "E: {type: end}\nX: {type: end, status: failed}"
    )

    carrier = carriers(plan_regions(graph))

    assert "E" not in carrier
    assert carrier["X"] == "X"
    assert plan_tasks(graph).tasks["E"].kind == "marker"


def test_a_loop_is_one_region_with_one_task() -> None:
    """The nodes of a loop share the task of its first node; what is behind it is shown as elsewhere."""
    plan = plan_of(
        "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: condition, condition_on_key: k, branches: {again: A, stop: M}}\n"
        "M: {type: set_state, on_success: E}\nE: {type: end}"
    )

    assert plan.regions["A"].cyclic
    assert plan.task_of["B"] == plan.task_of["A"] == "A"
    assert "B" not in plan.tasks
    assert plan.tasks["M"].kind == "marker"


def test_a_choice_into_a_shared_node_passes_a_gate() -> None:
    """Airflow skips a task as soon as one finished branching parent did not choose it."""
    plan = plan_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: sync_call, capability_id: a, on_success: A2, on_failure: L}\n"
        "B: {type: sync_call, capability_id: b, on_success: E, on_failure: L}\n"
        "A2: {type: sync_call, capability_id: a, on_success: E}\n"
        "L: {type: log_error, default_error_code: E, default_message: m, on_success: E}\nE: {type: end}"
    )

    assert after(plan, "L") == ["A__on_failure", "B__on_failure"]
    assert after(plan, "A2") == ["A"]
    assert plan.tasks["A__on_failure"].kind == "gate"
    assert after(plan, "E") == ["A2", "B__on_success", "L"]


def test_a_branch_with_several_last_nodes_has_an_or_before_the_join() -> None:
    """Of a branch's last nodes only one is reached; of the branches all must be."""
    plan = plan_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: condition, condition_on_key: k, branches: {x: A1, y: A2}}\nA1: {type: end_branch}\n"
        "A2: {type: end_branch}\nB: {type: end_branch}\nJ: {type: join, join_branches: [A, B], on_success: E}\n"
        "E: {type: end}"
    )

    assert after(plan, "J__A") == ["A1", "A2"]
    assert after(plan, "J") == ["B", "J__A"]
    assert plan.tasks["J"].rule == "all_success"
    assert plan.tasks["J__A"].rule == "none_failed_min_one_success"


def test_a_join_of_several_regions_waits_for_all_of_them() -> None:
    """With all_success Airflow would skip it, and go on behind it, while a branch is still under way."""
    plan = plan_of(
        "F: {type: fork, branches: [A, B]}\nA: {type: sync_call, capability_id: a}\n"
        "B: {type: sync_call, capability_id: b}\nJ: {type: join, join_branches: [A, B], on_success: C}\n"
        "C: {type: condition, condition_on_key: k, branches: {x: E}}\nE: {type: end}"
    )

    assert plan.tasks["J"].kind == "region"
    assert plan.tasks["J"].rule == "none_failed_min_one_success"


def test_titles_label_tasks_and_names_identify_them() -> None:
    """Airflow's characters in the id, the author's words in the label; ids stay unique."""
    plan = plan_of("A b: {type: entry, title: 'Ä ö', next: A_b}\nA_b: {type: entry, next: E}\nE: {type: end}")

    assert [(task.task_id, task.label) for task in plan.tasks.values()] == [
        ("A_b", "Ä ö"),
        ("A_b_2", "A_b"),
        ("E", "E"),
    ]


def test_unreachable_nodes_have_no_task() -> None:
    """They are a warning, not a task that waits for ever."""
    plan = plan_of(
        "A: {type: entry, next: E}\nE: {type: end}\nLost: {type: sync_call, capability_id: a, on_success: E}"
    )

    assert "Lost" not in plan.tasks
    assert "Lost" not in plan.regions


def test_the_digest_ignores_what_does_not_change_the_structure() -> None:
    """Titles, values, capabilities and the order of nodes; a new way out changes it."""
    text = definition_text(
        "A: {type: sync_call, capability_id: a, on_success: B}\n"
        "B: {type: set_state, static_outputs: {x: 1}, on_success: E}\n"
        "E: {type: end}"
    )
    raw = yaml.safe_load(text)
    raw["nodes"] = dict(reversed(raw["nodes"].items()))
    raw["nodes"]["B"] |= {"static_outputs": {"x": 2}, "title": "new"}
    raw["nodes"]["A"]["capability_id"] = "z"

    def digest(definition: str) -> str:
        return plan_tasks(build_graph(read_definition(definition))).structure_digest

    same = digest(json.dumps(raw))
    raw["nodes"]["A"]["on_failure"] = "E"
    raw["nodes"]["B"]["on_success"] = "C"
    raw["nodes"]["C"] = {"type": "end"}

    assert digest(text) == same
    assert digest(json.dumps(raw)) != same


@given(scenario=scenarios())
@MODERATE
def test_every_plan_is_a_dag_over_all_reachable_nodes(scenario: Scenario) -> None:
    """Each reachable node has one task and at most one region, and no task waits for itself."""
    graph = build_graph(scenario.definition)
    plan = plan_tasks(graph)

    tasks: nx.DiGraph[str] = nx.DiGraph(sorted(plan.edges))
    executed = [name for region in plan.regions.values() for name in region.nodes]
    assert nx.is_directed_acyclic_graph(tasks)
    assert set(plan.task_of) == graph.reachable
    assert len(executed) == len(set(executed))
    assert {task for edge in plan.edges for task in edge} <= set(plan.tasks)
    starts = [task for task in plan.tasks if not after(plan, task)]
    assert starts == [next(t for t in plan.tasks if t in starts)], "one task begins the run"


@given(scenario=scenarios(), data=st.data())
@MODERATE
def test_the_order_of_nodes_does_not_change_the_plan(scenario: Scenario, data: st.DataObject) -> None:
    """An analyst may sort the file; tasks, edges and digest stay."""
    raw = json.loads(scenario.definition.text)
    shuffled = {**raw, "nodes": dict(data.draw(st.permutations(list(raw["nodes"].items()))))}

    plans = [plan_tasks(build_graph(read_definition(json.dumps(text)))) for text in (raw, raw, shuffled)]

    first, again, other = plans
    assert first.structure_digest == again.structure_digest == other.structure_digest
    assert (first.edges, set(first.tasks)) == (other.edges, set(other.tasks))
