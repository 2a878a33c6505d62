"""The program's own code, part by part, on the resources that CloudFormation made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack
from typing import Any

import pytest
from conftest import BUILT, STACK, UNSUPPORTED, Deployed, client

from cch.aws.provision import SAMPLE_CAPABILITIES, provision
from cch.aws.queues import SqsQueues
from cch.aws.session import async_clients
from cch.aws.tables import INDEXES, DynamoStore
from cch.ledger.store import Absent, ConditionFailedError, When
from cch.settings import load_settings


def test_cloudformation_has_made_everything(deployed: Deployed) -> None:
    """Each resource of the template is there, except the kinds that moto does not know."""
    whole = json.loads((BUILT / f"{STACK}.template.json").read_text())["Resources"]

    made = client("cloudformation", deployed.url).describe_stack_resources(StackName=STACK)["StackResources"]

    expected = {name for name, each in whole.items() if each["Type"] not in UNSUPPORTED}
    assert {each["LogicalResourceId"] for each in made} == expected


def test_nothing_is_left_for_the_program_to_create(deployed: Deployed) -> None:
    """The program's own provisioning finds all it wants, in the form it wants, and creates nothing."""

    def everything() -> tuple[Any, ...]:
        queues = client("sqs", deployed.url).list_queues()["QueueUrls"]
        buckets = [bucket["Name"] for bucket in client("s3", deployed.url).list_buckets()["Buckets"]]
        tables = client("dynamodb", deployed.url).list_tables()["TableNames"]
        return sorted(queues), sorted(buckets), tables

    before = everything()
    provision(load_settings())

    assert everything() == before
    assert len(before[0]) == 2 * (3 + len(SAMPLE_CAPABILITIES)) + 2


async def test_the_ledger_works_on_the_table(deployed: Deployed) -> None:
    """Conditional writes, queries and the lists behind every index."""
    async with AsyncExitStack() as stack:
        settings = load_settings()
        (dynamodb,) = await async_clients(stack, settings, "dynamodb")
        store = DynamoStore(dynamodb, settings.names.table)
        indexed = {name: 1 if numeric else "x" for _, name, numeric in INDEXES.values()}
        item = {**{name: "x" for name, _, _ in INDEXES.values()}, **indexed, "PK": "TEST#1", "SK": "META"}

        await store.put(item, When.all(Absent("PK")))
        with pytest.raises(ConditionFailedError):
            await store.put(item, When.all(Absent("PK")))

        assert [found["SK"] for found in await store.query("TEST#1")] == ["META"]
        for index in INDEXES:
            assert [found["PK"] for found in await store.listed(index, "x")] == ["TEST#1"]
        await store.delete(("TEST#1", "META"))


async def test_a_command_and_what_is_refused_find_their_queues(deployed: Deployed) -> None:
    """Every queue that the program looks for by name is there, and carries a message."""
    async with AsyncExitStack() as stack:
        settings = load_settings()
        (sqs,) = await async_clients(stack, settings, "sqs")
        queues, names = SqsQueues(sqs), settings.names
        for name in (names.command_queue, names.reply_queue, names.rejected_queue(names.reply_queue)):
            queue = await queues.find(name)
            assert queue is not None
            await queue.send('{"command": {"type": "START_WORKFLOW"}}')
            (message,) = await queue.receive(1)
            assert "START_WORKFLOW" in message.body
            client("sqs", deployed.url).delete_message(QueueUrl=queue.url, ReceiptHandle=message.receipt)


def test_the_packed_mock_answers_a_request(deployed: Deployed) -> None:
    """The package alone (nothing else of the project on its path) answers a request of the deployed queue."""
    sqs, names = client("sqs", deployed.url), load_settings().names
    requests = sqs.get_queue_url(QueueName=names.capability_queue("import#enrichment"))["QueueUrl"]
    replies = sqs.get_queue_url(QueueName=names.reply_queue)["QueueUrl"]
    command_id = str(uuid.uuid4())
    sqs.send_message(QueueUrl=requests, MessageBody=json.dumps(_request(command_id, replies)))
    received = _taken(sqs, requests)
    (package,) = (folder for folder in BUILT.glob("asset.*") if (folder / "capability_mock").is_dir())
    event = {"Records": [{"messageId": received["MessageId"], "body": received["Body"]}]}

    program = (
        "import json, sys\n"
        "from capability_mock.lambda_handler import handler\n"
        "print(json.dumps(handler(json.load(sys.stdin), None)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(event),
        env={**os.environ, "PYTHONPATH": str(package), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(answer.stdout) == {"batchItemFailures": []}
    assert json.loads(_taken(sqs, replies)["Body"])["command"]["inReplyTo"] == command_id


def _taken(sqs: Any, queue: str) -> dict[str, Any]:
    """The only message of a queue, which is not there afterwards."""
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    found: dict[str, Any] = message
    return found


def _request(command_id: str, reply_queue: str) -> dict[str, Any]:
    header = {
        "workflowInstanceId": "i", "workflowDefinitionURI": "s3://b/w.yaml", "correlationId": "key",
        "commandId": command_id, "replyToQueueUrl": reply_queue, "source": "WorkflowOrchestrator",
        "timestamp": "2026-01-05T08:00:00Z",
    }  # fmt: skip
    body = {"capability_id": "import#enrichment", "request_output_keys": [], "context": {"workflowInstanceId": "i"}}
    return {"header": header, "body": body}
