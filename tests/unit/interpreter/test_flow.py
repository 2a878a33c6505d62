"""Tokens: which node may run, what it sees, and when the instance is complete; one rule an example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from workflows import graph_of

from cch.definition.rules import FIRST, NEWEST, SECOND
from cch.graph.plan import plan_tasks
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome

FORK = """
F: {type: fork, branches: [A, B]}
A: {type: sync_call, capability_id: a}
B: {type: sync_call, capability_id: b}
J: {type: join, join_branches: [A, B], on_success: C}
C: {type: sync_call, capability_id: c, on_success: E}
E: {type: end}
"""


class Flow:
    """A token flow that is driven by naming nodes and the edges they choose."""

    def __init__(self, nodes: str, **initial: Any) -> None:
        graph = graph_of(nodes)
        self.flow = TokenFlow(graph, plan_tasks(graph).domains, initial)

    @property
    def ready(self) -> list[str]:
        return [ready.node for ready in self.flow.ready()]

    def visit(
        self, node: str, label: str = "on_success", *, at: int = 0, failed: bool = False, **patch: Any
    ) -> Outcome:
        """Let a node that is ready run; ``at`` is the clock."""
        (ready,) = [ready for ready in self.flow.ready() if ready.node == node]
        edges = self.flow.graph.chosen(node, label)
        outcome = Outcome(
            node=node, visit=ready.visit, stamp=self.flow.stamp(ready.parents, at), started=at, parents=ready.parents,
            label=label, targets=tuple(edge.target for edge in edges), patch=patch, failed=failed,
        )  # fmt: skip
        self.flow.apply(outcome)
        return outcome

    def sees(self, node: str) -> dict[str, Any]:
        (ready,) = [ready for ready in self.flow.ready() if ready.node == node]
        return dict(self.flow.context(ready.parents))


def test_a_token_begins_at_the_entry() -> None:
    """Nothing else is ready."""
    flow = Flow(FORK)

    assert flow.ready == ["F"]
    assert flow.flow.status() == "running"


def test_a_fork_starts_all_branches_and_the_join_waits_for_all() -> None:
    """The join is ready with the last branch, whichever that is."""
    flow = Flow(FORK)
    flow.visit("F", "branches")
    began = flow.ready
    flow.visit("B")
    waiting = flow.ready
    flow.visit("A")

    assert (began, waiting, flow.ready) == (["A", "B"], ["A"], ["J"])


def test_parallel_branches_do_not_see_each_other() -> None:
    """Each sees what its own token saw; after the join both are visible."""
    flow = Flow(FORK, start=1)
    flow.visit("F", "branches")
    flow.visit("A", a=1)
    seen_by_b = flow.sees("B")
    flow.visit("B", b=1)
    flow.visit("J")

    assert seen_by_b == {"start": 1}
    assert flow.sees("C") == {"start": 1, "a": 1, "b": 1}


def test_the_later_patch_wins_by_stamp_not_by_arrival() -> None:
    """Two branches write the same key; the clock decides, also when their outcomes are read in another order."""
    first = Flow(FORK)
    first.visit("F", "branches", at=10)
    a = first.visit("A", at=50, k="a")
    b = first.visit("B", at=20, k="b")
    second = Flow(FORK)
    second.flow.apply_all([b, a, *first.flow.outcomes.values()])
    first.visit("J")
    second.visit("J")

    assert first.sees("C") == second.sees("C") == {"k": "a"}
    assert first.flow.final_context() == second.flow.final_context() == {"k": "a"}


def test_a_stamp_is_later_than_every_parents() -> None:
    """Even if this machine's clock is behind the one that wrote the parent."""
    flow = Flow(FORK)
    flow.visit("F", "branches", at=1000)
    a = flow.visit("A", at=3)
    b = flow.visit("B", at=5000)
    join = flow.visit("J", at=4)

    assert (a.stamp, b.stamp, join.stamp) == (1001, 5000, 5001)


MERGE = """
F: {type: fork, branches: [A, B]}
A: {type: sync_call, capability_id: a, on_success: M, on_failure: E}
B: {type: sync_call, capability_id: b, on_success: M, on_failure: E}
M: {type: sync_call, capability_id: m, on_success: E}
E: {type: end}
"""


def test_a_merge_waits_for_tokens_that_may_still_come_and_fires_once() -> None:
    """Two tokens that arrive make one visit, with both as parents."""
    flow = Flow(MERGE)
    flow.visit("F", "branches")
    flow.visit("A", a=1)
    early = flow.ready
    flow.visit("B", b=1)
    merge = flow.visit("M")

    assert early == ["B"]
    assert (merge.visit, merge.parents) == (1, ("A#1", "B#1"))
    assert flow.flow.status() == "completed"


def test_a_merge_does_not_wait_for_ways_that_were_not_taken() -> None:
    """An edge that can no longer be taken is dead."""
    flow = Flow(MERGE)
    flow.visit("F", "branches")
    flow.visit("A", a=1)
    flow.visit("B", "on_failure", b=1)

    assert "M" in flow.ready
    assert flow.sees("M") == {"a": 1}


LEAVING = """
F: {type: fork, branches: [A, B]}
A: {type: sync_call, capability_id: a, on_success: J, on_failure: C}
B: {type: sync_call, capability_id: b, on_success: J}
J: {type: join, join_branches: [A, B], on_success: C}
C: {type: sync_call, capability_id: c, on_success: E}
E: {type: end}
"""


