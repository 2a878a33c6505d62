"""What one task must execute whatever surrounds it: loops, what goes on beside a schedule, a workflow's levels."""

from __future__ import annotations

from workflows import graph_of

from cch.graph.model import Graph
from cch.graph.plan import plan_tasks
from cch.graph.regions import plan_regions

WORKFLOW = {"execution": {"granularity": "workflow"}}


def layout(graph: Graph) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {head: (region.kind, region.nodes) for head, region in plan_regions(graph).items()}


def test_a_workflow_that_calls_nobody_is_one_task() -> None:
    """Waits, decisions, a loop, a failed end: all of it in the triggerer."""
    graph = graph_of(
        "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: condition, condition_on_key: k, branches: {again: A, bad: X, _default: W}}\n"
        "W: {type: event_wait, on_event: E}\nX: {type: end, status: failed}\nE: {type: end}",
        **WORKFLOW,
    )

    plan = plan_tasks(graph)

    assert layout(graph) == {"S": ("wait", ("S", "A", "B", "W", "X", "E"))}
    assert [(task.task_id, task.label) for task in plan.tasks.values()] == [("S", "A ↻ W")]


def test_a_call_keeps_its_worker_and_parts_the_waits_around_it() -> None:
    """What is before it and what is behind it are a task each; what it alone decides it evaluates itself."""
    graph = graph_of(
        "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: event_wait, on_event: F}\nF: {type: sync_call, capability_id: f, on_success: C}\n"
        "C: {type: condition, condition_on_key: k, branches: {x: D, _default: E}}\n"
        "D: {type: async_request, capability_id: d, on_response: E}\nE: {type: end}",
        **WORKFLOW,
    )

    assert layout(graph) == {
        "S": ("wait", ("S", "A", "B")),
        "F": ("call", ("F", "C")),
        "D": ("wait", ("D",)),
    }


def test_a_call_beside_a_wait_is_made_in_the_triggerer() -> None:
    """In a task of its own it would begin only when the wait in the other branch is over."""
    graph = graph_of(
        "F: {type: fork, branches: [W, C]}\nW: {type: event_wait, on_event: W2}\nW2: {type: end_branch}\n"
        "C: {type: sync_call, capability_id: c}\nJ: {type: join, join_branches: [W, C], on_success: L}\n"
        "L: {type: sync_call, capability_id: l, on_success: E}\nE: {type: end}",
        **WORKFLOW,
    )

    assert layout(graph) == {"F": ("wait", ("F", "W", "W2", "C", "J")), "L": ("call", ("L", "E"))}


def test_a_first_call_carries_the_instant_nodes_before_it() -> None:
    """A level that waits for nothing needs no task."""
    graph = graph_of(
        "S: {type: entry, next: C}\nC: {type: sync_call, capability_id: c, on_success: A}\n"
        "A: {type: async_request, capability_id: a, on_response: E}\nE: {type: end}",
        **WORKFLOW,
    )

    assert layout(graph) == {"C": ("call", ("S", "C")), "A": ("wait", ("A", "E"))}


def test_both_layouts_stop_the_same_nodes_when_one_fails() -> None:
    """A definition means the same, however it is laid out."""
    nodes = (
        "F: {type: fork, branches: [A, B]}\nA: {type: async_request, capability_id: a, on_response: C}\n"
        "B: {type: async_request, capability_id: b, on_response: D}\nC: {type: end}\nD: {type: end}"
    )

    assert plan_tasks(graph_of(nodes, **WORKFLOW)).domains == plan_tasks(graph_of(nodes)).domains


def test_what_goes_on_beside_a_schedule_is_in_its_region() -> None:
    """A task behind the request's would begin only after the reply, days later."""
    graph = graph_of(
        "S: {type: scheduled_request, capability_id: s, schedule_parameters: {date_context_key: d}, on_success: A,"
        " on_response: R}\n"
        "A: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: condition, condition_on_key: k, branches: {again: A, _default: M}}\n"
        "R: {type: set_state, on_success: M}\nM: {type: set_state, on_success: E}\nE: {type: end}"
    )

    plan = plan_tasks(graph)

    assert layout(graph) == {"S": ("wait", ("S", "A", "B", "R", "M", "E"))}
    assert sorted(plan.tasks) == ["E", "M", "R", "S"]  # the loop has no task of its own


def test_a_schedule_that_nothing_goes_on_beside_is_alone() -> None:
    """Instant nodes need no block: the region carries them anyway."""
    graph = graph_of(
        "S: {type: scheduled_request, capability_id: s, schedule_parameters: {date_context_key: d}, on_success: E,"
        " on_response: A}\nA: {type: async_request, capability_id: a, on_response: E}\nE: {type: end}"
    )

    assert layout(graph) == {"S": ("wait", ("S",)), "A": ("wait", ("A",))}


def test_another_branch_is_not_drawn_into_a_schedule_s_region() -> None:
    """Then the schedule would not be set before that branch is done."""
    graph = graph_of(
        "F: {type: fork, branches: [S, B]}\n"
        "S: {type: scheduled_request, capability_id: s, schedule_parameters: {date_context_key: d}, on_success: J,"
        " on_response: E}\n"
        "B: {type: async_request, capability_id: b, on_response: J}\n"
        "J: {type: join, join_branches: [S, B], on_success: A}\n"
        "A: {type: async_request, capability_id: a, on_response: E}\nE: {type: end}"
    )

    assert layout(graph)["S"][1] == ("S",)


def test_a_map_in_a_block_has_no_tasks_for_its_items() -> None:
    """In a loop, with granularity workflow, and where the definition says inline."""
    body = "I: {type: end_branch}\nJ: {type: join, join_branches: [M], on_success: E}\nE: {type: end}\n"
    plain = "M: {type: map_fork, input_list_key: l, branch_key: id, branch_entry_node: I%s}\n" + body
    loop = (
        plain.replace("on_success: E", "on_success: C")
        + "C: {type: condition, condition_on_key: k, branches: {x: M, _default: E}}\n"
    )

    assert plan_regions(_root(graph_of(plain % "")))["M"].mapped
    assert not plan_regions(_root(graph_of(plain % ", execution: inline")))["M"].mapped
    assert not plan_regions(_root(graph_of(plain % "", **WORKFLOW)))["M"].mapped
    assert not plan_regions(_root(graph_of(loop % ", execution: mapped")))["M"].mapped


def _root(graph: Graph) -> Graph:
    return plan_tasks(graph).graph


def test_a_map_is_three_tasks() -> None:
    """Airflow maps over the list's keys; the results run whatever the items' ends."""
    plan = plan_tasks(
        graph_of(
            "P: {type: async_request, capability_id: p, on_response: M}\n"
            "M: {type: map_fork, input_list_key: l, branch_key: id, branch_entry_node: I, title: Packs}\n"
            "I: {type: end_branch, title: Pack}\nJ: {type: join, join_branches: [M], on_success: E}\nE: {type: end}"
        )
    )

    shown = {task_id: (task.kind, task.rule, task.label) for task_id, task in plan.tasks.items() if "M" in task_id}
    assert shown == {
        "M": ("list", "none_failed_min_one_success", "Packs"),
        "M__items": ("item", "none_failed_min_one_success", "Pack"),
        "M__results": ("region", "all_done", "Packs: results"),
    }
    assert {("P", "M"), ("M", "M__items"), ("M__items", "M__results"), ("M__results", "J")} <= plan.edges
