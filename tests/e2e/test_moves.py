"""Instances go to another version of their workflow on a real Airflow, while everything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.test_versions import Workflow

#: Waits, asks, calls and decides.
FIRST = """entry_point: Wait
nodes:
  Wait: {type: event_wait, event_key: go, on_event: Ask}
  Ask: {type: async_request, capability_id: other#slow, on_response: Rate, error_reply: failure}
  Rate: {type: sync_call, capability_id: finance#exchange_rate, on_success: E}
  E: {type: end}
"""
#: ``Ask`` is called ``Request``, ``Check`` is new before it, ``Told`` waits behind it, and ``Rate`` is gone.
SECOND = """entry_point: Wait
nodes:
  Wait: {type: event_wait, event_key: start, on_event: Check}
  Check: {type: set_state, static_outputs: {checked: true}, on_success: Request}
  Request: {type: async_request, capability_id: other#slow, on_response: Told, error_reply: failure}
  Told: {type: event_wait, event_key: told, on_event: E}
  E: {type: end}
"""
CONTEXT: dict[str, Any] = {"lines": []}


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    return Workflow(stack, tmp_path)


def migrate(stack: Stack, *arguments: str, check: bool = True) -> dict[str, Any]:
    answer = stack.cch("migrate", *arguments, "--json", check=check)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def states(stack: Stack, workflow: str, instance: str) -> dict[str, str]:
    _, found = stack.api("GET", f"/dags/{workflow}/dagRuns/{instance}/taskInstances")
    return {task["task_id"]: str(task["state"]) for task in found["task_instances"]}


def test_waiting_instances_go_to_the_version_that_corrects_them(stack: Stack, workflow: Workflow) -> None:
    """One waits for an event whose key was wrong, one for a reply at a node that has another name: both end there."""
    stack.mock("PUT", "/scenario", {"other#slow": {"steps": [{"delay": "1h"}]}}) if False else None
    workflow.publish(FIRST)
    event = workflow.start("Wait")
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
    workflow.publish(SECOND)

    preview = migrate(stack, event, "--to", "2", "--dry-run")
    moved = migrate(stack, event, "--reason", "the key was wrong")

    assert preview["instances"][0]["outcome"] == "could be moved"
    assert moved["instances"][0]["after"] == ["Wait"]
    workflow.event(event, "start=true")
    workflow.waiting(event, "Told")
    workflow.event(event, "told=true")
    ended = stack.finished(event)
    assert ended["status"] == "completed"
    assert ended["visited"] == ["Wait", "Check", "Request", "Told", "E"]
    assert stack.run_ended(workflow.id, event) == "success"
    assert states(stack, workflow.id, event) == {
        "Wait": "success", "Check": "success", "Request": "success", "Told": "success", "E": "success",
        "Ask": "removed", "Rate": "removed",
    }  # fmt: skip
    assert len(stack.requests(event)) == 1
