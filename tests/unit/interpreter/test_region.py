"""One region from its first turn to its last, on a host that answers as a script says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from scripted import ManualClock, ScriptedHost
from strategies import Behaviour
from tests.patience import finished
from workflows import graph_of

from cch.definition.rules import NEWEST, SECOND, THIRD
from cch.graph.plan import plan_tasks
from cch.graph.regions import Region, carriers
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, OvertakenError, Request
from cch.interpreter.region import RegionRun

LOOP = """
S: {type: entry, next: A}
A: {type: async_request, capability_id: a, on_response: B, error_reply: response, max_visits: %d}
B: {type: condition, condition_on_key: n, branches: {stop: E, _default: C}}
C: {type: set_state, static_outputs: {looped: true}, on_success: A}
E: {type: end}
"""


def prepared(nodes: str, head: str = "", rules: int = NEWEST, **context: Any) -> tuple[Region, TokenFlow]:
    """The region ``head`` (all nodes, if not given) at the start of an instance."""
    graph = graph_of(nodes)
    graph = replace(graph, definition=replace(graph.definition, reading_rules=rules))
    regions = plan_tasks(graph).regions
    region = regions[head] if head else Region(head=graph.entry, kind="wait", nodes=tuple(graph.nodes))
    return region, TokenFlow(graph, carriers(regions), context)


async def test_instant_nodes_and_the_effect_before_them_are_one_turn() -> None:
    """What an answer decides is committed together with it."""
    region, flow = prepared(
        "S: {type: entry, next: A}\nA: {type: async_request, capability_id: a, on_response: B, error_reply: response}\n"
        "B: {type: condition, condition_on_key: k, branches: {x: C}}\n"
        "C: {type: set_state, on_success: E}\nE: {type: end}"
    )
    host = ScriptedHost({"A": Behaviour(payload={"k": "x"})})

    await RegionRun(region, flow, host).run()

    assert [[outcome.node for outcome in turn] for turn in host.turns] == [["S"], ["A", "B", "C", "E"]]
    assert flow.status() == "completed"


async def test_parallel_effects_are_under_way_together_and_commit_one_by_one() -> None:
    """The faster answer is committed first, whatever the order in the definition."""
    region, flow = prepared(
        "F: {type: fork, branches: [A, B]}\nA: {type: sync_call, capability_id: a}\n"
        "B: {type: sync_call, capability_id: b}\n"
        "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
    )
    host = ScriptedHost({"A": Behaviour(pace=9), "B": Behaviour(pace=1)})

    await RegionRun(region, flow, host).run()

    assert [[outcome.node for outcome in turn] for turn in host.turns] == [["F"], ["B"], ["A", "J", "E"]]
    assert [call.node for call in host.calls] == ["A", "B"]


async def test_a_region_leaves_other_regions_alone() -> None:
    """It stops where its nodes end."""
    region, flow = prepared(
        "A: {type: async_request, capability_id: a, on_response: B, error_reply: response}\n"
        "B: {type: sync_call, capability_id: b, on_success: E}\nE: {type: end}",
        "A",
    )
    host = ScriptedHost()

    await RegionRun(region, flow, host).run()

    assert flow.visited() == ["A"]
    assert flow.status() == "running"
    assert not host.calls


async def test_a_recorded_journal_is_not_repeated() -> None:
    """A region that starts again goes on where the journal ends."""
    region, flow = prepared(LOOP % 1000)
    answers = iter([{"n": 1}, {"n": "stop"}])
    host = ScriptedHost(on_request=lambda r: Answer(kind="reply", at=0, payload=next(answers)))
    await RegionRun(region, flow, host).run()
    again_region, again = prepared(LOOP % 1000)
    again.apply_all(host.committed[:4])
    second = ScriptedHost(on_request=lambda r: Answer(kind="reply", at=0, payload={"n": "stop"}))

    await RegionRun(again_region, again, second).run()

    assert [outcome.id for outcome in host.committed] == ["S#1", "A#1", "B#1", "C#1", "A#2", "B#2", "E#1"]
    assert [(request.node, request.visit) for request in second.requests] == [("A", 2)]
    assert again.outcomes == flow.outcomes


async def test_a_loop_of_a_thousand_visits() -> None:
    """Time grows with the visits, and every visit is recorded."""
    region, flow = prepared(LOOP % 1000)
    host = ScriptedHost(
        on_request=lambda r: Answer(kind="reply", at=0, payload={"n": "stop" if r.visit == 1000 else r.visit})
    )

    await finished(RegionRun(region, flow, host).run())

    assert flow.status() == "completed"
    assert [request.visit for request in host.requests] == list(range(1, 1001))
    assert flow.visited().count("C") == 999


async def test_a_node_that_is_visited_too_often_fails() -> None:
    """``max_visits`` bounds a loop; the visit after the last is a failure without an effect."""
    region, flow = prepared(LOOP % 3)
    host = ScriptedHost(on_request=lambda r: Answer(kind="reply", at=0, payload={"n": 1}))

    await RegionRun(region, flow, host).run()

    assert flow.status() == "failed"
    assert len(host.requests) == 3
    assert host.committed[-1].patch["_internalError"] == "'A' was visited more than 3 times"


@pytest.mark.parametrize(
    ("rules", "visited", "status"), [(SECOND, "ABABABE", "completed"), (THIRD, "ABABAB", "failed")]
)
async def test_an_instant_node_is_bounded_too(rules: int, visited: str, status: str) -> None:
    """The visit after the last fails the instance, whatever ``on_failure`` says; the older rules went there."""
    region, flow = prepared(
        "A: {type: async_request, capability_id: a, on_response: B, error_reply: response}\n"
        "B: {type: set_state, max_visits: 2, on_success: A, on_failure: E}\nE: {type: end}",
        rules=rules,
    )

    await RegionRun(region, flow, ScriptedHost()).run()

    assert "".join(flow.visited()) == visited
    assert flow.status() == status
    assert flow.final_context()["_errorNode"] == "B"


async def test_failures_leave_their_reason_and_no_private_key_is_sent() -> None:
    """``_internalError`` and ``_errorNode`` are for the definition's own nodes."""
    region, flow = prepared(
        "A: {type: sync_call, capability_id: a, on_success: E, on_failure: L}\n"
        "L: {type: log_error, default_error_code: X, default_message: m, on_success: B,"
        " message_from_context_key: _internalError}\n"
        "B: {type: async_request, capability_id: b, on_response: E, error_reply: response}\nE: {type: end}",
        start=1,
    )
    host = ScriptedHost({"A": Behaviour(kind="raises")})

    await RegionRun(region, flow, host).run()

    assert host.committed[1].errors[0]["message"] == "the function raised"
    assert host.requests[0].context == {"start": 1}
    assert flow.final_context()["_errorNode"] == "A"
    assert ("workflow error", dict(host.committed[1].errors[0])) in host.notes


