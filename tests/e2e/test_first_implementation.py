"""What worked with the first implementation works here: its senders, capabilities, event consumers and definitions.

The messages are written out, as those programs write them.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest

from cch.stack.layout import environment
from cch.stack.local import LocalStack
from tests.e2e.conftest import ROOT, Stack, started

ACCOUNT = "arn:aws:{}:us-east-1:123456789012:{}"
TOPIC, EVENTS, QUEUE = "their-events.fifo", "their-event-consumer.fifo", "TheirCapabilityRequests"
SCHEMA = json.loads((ROOT / "plugins" / "cch" / "schemas" / "lifecycle-event.schema.json").read_text())
#: The file's name is not the id, labels are Python's, and the last node writes.
DEFINITION = """
workflow_id: their_import
workflow_name: Their import
dialect: lambda_orchestrator
entry_point: Enrich
nodes:
  Enrich: {type: async_request, capability_id: their#enrich, output_keys: {goods: list}, on_response: Approve}
  Approve: {type: event_wait, event_key: approved, on_event: Is_Approved}
  Is_Approved: {type: condition, condition_on_key: approved, branches: {"True": Goods, "False": Refused}}
  Goods: {type: map_fork, execution: inline, input_list_key: goods, branch_key: line, branch_entry_node: Classify}
  Classify: {type: async_request, capability_id: their#classify, on_response: File}
  File: {type: async_request, capability_id: their#file, on_response: Line_End}
  Line_End: {type: end_branch}
  All: {type: join, join_branches: [Goods], destination: filed, on_success: Check}
  Check: {type: async_request, capability_id: their#check, on_response: How}
  How: {type: condition, condition_on_key: status, branches: {SUCCESS: Refused, ERROR: Log}}
  Log: {type: log_error, default_error_code: CHECKED, default_message: it was looked at, on_success: Done}
  Refused: {type: end, status: failed}
  Done: {type: end, static_outputs: {status: COMPLETED}}
"""
#: What the mock answers, by capability: it says errors in the payload.
ANSWERS: dict[str, dict[str, Any]] = {
    "their#enrich": {"goods": [{"line": 7, "weight": 3}]},
    "their#classify": {"hs": "0101"},
    "their#file": {"mrn": "X-1"},
    "their#check": {"status": "ERROR", "messages": [{"code": "C1", "summary": "look", "level": "WARNING"}]},
}


@dataclass
class UnhintedMock:
    """Answers every request with the instance's id and a payload: no command id, no branch, a source of its own."""

    stack: Stack
    received: list[dict[str, Any]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        sqs = self.stack._new_client("sqs")
        url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        while not self.stopped.is_set():
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", ()):
                request = json.loads(message["Body"])
                self.received.append(request)
                answer = {
                    "workflowInstanceId": request["header"]["workflowInstanceId"],
                    "command": {
                        "type": "ASYNC_RESP", "id": str(uuid.uuid4()), "source": "UnhintedMock",
                        "timestamp": "2026-01-05T08:00:00Z", "payload": ANSWERS[request["body"]["capability_id"]],
                    },
                }  # fmt: skip
                to = request["header"]["replyToQueueUrl"]
                sqs.send_message(QueueUrl=to, MessageBody=json.dumps(answer))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def prepare(local: LocalStack) -> None:
    """What other teams have: a FIFO topic with a consumer, and a queue of a name of its own."""
    variables = environment(local.layout)

    def client(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=variables["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",
        )  # fmt: skip

    client("sqs").create_queue(QueueName=QUEUE)
    client("sqs").create_queue(QueueName=EVENTS, Attributes={"FifoQueue": "true"})
    topic = client("sns").create_topic(Name=TOPIC, Attributes={"FifoTopic": "true"})["TopicArn"]
    endpoint, raw = ACCOUNT.format("sqs", EVENTS), {"RawMessageDelivery": "true"}
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=raw)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "CCH_LIFECYCLE_TOPIC": ACCOUNT.format("sns", TOPIC),
        "CCH_LIFECYCLE_EVENTS": "all",
        "CCH_LIFECYCLE_CONSIGNMENT_KEY": "consignment.id",
        "CCH_CAPABILITY_BINDINGS": json.dumps({"their": f"sqs:{ACCOUNT.format('sqs', QUEUE)}"}),
    }
    with started(settings, prepare) as stack:
        file = tmp_path_factory.mktemp("definitions") / "shipment-import.yaml"
        file.write_text(DEFINITION)
        stack.cch("publish", str(file))
        stack.eventually("the DAG", lambda: stack.api("GET", "/dags/their_import")[0] == 200)
        yield stack


@pytest.fixture
def mock(theirs: Stack) -> Iterator[UnhintedMock]:
    made = UnhintedMock(theirs)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    with contextlib.closing(contextlib.ExitStack()) as closing:
        closing.callback(made.stopped.set)
        yield made
    thread.join(10)


def consumed(stack: Stack) -> list[dict[str, Any]]:
    """Every event that the consumer gets, each valid; repeats (same id) were dropped by the topic."""
    sqs, found = stack.client("sqs"), []
    url = sqs.get_queue_url(QueueName=EVENTS)["QueueUrl"]
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            event = json.loads(message["Body"])
            jsonschema.validate(event, SCHEMA, format_checker=jsonschema.FormatChecker())
            found.append(event)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_their_programs_go_on_to_work(theirs: Stack, mock: UnhintedMock, tmp_path: Path) -> None:
    """A sender that starts by URI, an unhinted mock, an event under its older name, a consumer of events."""
    instance = str(uuid.uuid4())
    start = {
        "workflowInstanceId": instance, "correlationId": "BOL-7",
        "workflowDefinitionURI": "s3://cch-dev-local-workflow-definitions-bucket/teams/trade/shipment-import.yaml",
        "command": {
            "type": "EVENT", "id": str(uuid.uuid4()), "source": "sender", "timestamp": "2026-01-05T08:00:00Z",
            "payload": {"consignment": {"id": "C-9"}},
        },
    }  # fmt: skip
    theirs.send("orchestrator-command-queue", start)
    approval = {
        "workflowInstanceId": instance,
        "command": {
            "type": "HITL_RESP", "id": str(uuid.uuid4()), "source": "a person", "timestamp": "2026-01-05T08:00:00Z",
            "payload": {"approved": True},
        },
    }  # fmt: skip
    theirs.send("orchestrator-reply-queue", approval)

    found = theirs.finished(instance)

    assert (found["status"], found["workflow_id"]) == ("completed", "their_import"), found
    assert found["context"]["status"] == "COMPLETED"
    assert found["context"]["filed"] == [{"line": 7, "weight": 3, "hs": "0101", "mrn": "X-1", "status": "SUCCESS"}]
    classified, filed = (request["body"]["context"] for request in mock.received[1:3])
    assert (classified["line"], classified["weight"], classified["current_map_item"]["weight"]) == (7, 3, 3)
    assert filed["hs"] == "0101"

    events = [event for event in consumed(theirs) if event["workflowContext"]["workflowInstanceId"] == instance]
    kinds = [event["eventType"] for event in events]
    assert (kinds[0], kinds[-1]) == ("WorkflowInstanceStarted", "WorkflowInstanceEnded")
    assert {kinds.count(kind) for kind in ("RequestSent", "RequestAnswered")} == {4}
    assert {"EventWaitStarted", "EventWaitEnded", "MapStarted", "BranchEnded", "WorkflowStateChange"} <= set(kinds)
    assert {event["workflowContext"]["consignmentId"] for event in events} == {"C-9"}
    visits = [event for event in events if event["eventType"] == "WorkflowStateChange"]
    assert [message["code"] for event in visits for message in event["messages"]] == ["C1", "CHECKED"]


def test_doctor_finds_nothing_wrong_with_their_names(theirs: Stack) -> None:
    """It tries the topic, and finds the queue by its ARN."""

    def findings() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(theirs.cch("doctor", "--json", "--all", check=False).stdout)
        return found

    def errors() -> list[dict[str, str]]:
        return [finding for finding in findings() if finding["level"] == "error"]

    # A router reports for the first time half a minute after its start.
    theirs.eventually("the router's report", lambda: all(finding["area"] != "router" for finding in errors()))
    assert errors() == []
    assert "takes events" in [finding["what"] for finding in findings()]
