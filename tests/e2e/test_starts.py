"""Every way to start leads to the same run."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from cch.ledger.records import instance_id_of_run
from tests.e2e.conftest import Stack

WORKFLOW = "import_vn_memphis_v1"
CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}
VISITED = ["Prepare_Import_Enrichment", "Process_Import_Enrichment_Response", "End_Workflow"]


def assert_the_main_job(status: dict[str, Any]) -> None:
    assert status["status"] == "completed"
    assert status["visited"] == VISITED
    assert status["context"]["status"] == "SUCCESS"
    assert status["context"]["import_enrichment_uri"].endswith("delivery-hcmc-memphis.json")
    assert {key: status["context"][key] for key in CONTEXT} == CONTEXT


def test_sqs_command(stack: Stack) -> None:
    """A START_WORKFLOW on the command queue runs the workflow, and Airflow's run carries the instance's id."""
    instance = stack.start(WORKFLOW, CONTEXT)

    assert_the_main_job(stack.finished(instance))
    assert stack.run_ended(WORKFLOW, instance) == "success"
    assert set(stack.task_states(WORKFLOW, instance).values()) == {"success"}


def test_rest_api(stack: Stack) -> None:
    """A POST to Airflow's dagRuns with a conf runs the workflow."""
    status, run = stack.api("POST", f"/dags/{WORKFLOW}/dagRuns", {"conf": CONTEXT, "logical_date": None})

    assert status == 200, run
    assert_the_main_job(stack.finished(instance_id_of_run(WORKFLOW, run["dag_run_id"])))


def test_a_start_in_airflow_without_a_required_key_fails_with_the_reason(stack: Stack) -> None:
    """The version that the run is to have decides, not the Params of the newest: the instance names the keys."""
    status, run = stack.api("POST", f"/dags/{WORKFLOW}/dagRuns", {"conf": {"shipmentId": "x"}, "logical_date": None})

    assert status == 200, run
    failed = stack.finished(instance_id_of_run(WORKFLOW, run["dag_run_id"]))
    assert failed["status"] == "failed"
    assert "required key 'originCountry' is missing" in json.dumps(failed["errors"])


def test_cch_run(stack: Stack) -> None:
    """`cch run --watch --json` waits for the end and prints the result."""
    sets = [argument for key, value in CONTEXT.items() for argument in ("--set", f"{key}={value}")]

    answer = stack.cch("run", WORKFLOW, *sets, "--correlation-id", "BOL-CLI", "--watch", "--json")

    result = json.loads(answer.stdout)
    assert_the_main_job(result)
    assert [request["capability"] for request in result["requests"]] == ["import#enrichment"]


def test_dags_test_beside_a_running_scheduler(stack: Stack, tmp_path: Path) -> None:
    """The README's `eval "$(cch env)"` and `airflow dags test` run the workflow while a scheduler runs."""
    correlation = f"BOL-{uuid.uuid4()}"
    conf = json.dumps({**CONTEXT, "_correlation_id": correlation})
    script = 'eval "$(cch env)" && airflow dags test "$0" --conf "$1"'

    stack.run(["bash", "-c", script, WORKFLOW, conf])

    found = json.loads(stack.cch("status", correlation, "--json").stdout)
    found = found[0] if isinstance(found, list) else found
    assert_the_main_job(stack.status(found.get("instance_id", found.get("id"))))


@pytest.mark.skipif(which("node") is None, reason="there is no Node.js on this machine")
def test_tasks_in_any_language(stack: Stack) -> None:
    """Python on a worker, Lambda functions on Node.js, Python and in a container, a queue: all are seen together."""
    instance = stack.start("orchestra_fan_out_v1", {"shipmentId": "SHP-2", "lines": ["shoes", "shirts"]})

    status = stack.finished(instance)
    assert status["status"] == "completed"
    assert status["visited"][0] == "A"
    assert set(status["visited"][2:6]) >= {"B1", "B2", "B3"}
    summary = status["context"]["summary"]
    assert [line["chapter"] for line in summary["classified"]] == [64, 61]
    assert summary["duty_estimate"] == {"lines": 2, "rate_percent": 6.5}
    assert summary["screening_uri"]


def test_a_definition_published_seconds_ago_is_waited_for(stack: Stack, tmp_path: Path) -> None:
    """A start that comes before Airflow has parsed the DAG runs as soon as it has."""
    workflow = f"fresh_{uuid.uuid4().hex[:8]}"
    definition = tmp_path / "fresh.yaml"
    definition.write_text(
        f"{{workflow_id: {workflow}, workflow_name: Fresh, entry_point: A, nodes: {{"
        "A: {type: async_request, capability_id: other#thing, request_output_keys: [thing], on_response: E},"
        " E: {type: end}}}"
    )
    stack.cch("publish", str(definition))

    instance = stack.start(workflow, {})

    assert stack.finished(instance)["visited"] == ["A", "E"]


@pytest.mark.parametrize(
    ("body", "fate", "reason"),
    [
        ("this is no JSON", "malformed", "not JSON"),
        ({"workflowInstanceId": "i", "command": {"type": "START_WORKFLOW"}}, "malformed", "command"),
        ("unknown", "rejected", "no definition"),
        ("incomplete", "rejected", "destinationCountry"),
    ],
)
def test_a_bad_start_is_refused_with_a_reason(stack: Stack, body: Any, fate: str, reason: str) -> None:
    """A start that cannot work ends in the ledger and on the rejected queue with its reason, and is not redelivered."""
    from tests.e2e.conftest import start_message

    messages = {
        "unknown": start_message("no_such_workflow", CONTEXT, str(uuid.uuid4())),
        "incomplete": start_message(WORKFLOW, {"shipmentId": "x", "originCountry": "VN"}, str(uuid.uuid4())),
    }
    message_id = stack.send("orchestrator-command-queue", messages.get(body, body) if isinstance(body, str) else body)

    found = stack.fate("orchestrator-command-queue", message_id)

    assert found["fate"] == fate
    assert reason in found["reason"]
    sqs = stack.client("sqs")
    url = sqs.get_queue_url(QueueName="cch-dev-local-orchestrator-command-queue-rejected-dlq")["QueueUrl"]

    def forwarded() -> bool:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        ids = [m["MessageAttributes"]["originalMessageId"]["StringValue"] for m in answer.get("Messages", ())]
        return message_id in ids

    stack.eventually("the forwarded message", forwarded)


def test_twenty_starts_at_once_leave_no_error_in_the_log(stack: Stack) -> None:
    """Several dispatchers drain the inbox, and each start is made by one of them: Airflow logs no conflict."""
    log = stack.local.processes.log("api-server")
    before = log.stat().st_size
    instances = [stack.start(WORKFLOW, CONTEXT) for _ in range(20)]

    for instance in instances:
        stack.eventually(
            f"the end of {instance}", lambda i=instance: stack.item(f"INST#{i}", "META").get("status") == "completed"
        )

    with log.open() as text:
        text.seek(before)
        said = text.read()
    assert [
        line for line in said.splitlines() if "Traceback" in line or "already exists" in line or " 409 " in line
    ] == []
