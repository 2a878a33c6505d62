"""What can be observed from outside while a workflow runs: metrics and lifecycle events."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import ROOT, TOPIC, Figures, Stack

WORKFLOW = "import_vn_memphis_v1"
CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}
EXPECTED = {
    "airflow.cch.messages.orchestrator-command-queue.matched",
    "airflow.cch.messages.orchestrator-reply-queue.matched",
    "airflow.cch.router.lag.orchestrator-reply-queue",
    "airflow.cch.requests.import_enrichment",
    "airflow.cch.wait.import_enrichment.answered",
    f"airflow.cch.instances.started.{WORKFLOW}",
    f"airflow.cch.instances.ended.{WORKFLOW}.completed",
    f"airflow.cch.instances.duration.{WORKFLOW}.completed",
    "airflow.cch.lifecycle.published",
}


def _listen(stack: Stack) -> str:
    """A queue that gets what the topic is told; its URL."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    url: str = sqs.create_queue(QueueName="lifecycle-listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return url


def _heard(stack: Stack, url: str, instance: str) -> list[dict[str, Any]]:
    raw = stack.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    events = [json.loads(message["Body"]) for message in raw.get("Messages", ())]
    return [event for event in events if event["workflowContext"]["workflowInstanceId"] == instance]


def test_the_main_job_is_seen_from_outside(stack: Stack, figures: Figures) -> None:
    """Its metrics reach StatsD, and its steps a subscriber of the topic."""
    url = _listen(stack)

    instance = stack.start(WORKFLOW, CONTEXT)
    stack.finished(instance)

    stack.eventually("all metrics", lambda: set(figures.names) >= EXPECTED)
    heard = stack.eventually("both steps", lambda: found if len(found := _heard(stack, url, instance)) >= 2 else None)
    steps = {event["transition"]["currentStep"]["name"] for event in heard}
    assert steps >= {"Prepare_Import_Enrichment", "Process_Import_Enrichment_Response"}


def test_the_doctor_finds_nothing(stack: Stack) -> None:
    """In the stack that `cch up` makes, Airflow's options included; a missing queue is found and named."""
    stack.eventually("the router's report", lambda: not _ill(stack))
    assert _unbound(stack) == []
    sqs = stack.client("sqs")
    queue = "cch-dev-local-orchestrator-command-queue-rejected-dlq"
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MaximumMessageSize"])["Attributes"]
    sqs.delete_queue(QueueUrl=url)
    try:
        assert _ill(stack) == [queue]
    finally:
        sqs.create_queue(QueueName=queue, Attributes=attributes)


def _report(stack: Stack) -> list[dict[str, str]]:
    answer = stack.run([str(Path(sys.executable).with_name("cch")), "doctor", "--json"], check=False)
    found: list[dict[str, str]] = json.loads(answer.stdout)
    assert answer.returncode == any(f["level"] == "error" for f in found)
    return found


def _unbound(stack: Stack) -> list[str]:
    """What the doctor does not like about the sample definitions."""
    samples = [path.stem for path in (ROOT / "workflow-definitions").glob("*.yaml")]
    return [f["what"] for f in _report(stack) if f["level"] == "error" and f["area"].startswith(tuple(samples))]


def _ill(stack: Stack) -> list[str]:
    """Where the doctor finds warnings and errors; not in definitions and dead letters of other tests."""
    found = _report(stack)
    queues = ("command-queue", "reply-queue", "rejected-dlq", "request-queue", "table", "bucket")
    ours = ("credentials", "clock", "router", *(f["area"] for f in found if f["area"].endswith(queues)))
    return [f["area"] for f in found if f["area"] in ours and f["level"] in ("warning", "error")]