def test_a_join_whose_branch_left_does_not_fire_and_the_rest_goes_on() -> None:
    """The tokens that wait at it end there."""
    flow = Flow(LEAVING)
    flow.visit("F", "branches")
    flow.visit("A", "on_failure")
    waiting = flow.ready
    flow.visit("B", b=1)
    ready, seen = flow.ready, flow.sees("C")
    flow.visit("C")
    flow.visit("E", "")

    assert (waiting, ready, seen) == (["B"], ["C"], {})
    assert flow.flow.status() == "completed"
    assert "J" not in flow.flow.visited()


def test_a_failure_stops_what_is_behind_and_nothing_else() -> None:
    """The other branch goes on; the join and what follows never run; the instance fails."""
    flow = Flow(FORK)
    flow.visit("F", "branches")
    flow.visit("A", "", failed=True)
    after_failure = (flow.ready, flow.flow.status())
    flow.visit("B")

    assert after_failure == (["B"], "running")
    assert (flow.ready, flow.flow.status()) == ([], "failed")
    assert flow.flow.stopped == {"J", "C", "E"}


def test_what_lies_behind_a_region_waits_until_the_region_is_done() -> None:
    """An instant node that its task still has to evaluate may fail, and then stops what is behind the task."""
    flow = Flow(
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: condition, condition_on_key: k, branches: {x: E}}\n"
        "B: {type: sync_call, capability_id: b, on_success: E}\nE: {type: end}"
    )
    flow.visit("F", "branches")
    before = flow.ready
    flow.visit("A", "x")

    assert (before, flow.ready) == (["A"], ["B"])


def test_a_successful_end_of_several_regions_is_reached_without_a_task() -> None:
    """It counts as visited once nothing else is under way."""
    flow = Flow(MERGE)
    flow.visit("F", "branches")
    flow.visit("A")
    flow.visit("B")
    flow.visit("M")

    status = flow.flow.status()

    assert status == "completed"
    assert flow.flow.visited()[-1] == "E"


def test_applying_an_outcome_again_changes_nothing() -> None:
    """Journals and exits overlap; an outcome counts once."""
    flow = Flow(FORK)
    outcome = flow.visit("F", "branches")
    flow.visit("A")
    positions = flow.flow.positions
    flow.flow.apply(outcome)

    assert flow.flow.positions == positions


def test_the_edges_that_a_region_took_are_known() -> None:
    """They decide which Airflow tasks follow; edges of other regions do not count."""
    flow = Flow(MERGE)
    flow.visit("F", "branches")
    flow.visit("A", "on_failure")

    assert [(edge.source, edge.label) for edge in flow.flow.taken({"F"})] == [("F", "A"), ("F", "B")]
    assert [(edge.source, edge.label) for edge in flow.flow.taken({"A"})] == [("A", "on_failure")]


def test_a_loop_visits_a_node_again_with_a_new_number() -> None:
    """Edges that close a loop are not waited for."""
    flow = Flow(
        "A: {type: async_request, capability_id: a, on_response: B, error_reply: response}\n"
        "B: {type: condition, condition_on_key: k, branches: {again: A, stop: E}}\nE: {type: end}"
    )
    flow.visit("A", "on_response", k=1)
    flow.visit("B", "again")
    second = flow.visit("A", "on_response", k=2)
    flow.visit("B", "stop")

    assert (second.id, second.parents) == ("A#2", ("B#1",))
    assert flow.flow.final_context() == {"k": 2}


def test_outcomes_survive_json() -> None:
    """What is stored is what was committed."""
    outcome = Outcome(
        node="A", visit=2, stamp=5, started=3, parents=("S#1",), label="x", targets=("B",),
        patch={"a": [1, {"b": None}]},
        failed=True, cause={"kind": "reply", "attempt": 1}, errors=({"code": "E"},),
    )  # fmt: skip

    assert Outcome.from_json(outcome.to_json()) == outcome
    assert Outcome.from_json(Outcome(node="A", visit=1, stamp=0, started=0).to_json()) == Outcome(
        node="A", visit=1, stamp=0, started=0
    )


def test_an_instance_whose_tokens_all_died_has_failed() -> None:
    """The reason says which node was the last, and begins with a code; a token that is left says nothing yet."""
    flow = Flow(
        "A: {type: sync_call, capability_id: a, on_success: B, on_failure: E}\nB: {type: set_state}\nE: {type: end}"
    )
    flow.visit("A")
    assert (flow.flow.status(), flow.flow.reason()) == ("running", "")

    flow.visit("B")

    assert flow.flow.status() == "failed"
    assert flow.flow.reason() == "ENDED_NOWHERE: no way was left, and none has led to an end: the last node was 'B'"


def test_one_branch_that_reaches_an_end_is_enough() -> None:
    """The other one may end quietly."""
    flow = Flow(
        "F: {type: fork, branches: [A, B]}\nA: {type: set_state, on_success: E}\nB: {type: set_state}\nE: {type: end}"
    )

    for node in "FBAE":
        flow.visit(node, "branches" if node == "F" else "on_success")

    assert (flow.flow.status(), flow.flow.reason()) == ("completed", "")


@pytest.mark.parametrize(("rules", "is_item"), [(FIRST, False), (SECOND, False), (NEWEST, True)])
def test_older_instances_and_items_of_maps_need_no_end(rules: int, is_item: bool) -> None:
    """They are complete when no token is left."""
    graph = graph_of("A: {type: set_state}\nE: {type: end}")
    graph = replace(graph, definition=replace(graph.definition, reading_rules=rules))
    flow = TokenFlow(graph, {}, {}, is_item=is_item)

    flow.apply(Outcome(node="A", visit=1, stamp=1, started=1))

    assert (flow.status(), flow.reason()) == ("completed", "")
