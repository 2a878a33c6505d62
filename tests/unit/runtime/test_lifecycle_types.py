"""The types of lifecycle events: each is told when a setting asks for it, in the form of the schema."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_lifecycle import MAP, SCHEMA, Listener
from workshop import INSTANCE, NOW, Workshop

from cch.errors import SettingsError
from cch.event_types import EVENT_TYPES, chosen_types
from cch.names import Names
from cch.pauses import Pauses
from cch.runtime.cancelling import cancel
from cch.runtime.dispatch import Dispatcher, RunRefused, RunState, StartRun
from cch.runtime.ending import tell_ends
from cch.runtime.execution import list_items
from cch.runtime.lifecycle_event import probe
from cch.settings import Settings

WORKFLOW = """
workflow_id: told_v1
workflow_name: Told
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Split, on_failure: Log}
  Split: {type: fork, branches: [One, Two]}
  One: {type: set_state, static_outputs: {one: 1}, on_success: One_End}
  One_End: {type: end_branch}
  Two: {type: set_state, static_outputs: {two: 2}, on_success: Two_End}
  Two_End: {type: end_branch}
  Both: {type: join, join_branches: [One, Two], on_success: Wait}
  Wait: {type: event_wait, event_key: go, timeout: 0s, on_event: Done, on_timeout: Log}
  Log: {type: log_error, default_error_code: E1, default_message: it went wrong, on_success: Done}
  Done: {type: end}
"""


def workshop(tmp_path: Path, text: str = WORKFLOW, types: str = "all", **options: Any) -> tuple[Workshop, Listener]:
    shop, listener = Workshop(tmp_path, {"told_v1": text}, **options), Listener()
    shop.settings = replace(shop.settings, lifecycle_events=types, lifecycle_consignment_key="shipment.id")
    anew(shop, listener)
    return shop, listener


def anew(shop: Workshop, listener: Listener) -> None:
    """Another process."""
    shop.new_process()
    shop.platform.topic = listener
    shop.platform.pauses = lambda: Pauses(0.0)


def types(listener: Listener) -> list[str]:
    return [event["eventType"] for event in listener.events]


def only(listener: Listener, kind: str) -> list[dict[str, Any]]:
    return [event for event in listener.events if event["eventType"] == kind]


async def test_every_type_is_told_in_its_order(tmp_path: Path) -> None:
    """From the start to the end, with the facts of each; the end needs no visit."""
    shop, told = workshop(tmp_path, context={"shipment": {"id": 7}})
    await shop.create()
    await shop.run_all()

    moves = [kind for kind in types(told) if kind != "WorkflowStateChange"]
    assert moves == [
        "WorkflowInstanceStarted", "RequestSent", "RequestAnswered", "BranchEnded", "BranchEnded", "EventWaitStarted",
        "EventWaitEnded", "WorkflowInstanceEnded",
    ]  # fmt: skip
    (sent,), (answered,) = only(told, "RequestSent"), only(told, "RequestAnswered")
    assert sent["details"]["commandId"] == shop.requests[0]["header"]["commandId"]
    assert (answered["details"]["outcome"], answered["details"]["status"]) == ("answered", "SUCCESS")
    assert only(told, "EventWaitEnded")[0]["details"]["outcome"] == "timed_out"
    assert only(told, "WorkflowInstanceEnded")[0]["details"] == {"status": "COMPLETED", "reason": ""}
    assert only(told, "WorkflowInstanceEnded")[0]["businessContext"]["two"] == 2
    assert {event["workflowContext"]["consignmentId"] for event in told.events} == {"7"}
    assert len({event["eventId"] for event in told.events}) == len(told.events)


@pytest.mark.parametrize("execution", ["inline", "mapped"])
async def test_a_map_tells_that_it_begins_and_each_item_that_it_ends(tmp_path: Path, execution: str) -> None:
    """Once, whoever runs the items."""
    text = MAP.replace("execution: inline", f"execution: {execution}")
    shop, told = workshop(tmp_path, text, context={"packs": [{"id": "p1"}, {"id": "p2"}]})
    await shop.create()
    if execution == "mapped":
        assert await list_items(shop.task("Fan"), shop.platform) == ["p1", "p2"]
        for item in ("p1", "p2"):
            await shop.run("Fan", item=item)
    await shop.run_all()

    (begun,) = only(told, "MapStarted")
    assert begun["details"] == {"items": 2}
    assert [event["routingHint"]["branchKey"] for event in only(told, "BranchEnded")] == ["p1", "p2"]
    assert Counter(types(told))["WorkflowInstanceStarted"] == 1


async def test_a_process_that_goes_on_repeats_no_news(tmp_path: Path) -> None:
    """Thousands that wait are not told anew by a restart: what is told before it is stored is not told after."""
    shop, told = workshop(tmp_path, WORKFLOW.replace("timeout: 0s", "timeout: 30d"), answers={})
    await shop.create()
    await shop.run("Ask")
    for _ in range(2):
        anew(shop, told)
        run = asyncio.create_task(shop.run("Wait"))
        while not (waits := await shop.ledger.waits.of_box((await shop.view()).instance.box())):
            await asyncio.sleep(0)
        assert waits
        for _ in range(50):
            await asyncio.sleep(0)
        run.cancel()
    assert Counter(types(told))["EventWaitStarted"] == 1


async def test_a_cancelled_instance_tells_its_end(tmp_path: Path) -> None:
    """With the reason, also before it has begun."""
    shop, told = workshop(tmp_path)
    await shop.create()

    await cancel(shop.platform, (await shop.view()).instance, "nobody wants it")

    (ended,) = told.events
    assert ended["details"] == {"status": "CANCELLED", "reason": "nobody wants it"}
    assert ended["transition"]["currentStep"]["name"] == "Ask"


class Refusing:
    """An Airflow that refuses every start."""

    def start(self, run: StartRun) -> Any:
        return RunRefused(status=400, reason="no such parameter")

    def state(self, dag_id: str, run_id: str) -> RunState:
        return "missing"

    def pins(self, dag_id: str) -> bool:
        return True

    def reason_against_pinning(self) -> str:
        return ""

    def airflow(self) -> str:
        return "3.3.1"

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        return {}


async def test_a_start_that_the_dispatcher_fails_tells_its_end(tmp_path: Path) -> None:
    """Nothing of it has ever run."""
    shop, told = workshop(tmp_path)
    await shop.create()
    await shop.ledger.mailboxes.enqueue_start(INSTANCE, "told_v1", NOW)

    await Dispatcher(shop.platform, Refusing(), patience=0).drain()

    (ended,) = told.events
    assert ended["details"]["status"] == "FAILED"
    assert "no such parameter" in ended["details"]["reason"]


async def test_an_end_that_the_topic_did_not_take_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher finds it, and tells it once."""
    monkeypatch.setattr("cch.runtime.ending._PATIENCE", 0.01)
    shop, told = workshop(tmp_path, types="WorkflowInstanceEnded")
    await shop.create()
    told.away = 10**6
    await cancel(shop.platform, (await shop.view()).instance, "")
    assert told.events == []

    assert await tell_ends(shop.platform) == 0
    told.away = 0
    assert [await tell_ends(shop.platform) for _ in range(2)] == [1, 0]

    (ended,) = told.events
    assert ended["details"]["status"] == "CANCELLED"


