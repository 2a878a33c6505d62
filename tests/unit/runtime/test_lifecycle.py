"""What instances do is told to a topic: at least once, in order, and never at the price of the work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from faults import Died
from workshop import INSTANCE, Workshop

from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.pauses import Pauses
from cch.runtime import lifecycle

SCHEMA = json.loads((Path(lifecycle.__file__).parents[1] / "schemas" / "lifecycle-event.schema.json").read_text())
WORKFLOW = """
workflow_id: told_v1
workflow_name: Told
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, title: Ask them, on_response: Note, on_failure: Log}
  Note: {type: set_state, static_outputs: {_secret: 1, noted: true}, on_success: Done}
  Log: {type: log_error, default_error_code: E1, default_message: it went wrong, on_success: Done}
  Done: {type: end}
"""
MAP = """
workflow_id: told_v1
workflow_name: Told
entry_point: Fan
nodes:
  Fan:
    type: map_fork
    input_list_key: packs
    branch_key: id
    branch_entry_node: Submit
    on_failure: Done
    execution: inline
  Submit: {type: async_request, capability_id: a#submit, on_response: Pack_Done}
  Pack_Done: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""


class Listener:
    """A topic that remembers; it can be away for some calls, or hang."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.attributes: list[Mapping[str, str]] = []
        self.groups: set[str] = set()
        self.away = 0
        self.hang = False
        self.refuses = False

    async def publish(self, body: str, attributes: Mapping[str, str], *, group: str, event_id: str) -> None:
        self.groups.add(group)
        if self.refuses:
            raise MessageRefusedError("the topic does not take the event")
        if self.hang:
            await asyncio.Event().wait()
        if self.away:
            self.away -= 1
            raise ServiceUnavailableError("topic: nothing answers")
        assert len(body.encode()) <= 262_144
        event = json.loads(body)
        jsonschema.validate(event, SCHEMA)
        self.events.append(event)
        self.attributes.append(attributes)

    def steps(self) -> list[tuple[str, list[str]]]:
        moves = [event["transition"] for event in self.events]
        return [(move["currentStep"]["name"], [step["name"] for step in move["nextSteps"]]) for move in moves]


def workshop(tmp_path: Path, text: str = WORKFLOW, **options: Any) -> tuple[Workshop, Listener]:
    shop, listener = Workshop(tmp_path, {"told_v1": text}, **options), Listener()
    shop.platform.topic = listener
    shop.platform.pauses = lambda: Pauses(0.0)
    return shop, listener


async def test_each_visit_is_told_in_order(tmp_path: Path) -> None:
    """With the step, the next ones and what is known by then, without the platform's own keys."""
    shop, told = workshop(tmp_path, context={"bill": "B1"}, answers={"a#ask": lambda _: ("SUCCESS", {"x": 1})})
    await shop.create()

    await shop.run_all()

    assert told.steps() == [("Ask", ["Note"]), ("Note", ["Done"]), ("Done", [])]
    assert told.events[0]["transition"]["currentStep"] == {
        "name": "Ask", "title": "Ask them", "type": "async_request", "visit": 1, "edge": "on_response",
    }  # fmt: skip
    assert told.events[0]["businessContext"] == {"bill": "B1", "status": "SUCCESS", "x": 1}
    assert told.events[1]["businessContext"] == {"bill": "B1", "status": "SUCCESS", "x": 1, "noted": True}
    assert told.events[0]["workflowContext"] == {
        "workflowInstanceId": INSTANCE, "workflowId": "told_v1", "workflowName": "Told",
        "workflowDefinitionURI": "s3://b/d.yaml",
    }  # fmt: skip
    assert told.events[0]["correlationId"] == "BL-7"
    assert told.attributes[0] == {
        "eventType": "WorkflowStateChange", "workflowId": "told_v1", "step": "Ask", "stepType": "async_request",
    }  # fmt: skip


async def test_errors_are_told(tmp_path: Path) -> None:
    """What a step logged is in its event's messages."""
    shop, told = workshop(tmp_path, answers={"a#ask": lambda _: ("ERROR", {})})
    await shop.create()

    await shop.run_all()

    assert told.steps() == [("Ask", ["Log"]), ("Log", ["Done"]), ("Done", [])]
    assert told.events[1]["messages"][0]["code"] == "E1"


async def test_a_failure_that_nobody_takes_is_told(tmp_path: Path) -> None:
    """It leads nowhere, and says so."""
    shop, told = workshop(
        tmp_path,
        WORKFLOW.replace("on_failure: Log", "error_reply: failure"),
        answers={"a#ask": lambda _: ("ERROR", {})},
    )
    await shop.create()

    await shop.run("Ask")

    assert told.events[0]["transition"]["nextSteps"] == []
    assert told.events[0]["transition"]["currentStep"]["failed"] is True


async def test_items_of_a_map_have_their_branch_key(tmp_path: Path) -> None:
    """Each item tells of its own steps."""
    shop, told = workshop(tmp_path, MAP, context={"packs": [{"id": "p1"}, {"id": "p2"}]})
    await shop.create()

    await shop.run_all()

    submitted = [event for event in told.events if event["transition"]["currentStep"]["name"] == "Submit"]
    assert sorted(event["routingHint"]["branchKey"] for event in submitted) == ["p1", "p2"]
    assert len({event["eventId"] for event in told.events}) == len(told.events)


@pytest.mark.parametrize("task_instance", ["t1", "t2"])
async def test_a_process_that_dies_before_it_has_told(tmp_path: Path, task_instance: str) -> None:
    """The next one tells it, the same task's copy and a later task alike, once in all."""
    shop, told = workshop(tmp_path)
    await shop.create()
    told.hang = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(shop.run("Ask"), 0.3)
    assert told.events == []
    told.hang = False
    shop.new_process()
    shop.platform.topic = told

    assert (await shop.run("Ask", task_instance)).state == "success"

    assert told.steps() == [("Ask", ["Note"]), ("Note", ["Done"]), ("Done", [])]


async def _die(*_: object) -> None:
    raise Died


async def test_a_repeat_has_the_same_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens can tell a repeat of what a process told that died before its region had left."""
    shop, told = workshop(tmp_path)
    await shop.create()
    shop.platform.topic = told
    monkeypatch.setattr(shop.platform.ledger.instances, "put_exit", _die)
    with pytest.raises(Died):
        await shop.run("Ask")
    shop.new_process()
    shop.platform.topic = told
    await shop.run("Ask")

    first, second = told.events[:3], told.events[3:]
    assert [event["eventId"] for event in first] == [event["eventId"] for event in second]


async def test_a_topic_that_is_away_for_a_moment_hears_everything(tmp_path: Path) -> None:
    """Publishing is tried again."""
    shop, told = workshop(tmp_path)
    told.away = 3
    await shop.create()

    await shop.run_all()

    assert told.steps() == [("Ask", ["Note"]), ("Note", ["Done"]), ("Done", [])]


async def test_a_topic_that_stays_away_stops_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a while the events are given up, which is logged, and the instance goes on."""
    monkeypatch.setattr(lifecycle, "PATIENCE", 0.05)
    shop, told = workshop(tmp_path)
    told.away = 10**9
    await shop.create()

    await shop.run_all()

    assert await shop.status() == "completed"
    assert "lifecycle event lost" in caplog.text


async def test_a_topic_that_refuses_an_event_is_no_outage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another try changes nothing: the event is given up at once, and the instance goes on."""
    shop, told = workshop(tmp_path)
    told.refuses = True
    await shop.create()

    with caplog.at_level("WARNING"):  # tests that load Airflow in the same process log errors only
        await shop.run_all()

    assert await shop.status() == "completed"
    assert told.groups == {"BL-7"}
    assert "does not take the event" in caplog.text


async def test_a_context_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    """SNS takes no more than 256 KB: the step is told all the same."""
    shop, told = workshop(
        tmp_path, context={"y": "ü" * 90_000}, answers={"a#ask": lambda _: ("SUCCESS", {"x": "x" * 90_000})}
    )
    await shop.create()

    await shop.run_all()

    assert told.events[0]["businessContext"] == {}
    assert told.events[0]["businessContextOmitted"] is True
