"""Instances go to another version of their workflow on a real Airflow, while everything runs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack, reply_message, start_message
from tests.e2e.test_versions import Workflow

#: Waits, asks, decides, calls, and asks for each of its lines.
FIRST = """entry_point: Wait
nodes:
  Wait: {type: event_wait, event_key: go, on_event: Ask}
  Ask: {type: async_request, capability_id: other#slow, on_response: Rate, error_reply: failure}
  Rate: {type: sync_call, capability_id: finance#exchange_rate, on_success: Lines}
  Lines: {type: map_fork, input_list_key: lines, branch_key: line, branch_entry_node: Line}
  Line: {type: async_request, capability_id: other#thing, on_response: Line_Done, error_reply: failure}
  Line_Done: {type: end_branch}
  Joined: {type: join, join_branches: [Lines], destination: lines, on_success: E}
  E: {type: end}
"""
#: Another event, a check before ``Ask``, which is called ``Request``; no ``Rate``; a wait at the end.
SECOND = """entry_point: Wait
nodes:
  Wait: {type: event_wait, event_key: start, on_event: Check}
  Check: {type: set_state, static_outputs: {checked: true}, on_success: Request}
  Request: {type: async_request, capability_id: other#slow, on_response: Lines, error_reply: failure}
  Lines: {type: map_fork, input_list_key: lines, branch_key: line, branch_entry_node: Line}
  Line: {type: async_request, capability_id: other#thing, on_response: Line_Done, error_reply: failure}
  Line_Done: {type: end_branch}
  Joined: {type: join, join_branches: [Lines], destination: lines, on_success: Told}
  Told: {type: event_wait, event_key: told, on_event: E}
  E: {type: end}
"""
CONTEXT: dict[str, Any] = {"lines": [{"line": "a"}, {"line": "b"}]}
NEVER = [{"never": True}]


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    return Workflow(stack, tmp_path)


@pytest.fixture
def published(stack: Stack, workflow: Workflow) -> Workflow:
    workflow.publish(FIRST)
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
    return workflow


def start(workflow: Workflow, node: str, silent: str = "") -> str:
    """An instance that waits at the node, and whose capability ``silent`` never answers."""
    instance = str(uuid.uuid4())
    if silent:
        workflow.stack.mock_scenario(instance, {"capabilities": {silent: NEVER * 5}})
    workflow.stack.send("orchestrator-command-queue", start_message(workflow.id, CONTEXT, instance))
    workflow.waiting(instance, "Wait")
    if node != "Wait":
        workflow.event(instance, "go=true")
        workflow.waiting(instance, node)
    return instance


def migrate(stack: Stack, *arguments: str, check: bool = True) -> dict[str, Any]:
    answer = stack.cch("migrate", *arguments, "--json", check=check)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def states(stack: Stack, workflow: str, instance: str) -> dict[str, str]:
    _, found = stack.api("GET", f"/dags/{workflow}/dagRuns/{instance}/taskInstances")
    return {task["task_id"]: str(task["state"]) for task in found["task_instances"] if task["map_index"] < 0}


def finish(workflow: Workflow, instance: str) -> list[str]:
    """The nodes that the instance has visited by its good end; Airflow's run has ended well, too."""
    workflow.waiting(instance, "Told")
    workflow.event(instance, "told=true")
    ended = workflow.stack.finished(instance)
    assert ended["status"] == "completed", ended
    assert workflow.stack.run_ended(workflow.id, instance) == "success"
    return [name.partition("[")[0] for name in ended["visited"]]


def test_an_instance_takes_the_event_of_the_corrected_version(stack: Stack, published: Workflow) -> None:
    """A preview changes nothing; then it waits for the other key, and ends by the other graph."""
    instance = start(published, "Wait")
    published.publish(SECOND)

    preview = migrate(stack, instance, "--to", "2", "--dry-run")
    before = published.mark(instance)
    moved = migrate(stack, instance, "--reason", "the key was wrong")

    assert preview["instances"][0]["outcome"] == "could be moved"
    assert moved["instances"][0]["notes"] == ["'Wait' waits for an event with 'start' from now on"]
    assert published.mark(instance) != before
    published.event(instance, "start=true")
    assert finish(published, instance)[:3] == ["Wait", "Check", "Request"]
    assert {"Ask", "Rate"}.isdisjoint(states(stack, published.id, instance))


def test_an_open_request_goes_on_under_another_name(stack: Stack, published: Workflow) -> None:
    """The same command id is answered, at a node that has another name by then; nobody is asked twice."""
    instance = start(published, "Ask", "other#slow")
    published.publish(SECOND)

    without = migrate(stack, instance, "--dry-run")
    moved = migrate(stack, instance, "--rename", "Ask=Request")

    assert without["instances"][0]["superseded"], "a node that is gone, as far as one can tell"
    (asked,) = stack.requests(instance)
    assert moved["instances"][0]["after"] == ["Request"]
    body = reply_message(instance, "other#slow", {"answered": 1}, inReplyTo=asked["commandId"])
    stack.send("orchestrator-reply-queue", body)
    visited = finish(published, instance)
    assert visited[:2] == ["Wait", "Request"]
    assert sum(each["capability"] == "other#slow" for each in stack.requests(instance)) == 1


def test_items_of_a_map_go_on(stack: Stack, published: Workflow) -> None:
    """Their tasks and their requests stay as they are; what lies behind the map is that of the version."""
    instance = start_at_lines(published)
    published.publish(SECOND)

    moved = migrate(stack, instance)

    assert len(moved["instances"][0]["kept"]) == 2, moved
    for asked in [each for each in stack.requests(instance) if each["capability"] == "other#thing"]:
        body = reply_message(instance, "other#thing", {"ok": 1}, inReplyTo=asked["commandId"])
        stack.send("orchestrator-reply-queue", body)
    visited = finish(published, instance)
    assert visited.count("Line") == 2
    assert "Rate" in visited


def start_at_lines(workflow: Workflow) -> str:
    instance = start(workflow, "Wait", "other#thing")
    workflow.event(instance, "go=true")

    def asks() -> bool:
        return sum(each["capability"] == "other#thing" for each in workflow.stack.requests(instance)) == 2

    workflow.stack.eventually("two requests of items", asks)
    return instance


def test_what_cannot_be_moved_says_why(stack: Stack, published: Workflow) -> None:
    """An unknown version, the same version, an instance that has ended, a node that is none: nothing changes."""
    instance = start(published, "Wait")

    unknown = stack.cch("migrate", instance, "--to", "77", check=False)
    same = migrate(stack, instance, check=False)
    published.publish(SECOND)
    wrong = migrate(stack, instance, "--rename", "Nobody=Request", check=False)
    stack.call("POST", f"/cch/api/v1/instances/{instance}/cancel", {})
    ended = migrate(stack, instance, check=False)

    assert unknown.returncode == 2
    assert "has no version '77'" in unknown.stderr
    assert "runs that version already" in same["instances"][0]["reason"]
    assert "no node 'Nobody'" in wrong["instances"][0]["reason"]
    assert "the instance is cancelled" in ended["instances"][0]["reason"]


def test_many_are_moved_at_once(stack: Stack, published: Workflow) -> None:
    """All live instances of a version, wherever they stand; each ends by the version that it was moved to."""
    instances = [start(published, "Wait") for _ in range(3)]
    asking = start(published, "Ask", "other#slow")
    published.publish(SECOND)

    answer = migrate(stack, published.id, "--all", "--from", "1", "--rename", "Ask=Request")

    assert {each["outcome"] for each in answer["instances"]} == {"moved"}
    assert {each["id"] for each in answer["instances"]} == {*instances, asking}
    for instance in instances:
        published.event(instance, "start=true")
    for instance in instances:
        finish(published, instance)