async def test_only_the_chosen_types_are_told(tmp_path: Path) -> None:
    """By default the visits, as ever."""
    shop, told = workshop(tmp_path, types="RequestSent, WorkflowInstanceEnded")
    await shop.create()
    await shop.run_all()

    assert types(told) == ["RequestSent", "WorkflowInstanceEnded"]
    assert chosen_types("WorkflowStateChange") == {"WorkflowStateChange"}
    assert chosen_types("all") == set(EVENT_TYPES)


@pytest.mark.parametrize("setting", ["", "RequestSend", "all, RequestSent"])
def test_a_type_that_there_is_not_is_said(setting: str) -> None:
    """With those that there are."""
    with pytest.raises(SettingsError, match="CCH_LIFECYCLE_EVENTS.*RequestSent"):
        chosen_types(setting)


async def test_messages_have_one_form(tmp_path: Path) -> None:
    """What a step logs, and what a capability brings, whatever of it is there."""
    given = {
        "messageId": "5b0ad4de-9d1b-4b6f-8d5f-07b3e6d1a001", "timestamp": "2026-01-05T08:00:00Z", "level": "WARNING",
        "code": "W1", "summary": "look at it", "context": {"line": 3},
    }  # fmt: skip
    reply = {"messages": [given, {"code": 7, "message": "short"}, {"level": "warn", "context": "x"}, "no object"]}
    shop, told = workshop(tmp_path, types="WorkflowStateChange", answers={"a#ask": lambda _: ("ERROR", reply)})
    await shop.create()
    await shop.run_all()

    asked, logged = told.events[0]["messages"], told.events[1]["messages"]
    assert asked[0] == given
    assert [(m["level"], m["code"], m["summary"], m["context"]) for m in asked[1:]] == [
        ("ERROR", "7", "short", {}), ("WARNING", "", "", {"value": "x"}),
    ]  # fmt: skip
    assert [(m["level"], m["code"], m["summary"], m["context"]) for m in logged] == [
        ("ERROR", "E1", "it went wrong", {"node": "Log"})
    ]
    assert len({message["messageId"] for message in asked + logged}) == 4


def test_a_probe_has_the_form_of_an_event() -> None:
    """Whoever validates everything is not disturbed by cch doctor."""
    jsonschema.validate(json.loads(probe(Names())), SCHEMA, format_checker=jsonschema.FormatChecker())