async def test_a_call_knows_the_last_reply_on_its_way() -> None:
    """Not one of a parallel branch, and of several the latest."""
    region, flow = prepared(
        "A: {type: async_request, capability_id: a, on_response: F, error_reply: response}\n"
        "F: {type: fork, branches: [B, C]}\n"
        "B: {type: async_request, capability_id: b, on_response: D, error_reply: response}\n"
        "C: {type: sync_call, capability_id: c, on_success: E}\n"
        "D: {type: sync_call, capability_id: d, on_success: E}\nE: {type: end}"
    )
    host = ScriptedHost({"A": Behaviour(payload={"from": "A"}), "B": Behaviour(payload={"from": "B"})})

    await RegionRun(region, flow, host).run()

    assert {call.node: call.last_reply for call in host.calls} == {
        "C": {"from": "A", "status": "SUCCESS"}, "D": {"from": "B", "status": "SUCCESS"},
    }  # fmt: skip


async def test_a_call_without_a_reply_before_it_knows_none() -> None:
    """Which is something else than an empty reply."""
    region, flow = prepared("A: {type: sync_call, capability_id: a, on_success: E}\nE: {type: end}")
    host = ScriptedHost()

    await RegionRun(region, flow, host).run()

    assert host.calls[0].last_reply is None


async def test_started_and_stamp_are_the_hosts_times() -> None:
    """How long a visit took can be read from its outcome."""
    clock = ManualClock(1_000)

    class Waiting(ScriptedHost):
        async def request(self, request: Request) -> Answer:
            clock.advance(60)
            return await super().request(request)

    region, flow = prepared(
        "A: {type: async_request, capability_id: a, on_response: E, error_reply: response}\nE: {type: end}"
    )
    host = Waiting(clock=clock)

    await RegionRun(region, flow, host).run()

    outcome = flow.outcomes["A#1"]
    assert (outcome.started, outcome.stamp) == (1_000, 61_000)


async def test_being_overtaken_stops_everything_that_runs() -> None:
    """The other copy's journal counts; nothing of ours goes on in the background."""
    cancelled: list[str] = []

    class Overtaken(ScriptedHost):
        async def call(self, call: Call) -> Mapping[str, Any]:
            if call.node == "B":
                return {}
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(call.node)
            return {}

        async def commit(self, outcomes: Any) -> None:
            if outcomes[0].node == "B":
                raise OvertakenError

    region, flow = prepared(
        "F: {type: fork, branches: [A, B]}\nA: {type: sync_call, capability_id: a}\n"
        "B: {type: sync_call, capability_id: b}\n"
        "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
    )

    with pytest.raises(OvertakenError):
        await RegionRun(region, flow, Overtaken()).run()
    await asyncio.sleep(0)

    assert cancelled == ["A"]


async def test_a_region_may_begin_only_where_tokens_lead_to_it() -> None:
    """Whatever Airflow's task states say."""
    nodes = (
        "A: {type: sync_call, capability_id: a, on_success: B, on_failure: C}\n"
        "B: {type: sync_call, capability_id: b, on_success: E}\nC: {type: sync_call, capability_id: c, on_success: E}\n"
        "E: {type: end}"
    )
    region, flow = prepared(nodes, "A")
    regions = plan_tasks(flow.graph).regions
    before = {head: RegionRun.may_begin(regions[head], flow) for head in regions}

    await RegionRun(region, flow, ScriptedHost()).run()

    assert before == {"A": True, "B": False, "C": False}
    assert {head: RegionRun.may_begin(regions[head], flow) for head in regions} == {"A": False, "B": True, "C": False}
