"""Loops, events, maps and schedules on a real Airflow."""

from __future__ import annotations

import json
import signal
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack


def event(instance: str, payload: dict[str, Any], branch: str = "") -> dict[str, Any]:
    hint = {"routingHint": {"branchKey": branch}} if branch else {}
    command = {
        "type": "EVENT_WAIT_RESP", "id": str(uuid.uuid4()), "source": "tests", "timestamp": "2026-01-05T08:00:00Z",
        "payload": payload, **hint,
    }  # fmt: skip
    return {"workflowInstanceId": instance, "command": command}


def waits_at(stack: Stack, instance: str, node: str, branch: str = "-") -> bool:
    answer = stack.client("dynamodb").query(
        TableName="cch-dev-local-workflow-state-table",
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"BOX#{instance}#{branch}"}, ":sk": {"S": "EVT#"}},
        ConsistentRead=True,
    )
    return any(item["node"]["S"] == node and item["state"]["S"] == "open" for item in answer["Items"])


def test_a_loop_with_a_person_survives_a_killed_triggerer(stack: Stack) -> None:
    """An ERROR asks a person; the triggerer dies while he thinks; his event, by `cch event`, turns the loop."""
    instance, correlation = str(uuid.uuid4()), f"BOL-{uuid.uuid4().hex[:8]}"
    enrich = [
        {"status": "ERROR", "payload": {"messages": [{"code": "HITL"}]}},
        {"payload": {"consignmentImportEnrichedId": "e-1"}},
    ]
    stack.mock_scenario(instance, {"capabilities": {"import#enrich_consignment": enrich}})
    message = {"consignmentId": "c-1"}
    stack.start("import_correction_v1", message, instance, correlation_id=correlation)
    stack.eventually("the wait for a person", lambda: waits_at(stack, instance, "Wait_For_Correction"))
    stack.local.processes.stop(["triggerer"], signal.SIGKILL)
    stack.local.start(lambda _line: None)

    stack.cch("event", correlation, "--set", "messages=[]")

    done = stack.finished(instance)
    assert done["status"] == "completed"
    assert done["visited"] == [
        "Enrich_Consignment", "Check_Enrichment", "Wait_For_Correction", "Clear_Status",
        "Enrich_Consignment", "Check_Enrichment", "Create_Declaration", "Done",
    ]  # fmt: skip
    assert done["context"]["consignmentImportEnrichedId"] == "e-1"
    states = stack.task_states("import_correction_v1", instance)
    assert "Check_Enrichment" not in states  # the loop is one task
    assert stack.run_ended("import_correction_v1", instance) == "success"
    asked = [request["capability"] for request in stack.requests(instance)]
    assert asked.count("import#enrich_consignment") == 2


def test_a_map_whose_items_wait_for_their_own_events(stack: Stack) -> None:
    """Three packs are submitted side by side and released one after the other, by events with their branch keys."""
    instance = str(uuid.uuid4())
    packs = [{"filingPackId": f"fpk-{number}"} for number in range(3)]
    stack.start("filing_packs_v1", {"consignment": {"filingPacks": packs}}, instance)
    for pack in packs:
        branch = pack["filingPackId"]
        stack.eventually(
            f"the wait of {branch}", lambda branch=branch: waits_at(stack, instance, "Wait_For_Customs", branch)
        )

    for pack in reversed(packs):
        released = {"customStatus": {"latestStatus": {"status": "RELEASED"}}}
        stack.send("orchestrator-command-queue", event(instance, released, pack["filingPackId"]))

    done = stack.finished(instance)
    assert done["status"] == "completed"
    results = done["context"]["filingResults"]
    assert [result["filingPackId"] for result in results] == ["fpk-0", "fpk-1", "fpk-2"]
    assert all(result["customStatus"]["latestStatus"]["status"] == "RELEASED" for result in results)
    branches = {request["branch"] for request in stack.requests(instance)}
    assert branches == {"fpk-0", "fpk-1", "fpk-2"}


