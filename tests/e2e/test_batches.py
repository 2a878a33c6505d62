"""Batches on a real Airflow: a group of failed instances is run again while an API server is killed."""

from __future__ import annotations

import json
import signal
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TABLE, Stack, start_message
from tests.e2e.test_versions import Workflow

NODES = """entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: other#thing, on_response: Told, error_reply: failure}
  Told: {type: event_wait, event_key: told, on_event: E}
  E: {type: end}
"""
#: A capability that answers nonsense once, and then as it should.
NONSENSE = [{"status": "ERROR", "payload": {"messages": [{"code": "NONSENSE"}]}}, {"payload": {"number": 7}}]
MANY = 12


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    made = Workflow(stack, tmp_path)
    made.publish(NODES)
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
    return made


def start(workflow: Workflow, answers: list[Any]) -> str:
    instance = str(uuid.uuid4())
    workflow.stack.mock_scenario(instance, {"capabilities": {"other#thing": answers}})
    workflow.stack.send("orchestrator-command-queue", start_message(workflow.id, {"lines": []}, instance))
    return instance


def group_of(stack: Stack, workflow: str, count: int) -> dict[str, Any]:
    """The incident of the workflow, once all of its instances are in it."""

    def look() -> Any:
        items = stack.call("GET", "/cch/api/v1/incidents")[1]["items"]
        return [each for each in items if each["workflow_id"] == workflow and each["count"] == count]

    found: dict[str, Any] = stack.eventually(f"a group of {count}", look)[0]
    return found


def results(stack: Stack, batch: str) -> list[dict[str, Any]]:
    """As the ledger has them: the API server is not asked."""
    answer = stack.client("dynamodb").query(
        TableName=TABLE, ConsistentRead=True, KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"BATCH#{batch}"}, ":sk": {"S": "RESULT#"}},
    )  # fmt: skip
    return [{name: next(iter(value.values())) for name, value in item.items()} for item in answer["Items"]]


def test_a_group_is_run_again_while_the_api_server_is_killed(stack: Stack, workflow: Workflow) -> None:
    """Another server finishes the batch, asked by nobody; each instance asks once more, and ends well."""
    instances = [start(workflow, NONSENSE) for _ in range(MANY)]
    for instance in instances:
        assert stack.finished(instance)["status"] == "failed"
        assert stack.run_ended(workflow.id, instance) == "failed"
    group = group_of(stack, workflow.id, MANY)

    begun = json.loads(
        stack.cch(
            "batch", "start", "retry", "--incident", group["id"], "--rate", "1", "--reason", "it answered nonsense",
            "--yes", "--no-watch", "--json",
        ).stdout
    )  # fmt: skip
    batch = begun["id"]
    stack.eventually("some results", lambda: len(results(stack, batch)) >= 3)
    before = stack.local.processes.pid("api-server")
    stack.local.processes.signal("api-server", signal.SIGKILL)
    at_the_blow = len(results(stack, batch))
    stack.eventually("another API server", lambda: stack.local.processes.pid("api-server") not in (None, before))
    stack.eventually("the end of the batch", lambda: stack.item(f"BATCH#{batch}", "META").get("state") == "done")

    assert begun["total"] == MANY
    assert at_the_blow < MANY
    assert Counter(each["result"] for each in results(stack, batch)) == {"done": MANY}
    for instance in instances:
        workflow.waiting(instance, "Told")
        workflow.event(instance, "told=true")
    for instance in instances:
        ended = stack.finished(instance)
        assert ended["status"] == "completed", ended
        assert stack.run_ended(workflow.id, instance) == "success"
        assert len(stack.requests(instance)) == 2
        detail = stack.call("GET", f"/cch/api/v1/instances/{instance}")[1]
        assert [(each["kind"], each["batch"], each["by"]) for each in detail["actions"]] == [
            ("retried", batch, begun["by"])
        ]
    log = stack.call("GET", f"/api/v2/eventLogs?dag_id={workflow.id}&event=cch_retried&limit=100")[1]
    assert {each["run_id"] for each in log["event_logs"]} == set(instances)
    check = stack.cch("ledger", "check", check=False)
    assert check.returncode == 0, check.stdout


def test_a_batch_is_paused_resumed_and_stopped(stack: Stack, workflow: Workflow) -> None:
    """Instances that wait are held one after the other; what has not begun when it is stopped goes on."""
    instances = [start(workflow, [{"payload": {}}]) for _ in range(4)]
    for instance in instances:
        workflow.waiting(instance, "Told")
    options = ("--workflow", workflow.id, "--state", "waiting", "--rate", "0.01", "--yes", "--no-watch", "--json")
    batch = json.loads(stack.cch("batch", "start", "hold", *options).stdout)["id"]

    stack.eventually("the first result", lambda: results(stack, batch))
    assert json.loads(stack.cch("batch", "pause", batch, "--json").stdout)["state"] == "paused"
    stack.eventually("nobody works on it", lambda: "owner" not in stack.item(f"BATCH#{batch}", "META"))
    paused = len(results(stack, batch))
    assert paused < 4
    stack.cch("batch", "resume", batch)
    stack.eventually("another result", lambda: len(results(stack, batch)) > paused)
    stack.cch("batch", "stop", batch)
    stack.eventually("nobody works on it", lambda: "owner" not in stack.item(f"BATCH#{batch}", "META"))

    shown = json.loads(stack.cch("batch", "show", batch, "--json").stdout)
    held = {each["instance_id"] for each in shown["results"]}
    assert (shown["state"], shown["done"], shown["left"]) == ("stopped", len(held), 4 - len(held))
    refused = stack.cch("batch", "resume", batch, check=False)
    assert refused.returncode == 1
    assert "stopped" in refused.stderr
    options = ("--workflow", workflow.id, "--state", "waiting", "--yes", "--rate", "50", "--json")
    released = stack.cch("batch", "start", "release", *options, check=False)
    assert released.returncode == 1  # not to all of them: some were not held
    assert (json.loads(released.stdout)["done"], json.loads(released.stdout)["refused"]) == (len(held), 4 - len(held))
    for instance in instances:
        workflow.event(instance, "told=true")
        assert stack.finished(instance)["status"] == "completed"
