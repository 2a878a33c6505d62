"""Regions begin where the region before has left; Airflow's tasks follow, and find their work done."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Stack, reply_message
from tests.e2e.test_versions import CONTEXT, Workflow

CHAIN = """entry_point: First
nodes:
  First: {type: async_request, capability_id: other#first, on_response: Second}
  Second: {type: async_request, capability_id: other#second, on_response: Third}
  Third: {type: async_request, capability_id: other#third, on_response: Done}
  Done: {type: end}
"""
NEVER = {"never": True}


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    made = Workflow(stack, tmp_path)
    made.publish(CHAIN)
    return made


def start(workflow: Workflow, *silent: str) -> str:
    """An instance that waits at ``First``; what is ``silent`` never answers."""
    instance = str(uuid.uuid4())
    scenario = {f"other#{name}": [NEVER] for name in ("first", *silent)}
    workflow.stack.mock_scenario(instance, {"capabilities": scenario})
    workflow.stack.start(workflow.id, CONTEXT, instance)
    return workflow.waiting(instance, "First")


def reply(workflow: Workflow, instance: str, capability: str) -> None:
    (request,) = (each for each in workflow.stack.requests(instance) if each["capability"] == capability)
    message = reply_message(instance, capability, {}, inReplyTo=request["commandId"], status="SUCCESS")
    workflow.stack.send("orchestrator-reply-queue", message)


@contextmanager
def no_scheduler(stack: Stack) -> Iterator[None]:
    """Airflow lets no task begin meanwhile."""
    stack.local.processes.signal("scheduler", signal.SIGSTOP)
    try:
        yield
    finally:
        stack.local.processes.signal("scheduler", signal.SIGCONT)


def assert_all_once(workflow: Workflow, instance: str) -> None:
    stack = workflow.stack
    assert stack.finished(instance)["status"] == "completed"
    assert stack.run_ended(workflow.id, instance) == "success"
    assert stack.task_states(workflow.id, instance) == dict.fromkeys(("First", "Second", "Third", "Done"), "success")
    commands = {(each["capability"], each["commandId"]) for each in stack.requests(instance)}
    assert Counter(capability for capability, _ in commands) == {
        "other#first": 1, "other#second": 1, "other#third": 1
    }  # fmt: skip
    answer = stack.cch("ledger", "check", check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_an_instance_comes_to_its_end_while_no_scheduler_works(stack: Stack, workflow: Workflow) -> None:
    """Each reply reaches the next request within the triggerer; Airflow's graph shows every node afterwards."""
    instance = start(workflow)
    with no_scheduler(stack):
        reply(workflow, instance, "other#first")

        assert stack.finished(instance)["status"] == "completed"
        states = stack.task_states(workflow.id, instance)
        assert (states["Second"], states["Third"]) == (None, None)

    assert_all_once(workflow, instance)


def test_a_triggerer_dies_that_runs_ahead(stack: Stack, workflow: Workflow) -> None:
    """The request was sent by a copy that is gone: the task waits for its reply, and nothing is asked twice."""
    instance = start(workflow, "second")
    with no_scheduler(stack):
        reply(workflow, instance, "other#first")
        workflow.waiting(instance, "Second")
        before = stack.local.processes.pid("triggerer")
        stack.local.processes.signal("triggerer", signal.SIGKILL)
        stack.eventually("another triggerer", lambda: stack.local.processes.pid("triggerer") not in (None, before))
    reply(workflow, instance, "other#second")

    assert_all_once(workflow, instance)


def test_a_paused_dag_holds_back_what_would_run_ahead(stack: Stack, workflow: Workflow) -> None:
    """The region that runs may end; none after it begins before somebody lets the DAG go on."""
    instance = start(workflow)
    assert stack.api("PATCH", f"/dags/{workflow.id}", {"is_paused": True})[0] == 200
    reply(workflow, instance, "other#first")
    stack.eventually("the end of First", lambda: stack.task_states(workflow.id, instance)["First"] == "success")

    assert [each["capability"] for each in stack.requests(instance)] == ["other#first"]
    assert stack.api("PATCH", f"/dags/{workflow.id}", {"is_paused": False})[0] == 200

    assert_all_once(workflow, instance)


def test_a_held_instance_runs_no_further_ahead(stack: Stack, workflow: Workflow) -> None:
    """A copy that waits takes its reply, but asks nobody else until the instance is released."""
    instance = start(workflow, "second")
    with no_scheduler(stack):
        reply(workflow, instance, "other#first")
        workflow.waiting(instance, "Second")
        stack.cch("hold", instance, "--reason", "customs is down")
        reply(workflow, instance, "other#second")
        stack.eventually("the reply", lambda: _is_answered(workflow, instance))
        assert "other#third" not in [each["capability"] for each in stack.requests(instance)]
    stack.cch("release", instance)

    assert_all_once(workflow, instance)


def _is_answered(workflow: Workflow, instance: str) -> bool:
    (request,) = (each for each in workflow.stack.requests(instance) if each["capability"] == "other#second")
    return str(workflow.stack.item(f"REQ#{request['commandId']}").get("state")) == "answered"