def test_a_scheduled_request_whose_date_has_passed_is_sent_at_once(stack: Stack) -> None:
    """The date comes from a file in S3, ten days are taken off it, and the filing is done."""
    bucket, key = "cch-dev-local-eventdata-bucket", f"consignments/{uuid.uuid4()}.json"
    body = json.dumps({"plannedDischargeDate": "2026-01-31T00:00:00Z"}).encode()
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    instance = stack.start("scheduled_filing_v1", {"consignmentURI": f"s3://{bucket}/{key}"})

    done = stack.finished(instance)
    assert done["status"] == "completed"
    assert done["visited"] == ["Read_Date", "Ten_Days_Before", "File", "Scheduled", "File", "Mark_Filed", "Done"]
    assert done["context"]["filing"] == {"state": "FILED"}
    assert done["context"]["dates"]["filing"] == "2026-01-21T00:00:00Z"


@pytest.mark.parametrize(
    ("scenario", "scale"),
    [
        ("import_correction_v1/a-person-resolves-it", "0.0001"),
        ("filing_packs_v1/released-after-weeks", "0.000005"),
        ("filing_packs_v1/one-pack-fails", "0.001"),
        ("consolidation_v1/all-houses-are-filed", "0.001"),
        ("informal_entry_v1/formal", "0.001"),
    ],
)
def test_a_scenario_gives_the_same_on_airflow(stack: Stack, scenario: str, scale: str) -> None:
    """What `cch test` runs in virtual time holds on a running stack: status, visits, context and requests."""
    workflow = scenario.split("/", maxsplit=1)[0]

    answer = stack.cch(
        "run", workflow, "--scenario", f"scenarios/{scenario}.yaml", "--time-scale", scale,
        "--still", "240", "--json", check=False,
    )  # fmt: skip

    result = json.loads(answer.stdout)
    assert result["differences"] == []
    assert result["status"] == "completed"
    assert answer.returncode == 0


ITEMS = """
workflow_id: e2e_items
workflow_name: Items with tasks of their own
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: packs, branch_key: id, branch_entry_node: Submit, concurrency: 2}
  Submit: {type: async_request, capability_id: "import#submit", on_response: Out, error_reply: failure}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done, destination: results}
  Done: {type: end}
"""
LAYOUTS = """
workflow_id: e2e_whole
workflow_name: Everything that needs no worker in one task
entry_point: Plan
execution: {granularity: workflow}
nodes:
  Plan:
    type: scheduled_request
    capability_id: "import#file"
    schedule_parameters: {date_context_key: date}
    on_success: Meanwhile
    on_response: Filed
  Meanwhile: {type: async_request, capability_id: "import#meanwhile", on_response: Stop}
  Stop: {type: end}
  Filed: {type: library_call, library_function_id: "core#calculate_timedelta", on_success: Check,
    parameters: {date_context_key: date, timedelta: {days: 1}}, output_key: next}
  Check: {type: async_request, capability_id: "import#check", on_response: Done}
  Done: {type: end}
"""


def publish(stack: Stack, folder: Path, workflow: str, text: str) -> None:
    (folder / f"{workflow}.yaml").write_text(text)
    stack.cch("publish", str(folder / f"{workflow}.yaml"))
    stack.eventually(f"the DAG {workflow}", lambda: stack.api("GET", f"/dags/{workflow}")[0] == 200)


RESTRUCTURED = """
workflow_id: e2e_restructured
workflow_name: Another structure while it runs
entry_point: Hold
nodes:
  Hold: {type: event_wait, event_key: go, on_success: Ask}
  Ask: {type: async_request, capability_id: "import#restructured", on_response: Done}
  Done: {type: end}
"""


def test_another_structure_under_a_running_instance(stack: Stack, tmp_path: Path) -> None:
    """It goes on by its own tasks, also by one that what is published no longer has."""
    workflow, other = "e2e_restructured", RESTRUCTURED.replace("Ask", "Query")
    publish(stack, tmp_path, workflow, RESTRUCTURED)
    instance = stack.start(workflow, {})
    stack.eventually("the wait for the event", lambda: waits_at(stack, instance, "Hold"))
    file = tmp_path / f"{workflow}.yaml"
    file.write_text(other)
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")

    def has(task: str) -> bool:
        _, answer = stack.api("GET", f"/dags/{workflow}/tasks")
        return task in [each["task_id"] for each in answer["tasks"]]

    stack.cch("publish", str(file))
    stack.eventually("the other structure", lambda: has("Query"))
    stack.send("orchestrator-command-queue", event(instance, {"go": True}))

    stack.eventually("its end", lambda: stack.status(instance)["status"] == "completed")
    assert stack.run_ended(workflow, instance) == "success"
    assert "Ask" in stack.task_states(workflow, instance)
    assert len(stack.requests(instance)) == 1


