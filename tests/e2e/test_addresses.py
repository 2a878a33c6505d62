"""Items of maps inside maps, addressed from outside on a real Airflow."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.e2e.conftest import Stack

NESTED = """
workflow_id: {workflow}
workflow_name: Lines of packs
entry_point: Packs
nodes:
  Packs: {{type: map_fork, execution: inline, input_list_key: packs, branch_key: id, branch_entry_node: Lines}}
  Lines:
    type: map_fork
    input_list_key: current_map_item.lines
    branch_key: number
    branch_entry_node: Released
    item_key: line
  Released: {{type: event_wait, event_key: released, on_event: Line_End}}
  Line_End: {{type: end_branch}}
  All_Lines: {{type: join, join_branches: [Lines], on_success: Pack_End}}
  Pack_End: {{type: end_branch}}
  All_Packs: {{type: join, join_branches: [Packs], on_success: Done}}
  Done: {{type: end}}
"""


def test_an_event_finds_one_of_two_items_with_the_same_key(stack: Stack, tmp_path: Path) -> None:
    """Its own key alone is an orphan that says how to address it; the path of keys is understood by `cch event`."""
    workflow = f"addresses_{uuid.uuid4().hex[:8]}"
    file = tmp_path / "d.yaml"
    file.write_text(NESTED.format(workflow=workflow))
    stack.cch("publish", str(file))
    packs = [{"id": pack, "lines": [{"number": "1"}]} for pack in ("A", "B")]
    instance = stack.start(workflow, {"packs": packs})
    stack.eventually("both lines wait", lambda: len(open_waits(stack, instance)) == 2)

    guess = {
        "type": "EVENT_WAIT_RESP", "id": "e", "source": "tests", "timestamp": "2026-01-05T08:00:00Z",
        "payload": {"released": "?"}, "routingHint": {"branchKey": "1"},
    }  # fmt: skip
    message = stack.send("orchestrator-command-queue", {"workflowInstanceId": instance, "command": guess})
    orphan = stack.fate("orchestrator-command-queue", message)
    for pack in ("B", "A"):
        stack.cch("event", instance, "--set", f"released={pack}", "--branch", pack, "--branch", "1")

    done = stack.finished(instance)
    assert orphan["fate"] == "orphan"
    assert "branchPath" in orphan["reason"]
    assert done["status"] == "completed"
    assert [pack["lines"][0]["released"] for pack in done["context"]["packs"]] == ["A", "B"]


def open_waits(stack: Stack, instance: str) -> list[str]:
    answer = stack.client("dynamodb").query(
        TableName="cch-dev-local-workflow-state-table",
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"BOX#{instance}#1"}, ":sk": {"S": "EVT#"}},
        ConsistentRead=True,
    )
    return [item["SK"]["S"] for item in answer["Items"] if item["state"]["S"] == "open"]
