"""What an operator does on a real Airflow when the world was wrong; Airflow's run shows the same afterwards."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack, reply_message, start_message
from tests.e2e.test_moves import NEVER, states
from tests.e2e.test_versions import Workflow

NODES = """entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: other#slow, on_response: Rate, error_reply: failure}
  Rate: {type: sync_call, capability_id: finance#exchange_rate, on_success: Thing}
  Thing: {type: async_request, capability_id: other#thing, input_keys: [code], on_response: Done, error_reply: failure}
  Done: {type: set_state, static_outputs: {done: true}, on_success: E}
  E: {type: end}
"""


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    made = Workflow(stack, tmp_path)
    made.publish(NODES)
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
    return made


def start(workflow: Workflow, silent: str, node: str) -> str:
    """An instance that waits at the node, because its capability does not answer by itself."""
    instance = str(uuid.uuid4())
    workflow.stack.mock_scenario(instance, {"capabilities": {silent: NEVER * 5}})
    workflow.stack.send("orchestrator-command-queue", start_message(workflow.id, {"lines": [], "code": "x"}, instance))
    return workflow.waiting(instance, node)


def mend(stack: Stack, command: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.cch(command, *arguments, "--json").stdout)
    return found


def asked(stack: Stack, instance: str, capability: str) -> list[dict[str, Any]]:
    return [each for each in stack.requests(instance) if each["capability"] == capability]


def answer(stack: Stack, instance: str, capability: str, status: str = "SUCCESS", **payload: Any) -> None:
    """Answer the latest request."""
    body = reply_message(
        instance, capability, payload, status=status, inReplyTo=asked(stack, instance, capability)[-1]["commandId"]
    )
    stack.send("orchestrator-reply-queue", body)


def completed(workflow: Workflow, instance: str) -> dict[str, Any]:
    ended = workflow.stack.finished(instance)
    assert ended["status"] == "completed", ended
    assert workflow.stack.run_ended(workflow.id, instance) == "success"
    assert set(states(workflow.stack, workflow.id, instance).values()) == {"success"}
    return ended


def test_a_failed_instance_is_retried_from_its_node(stack: Stack, workflow: Workflow) -> None:
    """Airflow's run had failed; it goes on, and ends well."""
    instance = start(workflow, "other#thing", "Thing")
    answer(stack, instance, "other#thing", "ERROR", messages=[{"code": "BAD"}])
    assert stack.finished(instance)["status"] == "failed"
    assert stack.run_ended(workflow.id, instance) == "failed"

    done = mend(stack, "retry", instance, "Thing", "--reason", "it answered nonsense")
    assert done["set_aside"] == ["Thing#1"]
    stack.eventually("the second request", lambda: len(asked(stack, instance, "other#thing")) == 2)
    answer(stack, instance, "other#thing")

    ended = completed(workflow, instance)
    assert ended["visited"] == ["Ask", "Rate", "Thing", "Done", "E"]
    assert len(asked(stack, instance, "other#slow")) == 1


def test_an_earlier_node_begins_anew(stack: Stack, workflow: Workflow) -> None:
    """What came after it is done once more, the call on a worker too; the old request is superseded."""
    instance = start(workflow, "other#thing", "Thing")

    done = mend(stack, "retry", instance, "Ask")
    assert done["set_aside"] == ["Ask#1", "Rate#1"]
    stack.eventually("the second request", lambda: len(asked(stack, instance, "other#thing")) == 2)
    answer(stack, instance, "other#thing")

    assert completed(workflow, instance)["visited"] == ["Ask", "Rate", "Thing", "Done", "E"]
    assert len(asked(stack, instance, "other#slow")) == 2


def test_a_node_is_decided_by_hand(stack: Stack, workflow: Workflow) -> None:
    """It was done by telephone: nobody is waited for any more, and what was said is in the context."""
    instance = start(workflow, "other#thing", "Thing")

    mend(stack, "complete", instance, "Thing", "--set", "number=7", "--reason", "by telephone")

    ended = completed(workflow, instance)
    assert ended["context"]["number"] == 7
    assert ended["context"]["done"] is True


def test_a_late_reply_is_the_answer_of_a_retry(stack: Stack, workflow: Workflow) -> None:
    """Nobody waited for it any more, and the instance had ended without it; its capability is not asked again."""
    instance = start(workflow, "other#thing", "Thing")
    mend(stack, "complete", instance, "Thing", "--as", "skipped")
    assert "number" not in completed(workflow, instance)["context"]
    answer(stack, instance, "other#thing", number=7)
    listed = ("messages", "list", "--state", "late", "--instance", instance, "--json")
    (late,) = stack.eventually("the late reply", lambda: json.loads(stack.cch(*listed).stdout)["messages"])

    mend(stack, "retry", instance, "Thing", "--adopt", late["id"], "--reason", "it came after all")

    assert completed(workflow, instance)["context"]["number"] == 7
    assert len(asked(stack, instance, "other#thing")) == 1


def test_the_time_of_an_instance_is_up_and_it_is_mended(stack: Stack, tmp_path: Path) -> None:
    """Its task and its run fail in Airflow, its request is superseded; a retry gives it the whole time again."""
    workflow = Workflow(stack, tmp_path)
    workflow.publish("timeout: 20s\n" + NODES)
    instance = start(workflow, "other#slow", "Ask")

    ended = stack.finished(instance)
    assert (ended["status"], ended["reason"]) == ("failed", "the workflow's timeout of 20 s is up")
    assert stack.run_ended(workflow.id, instance) == "failed"
    assert states(stack, workflow.id, instance)["Ask"] == "failed"

    mend(stack, "retry", instance, "Ask", "--reason", "they were closed for the weekend")
    stack.eventually("the second request", lambda: len(asked(stack, instance, "other#slow")) == 2)
    answer(stack, instance, "other#slow")
    completed(workflow, instance)


def test_a_patch_reaches_what_is_asked_next(stack: Stack, workflow: Workflow) -> None:
    """A person typed the wrong code before anybody was asked with it."""
    instance = start(workflow, "other#slow", "Ask")

    mend(stack, "patch", instance, "--set", "code=right", "--reason", "a typing error")
    answer(stack, instance, "other#slow")

    completed(workflow, instance)
    (sent,) = asked(stack, instance, "other#thing")
    assert "right" in json.dumps(sent["body"])


def test_who_would_ask_a_held_capability_waits_until_it_is_back(stack: Stack, workflow: Workflow) -> None:
    """A call on a worker gives its place up meanwhile; a request is not sent; both go on at the release."""
    for capability, task in (("finance#exchange_rate", "Rate"), ("other#thing", "Thing")):
        mend(stack, "hold", "--capability", capability, "--reason", "the others are down")
        instance = str(uuid.uuid4())
        stack.send("orchestrator-command-queue", start_message(workflow.id, {"lines": [], "code": "x"}, instance))
        stack.eventually("a held instance", lambda one=instance: "held" in stack.item(f"INST#{one}", "META"))
        stack.eventually(
            f"{task} off the worker", lambda one=instance, its=task: states(stack, workflow.id, one)[its] == "deferred"
        )
        assert asked(stack, instance, "other#thing") == []

        released = mend(stack, "release", "--capability", capability, "--rate", "50")
        assert released["held"] == 1
        completed(workflow, instance)
        stack.eventually("the end of the hold", lambda: not mend(stack, "holds")["items"])


def test_a_held_instance_waits_with_its_reply(stack: Stack, workflow: Workflow) -> None:
    """The reply comes while it is held; nothing is asked before the release."""
    instance = start(workflow, "other#slow", "Ask")

    mend(stack, "hold", instance, "--reason", "customs is down")
    answer(stack, instance, "other#slow")
    command = asked(stack, instance, "other#slow")[0]["commandId"]
    stack.eventually("the reply", lambda: stack.item(f"REQ#{command}").get("state") == "answered")
    assert asked(stack, instance, "other#thing") == []
    mend(stack, "release", instance)

    completed(workflow, instance)
    assert len(asked(stack, instance, "other#thing")) == 1
