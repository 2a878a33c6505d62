"""Edges that are written, and edges that a join's list implies."""

from __future__ import annotations

import networkx as nx
from hypothesis import HealthCheck, given, settings
from strategies import Scenario, cyclic_scenarios
from workflows import graph_of

from cch.graph.build import build_graph
from cch.graph.model import Graph


def implied(graph: Graph) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.label, edge.target) for edge in graph.edges if edge.implied}


FORK = """
F: {type: fork, branches: [A, B]}
A: {type: sync_call, capability_id: a}
B: {type: set_state, on_success: B_End}
B_End: {type: end_branch}
"""
END = "\nDone: {type: end}\n"


def test_a_branch_named_by_its_first_node_is_closed_by_its_open_end() -> None:
    """A call without on_success, and an end_branch behind a set_state."""
    graph = graph_of(FORK + "J: {type: join, join_branches: [A, B], on_success: Done}" + END)

    assert implied(graph) == {("A", "on_success", "J"), ("B_End", "end_of_branch", "J")}
    assert graph.join_arrivals["J"] == {"A": {"A"}, "B": {"B_End"}}


def test_a_branch_named_by_its_end_branch_is_the_same() -> None:
    """The end_branch is the branch's own last node."""
    graph = graph_of(FORK + "J: {type: join, join_branches: [A, B_End], on_success: Done}" + END)

    assert implied(graph) == {("A", "on_success", "J"), ("B_End", "end_of_branch", "J")}
    assert graph.join_arrivals["J"] == {"A": {"A"}, "B_End": {"B_End"}}


def test_a_written_edge_into_the_join_needs_no_implied_one() -> None:
    """Both forms may be mixed in one join."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: set_state, on_success: J}\n"
        "B: {type: set_state}\n"
        "J: {type: join, join_branches: [A, B], on_success: Done}" + END
    )

    assert implied(graph) == {("B", "on_success", "J")}
    assert graph.join_arrivals["J"] == {"A": {"A"}, "B": {"B"}}


def test_a_branch_may_have_several_last_nodes() -> None:
    """Each way through a condition ends in an open end of its own."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: condition, condition_on_key: k, branches: {x: A1, y: A2}}\n"
        "A1: {type: set_state}\nA2: {type: end_branch}\nB: {type: set_state}\n"
        "J: {type: join, join_branches: [A, B], on_success: Done}" + END
    )

    assert graph.join_arrivals["J"] == {"A": {"A1", "A2"}, "B": {"B"}}


def test_open_ends_belong_to_the_innermost_join() -> None:
    """A branch inside a branch closes the inner join, and what follows that join the outer one."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: fork, branches: [A1, A2]}\n"
        "A1: {type: set_state, on_success: A1_End}\nA1_End: {type: end_branch}\nA2: {type: set_state}\n"
        "Inner: {type: join, join_branches: [A1, A2], on_success: A_End}\nA_End: {type: end_branch}\n"
        "B: {type: set_state}\n"
        "Outer: {type: join, join_branches: [A, B], on_success: Done}" + END
    )

    assert implied(graph) == {
        ("A1_End", "end_of_branch", "Inner"), ("A2", "on_success", "Inner"),
        ("A_End", "end_of_branch", "Outer"), ("B", "on_success", "Outer"),
    }  # fmt: skip
    assert graph.join_arrivals["Outer"] == {"A": {"A_End"}, "B": {"B"}}


def test_three_levels_of_forks_close_from_the_inside() -> None:
    """Each level is found although the edges of the level below are implied too."""
    graph = graph_of(
        "F1: {type: fork, branches: [F2, X]}\nX: {type: end_branch}\n"
        "F2: {type: fork, branches: [F3, Y]}\nY: {type: end_branch}\n"
        "F3: {type: fork, branches: [Z1, Z2]}\nZ1: {type: end_branch}\nZ2: {type: end_branch}\n"
        "J3: {type: join, join_branches: [Z1, Z2], on_success: E3}\nE3: {type: end_branch}\n"
        "J2: {type: join, join_branches: [F3, Y], on_success: E2}\nE2: {type: end_branch}\n"
        "J1: {type: join, join_branches: [F2, X], on_success: Done}" + END
    )

    assert graph.join_arrivals == {
        "J3": {"Z1": {"Z1"}, "Z2": {"Z2"}},
        "J2": {"F3": {"E3"}, "Y": {"Y"}},
        "J1": {"F2": {"E2"}, "X": {"X"}},
    }


def test_a_map_closes_the_join_named_after_it() -> None:
    """The body's own end_branch belongs to the map, not to the join."""
    graph = graph_of(
        "M: {type: map_fork, input_list_key: l, branch_key: id, branch_entry_node: Body}\n"
        "Body: {type: set_state, on_success: Body_End}\nBody_End: {type: end_branch}\n"
        "J: {type: join, join_branches: [M], on_success: Done}" + END
    )

    assert implied(graph) == {("M", "all_items", "J")}
    assert graph.join_arrivals["J"] == {"M": {"M"}}