def items(stack: Stack, workflow: str, run: str) -> dict[str, str]:
    """State of each mapped task, by the name that Airflow shows for it."""
    _, answer = stack.api("GET", f"/dags/{workflow}/dagRuns/{run}/taskInstances?limit=200")
    return {
        ti["rendered_map_index"]: ti["state"]
        for ti in answer["task_instances"]
        if ti["task_id"] == "Fan__items" and ti["map_index"] >= 0
    }


def test_a_failed_item_is_cleared_in_airflow_and_done_alone(stack: Stack, tmp_path: Path) -> None:
    """Each item is a task named by its branch key; the one that failed is cleared, and the workflow completes."""
    publish(stack, tmp_path, "e2e_items", ITEMS)
    instance = str(uuid.uuid4())
    broken = {"branch": "b", "status": "ERROR", "payload": {"messages": [{"code": "X"}]}}
    answers = [{"payload": {"filed": True}}, broken]
    stack.mock_scenario(instance, {"capabilities": {"import#submit": answers}})
    stack.start("e2e_items", {"packs": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}, instance)
    assert stack.finished(instance)["status"] == "failed"
    assert stack.run_ended("e2e_items", instance) == "failed"
    assert items(stack, "e2e_items", instance) == {"a": "success", "b": "failed", "c": "success"}
    stack.mock_scenario(instance, {"capabilities": {"import#submit": [{"payload": {"filed": True}}]}})

    clear = {"dry_run": False, "dag_run_id": instance, "only_failed": True, "include_downstream": True,
             "task_ids": [["Fan__items", 1]]}  # fmt: skip
    status, _ = stack.api("POST", "/dags/e2e_items/clearTaskInstances", clear)

    assert status == 200
    assert stack.run_ended("e2e_items", instance) == "success"
    done = stack.status(instance)
    assert done["status"] == "completed"
    assert [result["filed"] for result in done["context"]["results"]] == [True, True, True]
    asked = [request["branch"] for request in stack.requests(instance)]
    assert sorted(asked) == ["a", "b", "b", "c"]


def test_a_failed_item_is_retried_by_a_person_and_done_alone(stack: Stack, tmp_path: Path) -> None:
    """Airflow runs its task again, and the map's behind it; the run that had failed succeeds."""
    publish(stack, tmp_path, "e2e_retried", ITEMS.replace("e2e_items", "e2e_retried"))
    instance = str(uuid.uuid4())
    broken = {"branch": "b", "status": "ERROR", "payload": {"messages": [{"code": "X"}]}}
    stack.mock_scenario(instance, {"capabilities": {"import#submit": [{"payload": {"filed": True}}, broken]}})
    stack.start("e2e_retried", {"packs": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}, instance)
    assert stack.finished(instance)["status"] == "failed"
    assert stack.run_ended("e2e_retried", instance) == "failed"
    stack.mock_scenario(instance, {"capabilities": {"import#submit": [{"payload": {"filed": True}}]}})

    stack.cch("retry", instance, "Submit", "--item", "b", "--reason", "it answered nonsense")

    assert stack.run_ended("e2e_retried", instance) == "success"
    done = stack.status(instance)
    assert done["status"] == "completed"
    assert [result["filed"] for result in done["context"]["results"]] == [True, True, True]
    assert sorted(request["branch"] for request in stack.requests(instance)) == ["a", "b", "b", "c"]
    assert items(stack, "e2e_retried", instance) == {"a": "success", "b": "success", "c": "success"}


def test_a_whole_workflow_in_one_task(stack: Stack, tmp_path: Path) -> None:
    """A request goes out while the schedule waits for its date; a call beside it needs no task of its own."""
    publish(stack, tmp_path, "e2e_whole", LAYOUTS)
    date = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()

    instance = stack.start("e2e_whole", {"date": date})

    done = stack.finished(instance)
    assert done["status"] == "completed"
    assert done["visited"] == ["Plan", "Meanwhile", "Stop", "Plan", "Filed", "Check", "Done"]
    assert stack.run_ended("e2e_whole", instance) == "success"
    states = stack.task_states("e2e_whole", instance)
    assert set(states.values()) == {"success"}
    assert len(states) <= 3


def test_the_ledger_balances_after_all_of_it(stack: Stack) -> None:
    """Events and map items are accounted for, too."""
    answer = stack.cch("ledger", "check", check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr
