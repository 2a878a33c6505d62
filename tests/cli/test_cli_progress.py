"""States of nodes, derived from what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cch.cli.instance_views import node_data, node_note
from cch.graph.build import build_graph
from cch.graph.checks import load
from cch.graph.plan import plan_tasks
from cch.interpreter.outcome import Outcome
from cch.ledger.records import Exit, Instance, InstanceView, JournalEntry, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.progress import Asked, live_regions, progress, progress_without_plan

FORKED = """\
workflow_id: forked_v1
workflow_name: Two branches
entry_point: Begin
nodes:
  Begin: {type: set_state, static_outputs: {begun: true}, on_success: Ask}
  Ask: {type: async_request, capability_id: "a#x", on_response: Split, on_failure: Give_Up}
  Split: {type: fork, branches: [Left, Right]}
  Left: {type: async_request, capability_id: "b#x", on_response: All, error_reply: failure}
  Right: {type: sync_call, capability_id: c, on_success: All}
  All: {type: join, join_branches: [Left, Right], on_success: Done}
  Give_Up: {type: log_error, default_error_code: E, default_message: gave up, on_success: Done}
  Done: {type: end}
"""
PLAN = plan_tasks(build_graph(load(FORKED)))
INSTANCE = Instance(id="i", workflow_id="forked_v1", correlation_id="i", status="running", started=1000)


def visit(node, *, stamp, parents=(), label="", targets=(), patch=None, failed=False, started=None, **more):
    return Outcome(
        node=node, visit=1, stamp=stamp, started=started or stamp, parents=tuple(f"{p}#1" for p in parents),
        label=label, targets=tuple(targets), patch=patch or {}, failed=failed, **more,
    )  # fmt: skip


BEGIN = visit("Begin", stamp=1001, label="on_success", targets=["Ask"], patch={"begun": True, "_own": 1})
ASK = visit("Ask", stamp=2000, started=1002, parents=["Begin"], label="on_response", targets=["Split"])
SPLIT = visit("Split", stamp=2001, parents=["Ask"], label="branches", targets=["Left", "Right"])
LEFT_FAILED = visit(
    "Left", stamp=3000, parents=["Split"], failed=True, patch={"_errorNode": "Left", "_internalError": "no luck"}
)
ASKED = Exit(region="Ask", generation=0, task_instance="1", outcomes=(BEGIN, ASK, SPLIT))


def request(node, state="open", **more):
    values = {
        "command_id": f"c-{node}", "instance": "i", "region": node, "node": node, "visit": 1, "attempt": 1,
        "source": "b#x", "branch": "", "state": state, "created": 2500, "deadline": 0, "sent_at": 2600,
        "task_instance": "1", "body_hash": "", "owners": frozenset(),
    }  # fmt: skip
    return RequestRecord(**{**values, **more})


def event_wait(node, **more):
    values = {
        "id": f"w-{node}", "instance": "i", "branch": "", "node": node, "event_key": "messages", "state": "open",
        "created": 2500, "deadline": 0, "task_instance": "1",
    }  # fmt: skip
    return WaitRecord(**{**values, **more})


def seen(*exits, requests=(), waits=(), journals=None, **instance):
    view = InstanceView(instance=replace(INSTANCE, **instance), exits=exits)
    return progress(PLAN, view, Asked(requests=requests, waits=waits), journals)


def states(shown):
    return {node.name: node.state for node in shown.nodes}


def begun(*outcomes, mode="first", task_instance="1"):
    entry = JournalEntry(kind="try", mode=mode, task_instance=task_instance, generation=0)
    turn = JournalEntry(kind="turn", task_instance=task_instance, generation=0, outcomes=outcomes)
    return [entry, turn] if outcomes else [entry]


def test_before_anything_happens_all_nodes_are_pending():
    """A pending instance has begun nothing and excluded nothing."""
    shown = seen(status="pending", journals={})

    assert set(states(shown).values()) == {"PENDING"}
    assert not shown.ended


def test_a_node_runs_when_its_region_has_begun():
    """A queued task has no journal; without journals a node that holds its token counts as running."""
    queued = states(seen(journals={"Ask": []}))
    started = states(seen(journals={"Ask": begun()}))
    unknown = states(seen())

    assert queued["Begin"] == "READY"
    assert started["Begin"] == "RUNNING"
    assert unknown["Begin"] == "RUNNING"


def test_what_a_region_has_committed_is_shown_before_it_leaves():
    """The journal of a live region shows the nodes before the one that waits."""
    shown = seen(journals={"Ask": begun(BEGIN)}, requests=[request("Ask", source="a#x")])

    assert states(shown)["Begin"] == "SUCCEEDED"
    assert states(shown)["Ask"] == "WAITING"
    assert shown.visited == ("Begin",)
    assert live_regions(PLAN, InstanceView(instance=INSTANCE, exits=())) == ["Ask"]


def test_what_a_later_try_dropped_does_not_count():
    """A region that began anew shows what it does now, not what it did before."""
    again = [*begun(BEGIN), JournalEntry(kind="try", mode="fresh", task_instance="2", generation=1)]
    without = [
        *begun(BEGIN),
        JournalEntry(kind="try", mode="continue", task_instance="2", generation=0, dropped={"Begin#1": 0}),
    ]

    assert states(seen(journals={"Ask": again}))["Begin"] == "RUNNING"
    assert states(seen(journals={"Ask": without}))["Begin"] == "RUNNING"


def test_branches_are_shown_side_by_side():
    """One waits, the other works; the join behind them is still to come, the error route is not."""
    shown = seen(ASKED, requests=[request("Left")], journals={"Left": begun(), "Right": begun()})

    assert states(shown) == {
        "Begin": "SUCCEEDED", "Ask": "SUCCEEDED", "Split": "SUCCEEDED", "Left": "WAITING", "Right": "RUNNING",
        "All": "PENDING", "Give_Up": "SKIPPED", "Done": "PENDING",
    }  # fmt: skip
    by_name = {node.name: node for node in shown.nodes}
    assert (by_name["Ask"].seconds, by_name["Ask"].edge) == (0.998, "on_response")
    assert by_name["Left"].request.source == "b#x"
    assert by_name["Left"].since == 2500
    assert by_name["Right"].since == 2001


def test_a_wait_for_an_event_says_for_which():
    """A node that waits for an event waits, and is not running; an event that has come is no wait any more."""
    shown = seen(ASKED, waits=[event_wait("Left"), event_wait("Right", state="event")], journals={"Right": begun()})
    left, right = (node for node in shown.nodes if node.name in ("Left", "Right"))

    assert (left.state, left.since, right.state) == ("WAITING", 2500, "RUNNING")
    assert node_note(left).startswith("for an event with messages since ")
    assert node_note(replace(left, wait=event_wait("Left", event_key=""))).startswith("for an event since ")
    shown_as_json = node_data(left)
    assert (shown_as_json["waits_for"], shown_as_json["event_key"]) == ("event", "messages")


def test_a_failure_that_nobody_handles_skips_what_lies_behind_it():
    """The other branch goes on; the join can no longer be reached."""
    failed = Exit(region="Left", generation=0, task_instance="1", outcomes=(LEFT_FAILED,))
    shown = seen(ASKED, failed, journals={"Right": begun()})

    assert states(shown)["Left"] == "FAILED"
    assert states(shown)["Right"] == "RUNNING"
    assert (states(shown)["All"], states(shown)["Done"]) == ("SKIPPED", "SKIPPED")
    assert shown.errors[0]["message"] == "no luck"
    assert shown.errors[0]["handled"] is False


def test_a_failure_that_is_handled_says_where_it_went():
    """The node has failed, the way on is its edge, and the instance completes."""
    patch = {"_errorNode": "Ask", "_internalError": "refused"}
    ask = replace(ASK, label="on_failure", targets=("Give_Up",), patch=patch)
    error = {"code": "E", "message": "gave up", "node": "Give_Up", "timestamp": "t"}
    gave_up = visit("Give_Up", stamp=2002, parents=["Ask"], label="on_success", targets=["Done"], errors=(error,))
    shown = seen(replace(ASKED, outcomes=(BEGIN, ask, gave_up)), status="completed", ended=3000)

    by_name = {node.name: node for node in shown.nodes}
    assert (by_name["Ask"].state, by_name["Ask"].edge, by_name["Ask"].reason) == ("FAILED", "on_failure", "refused")
    assert by_name["Give_Up"].state == by_name["Done"].state == "SUCCEEDED"
    assert by_name["Left"].state == "SKIPPED"
    assert [found["code"] for found in shown.errors] == ["NODE_FAILED", "E"]
    assert shown.seconds(99_000) == 2.0


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_nothing_waits_in_an_ended_instance(status):
    """Whatever is left over was not reached; the reason is among the errors."""
    shown = seen(ASKED, requests=[request("Left")], status=status, ended=5000, reason="the run is gone")

    assert states(shown)["Left"] == "SKIPPED"
    assert states(shown)["All"] == "SKIPPED"
    assert shown.errors == (
        {"code": "INSTANCE_FAILED", "message": "the run is gone", "node": "", "timestamp": "1970-01-01T00:00:05.000Z"},
    )
    assert shown.ended


def test_an_open_request_shows_through_an_older_failure():
    """A cleared task tries again while the exit of its failure is still there."""
    failed = Exit(region="Left", generation=0, task_instance="1", outcomes=(LEFT_FAILED,))
    shown = seen(ASKED, failed, requests=[request("Left", attempt=2)])

    assert states(shown)["Left"] == "WAITING"


def test_the_platforms_own_keys_are_not_in_the_context():
    """Keys that begin with _ stay inside; everything else that is known is there."""
    assert seen(ASKED).context == {"begun": True}


def test_without_the_definition_the_course_is_still_known():
    """Visits, context and requests need no plan."""
    view = InstanceView(instance=INSTANCE, exits=(ASKED,))
    shown = progress_without_plan(view, Asked(requests=[request("Ask")]))

    assert shown.nodes == ()
    assert shown.visited == ("Begin", "Ask", "Split")
    assert shown.context == {"begun": True}
    assert len(shown.requests) == 1