def test_an_end_behind_a_join_does_not_close_its_branch() -> None:
    """A map in a map's body fails past its join to where the outer body ends: no loop comes of that."""
    graph = graph_of(
        "Outer: {type: map_fork, input_list_key: l, branch_key: id, branch_entry_node: Inner}\n"
        "Inner: {type: map_fork, input_list_key: current_map_item.l, branch_key: id, branch_entry_node: Body,"
        " on_failure: Held}\n"
        "Body: {type: end_branch}\n"
        "Inner_Done: {type: join, join_branches: [Inner], on_success: Out}\n"
        "Held: {type: set_state, on_success: Out}\nOut: {type: end_branch}\n"
        "Outer_Done: {type: join, join_branches: [Outer], on_success: Done}" + END
    )

    assert implied(graph) == {("Inner", "all_items", "Inner_Done"), ("Outer", "all_items", "Outer_Done")}
    assert graph.cycles == ()


def test_a_branch_in_a_loop_is_closed_although_its_join_leads_back_to_it() -> None:
    """What the join leads to by way of its own branches is not behind it."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: set_state, on_success: Out}\nB: {type: set_state, on_success: Out}\nOut: {type: end_branch}\n"
        "J: {type: join, join_branches: [A, B], on_success: Again}\n"
        "Again: {type: condition, condition_on_key: k, branches: {yes: F, _default: Done}}" + END
    )

    assert implied(graph) == {("Out", "end_of_branch", "J")}


def test_ways_to_nodes_that_do_not_exist_are_left_out() -> None:
    """The checks report them; the graph stays usable."""
    graph = graph_of("A: {type: entry, next: Nowhere}\n")

    assert graph.edges == ()


def test_nothing_follows_an_end() -> None:
    """An end cannot fail, so its on_failure is no way."""
    graph = graph_of("E: {type: end, on_failure: F}\nF: {type: end}\n")

    assert graph.outgoing("E") == ()


def test_a_fork_starts_its_branches_and_not_its_error_route() -> None:
    """``on_failure`` of a fork is a way of its own."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B], on_failure: C}\nA: {type: end}\nB: {type: end}\nC: {type: end}\n"
    )

    assert [edge.target for edge in graph.chosen("F", "branches")] == ["A", "B"]
    assert [edge.target for edge in graph.chosen("F", "on_failure")] == ["C"]


def test_a_node_chooses_when_one_of_its_targets_may_go_without_a_token() -> None:
    """Two ways to one node are no choice; a success that leads nowhere is one."""
    graph = graph_of(
        "Fork: {type: fork, branches: [Same, Open]}\n"
        "Same: {type: sync_call, capability_id: a, on_success: E, on_failure: E}\n"
        "Open: {type: sync_call, capability_id: a, on_failure: E}\n"
        "Only: {type: sync_call, capability_id: a, on_success: E}\n"
        "Two: {type: condition, condition_on_key: k, branches: {a: E, b: Only}}\n"
        "E: {type: end}\n"
    )

    assert {name: graph.chooses(name) for name in graph.nodes} == {
        "Fork": False, "Same": False, "Open": True, "Only": False, "Two": True, "E": False,
    }  # fmt: skip


def test_cycles_and_what_lies_ahead() -> None:
    """Edges that close a loop are not waited for: nothing lies ahead of itself."""
    graph = graph_of(
        "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: condition, condition_on_key: k, branches: {a: A, b: E, c: B}}\nE: {type: end}\n"
    )

    assert graph.cycles == (frozenset({"A", "B"}),)
    assert graph.closing == {("B", "A"), ("B", "B")}
    assert graph.ahead["S"] == {"A", "B", "E"}
    assert graph.ahead["B"] == {"E"}


def test_a_loop_around_one_node_does_not_hide_what_lies_behind_it() -> None:
    """A token in a loop may come to everything behind the loop, by turning it once more."""
    graph = graph_of(
        "F: {type: fork, branches: [A, B]}\nA: {type: async_request, capability_id: a, on_response: C}\n"
        "C: {type: condition, condition_on_key: k, branches: {again: W, _default: J}}\n"
        "W: {type: event_wait, on_event: A}\nB: {type: async_request, capability_id: b, on_response: J}\n"
        "J: {type: join, join_branches: [A, B], on_success: D}\n"
        "D: {type: condition, condition_on_key: k, branches: {again: F, _default: E}}\nE: {type: end}"
    )

    assert graph.closing == {("W", "A"), ("D", "F")}
    assert graph.ahead["W"] == {"J", "D", "E"}
    assert graph.ahead["A"] == {"C", "W", "J", "D", "E"}
    assert graph.ahead["D"] == {"E"}


@given(scenario=cyclic_scenarios())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_ring_of_nodes_waits_for_each_other(scenario: Scenario) -> None:
    """Whatever the loops: of any set of nodes that hold tokens, one has none of the others before it."""
    graph = build_graph(scenario.definition)

    ahead = nx.DiGraph((name, after) for name, targets in graph.ahead.items() for after in targets)

    assert nx.is_directed_acyclic_graph(ahead)
