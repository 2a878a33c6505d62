"""How long AWS clients wait, and what they repeat by themselves."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from socket import AF_INET, SO_KEEPALIVE, SOCK_STREAM, SOL_SOCKET

import botocore.exceptions
import pytest

from cch.aws.objects import S3Definitions
from cch.aws.queues import SqsQueues
from cch.aws.session import async_clients, client
from cch.aws.topics import SnsTopic
from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.settings import Settings


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def test_definitions_are_given_up_long_before_airflow_gives_up_the_dag_file() -> None:
    """Else an S3 that takes connections and never answers would cost all DAGs instead of showing the cached ones."""
    config = S3Definitions(Settings())._client().meta.config

    longest = config.retries["total_max_attempts"] * max(config.connect_timeout, config.read_timeout)

    assert longest <= 15


class OneBucket:
    """An S3 client that lists its keys as S3 does, and counts the objects that it listed."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.listed = 0

    def get_paginator(self, _: str) -> OneBucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str = "", Delimiter: str = "") -> list[dict[str, object]]:  # noqa: N803
        assert Bucket
        below = [key for key in self.keys if key.startswith(Prefix)]
        found = [key for key in below if not Delimiter or Delimiter not in key]
        self.listed += len(found)
        prefixes = sorted({key.split("/")[0] + "/" for key in below if key not in found})
        return [
            {"Contents": [{"Key": key, "ETag": "e"} for key in found]},
            {"CommonPrefixes": [{"Prefix": p} for p in prefixes]},
        ]


def test_definitions_lie_under_prefixes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for running instances is not even listed: there are thousands of it."""
    kept = [f"by-digest/{number}.yaml" for number in range(50)]
    bucket = OneBucket(
        "a.yaml", "eu/b.yml", "eu/deep/c.yaml", "eu/by-digest/d.yaml", "note.txt", "aliases/x.json", *kept
    )
    monkeypatch.setattr("cch.aws.objects.client", lambda *_, **__: bucket)

    assert S3Definitions(Settings()).stamps() == {"a.yaml": "e", "eu/b.yml": "e", "eu/deep/c.yaml": "e"}
    assert bucket.listed < 10


def test_a_slow_lambda_function_is_called_once() -> None:
    """A function may run for 15 minutes; a client that gives up earlier and repeats would run it again."""
    config = client("lambda", Settings()).meta.config

    assert config.read_timeout > 900
    assert config.retries["total_max_attempts"] == 1


async def test_the_client_that_calls_functions_is_as_patient() -> None:
    """It watches its connections, which a NAT gateway forgets after minutes of silence, and has one for each call."""
    async with AsyncExitStack() as stack:
        (of_lambda,) = await async_clients(stack, Settings(), "lambda", connections=7)
        config = of_lambda.meta.config
        with config.connector_args["socket_factory"]((AF_INET, SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
            assert made.getsockopt(SOL_SOCKET, SO_KEEPALIVE)

    assert config.read_timeout > 900
    assert (config.retries["total_max_attempts"], config.max_pool_connections) == (1, 7)


class OneQueue:
    """An SQS client that knows one queue, until it is deleted."""

    def __init__(self) -> None:
        self.exists = True

    def _check(self, operation: str) -> None:
        if not self.exists:
            error = {"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "gone"}}
            raise botocore.exceptions.ClientError(error, operation)

    async def get_queue_url(self, **_: str) -> dict[str, str]:
        self._check("GetQueueUrl")
        return {"QueueUrl": "http://sqs/queue"}

    async def send_message(self, **_: object) -> None:
        self._check("SendMessage")


async def test_a_queue_that_was_deleted_is_looked_up_again() -> None:
    """Else requests for its capability would be tried for ever, instead of going to the fallback queue or failing."""
    client_of_sqs = OneQueue()
    queues = SqsQueues(client_of_sqs)
    known = await queues.find("queue")
    assert known is not None
    await known.send("{}")

    client_of_sqs.exists = False
    with pytest.raises(ServiceUnavailableError, match="NonExistentQueue"):
        await known.send("{}")

    assert await queues.find("queue") is None


class OneTopic:
    """An SNS client that remembers how events were published."""

    def __init__(self) -> None:
        self.published: list[dict[str, object]] = []

    async def publish(self, **given: object) -> None:
        self.published.append(given)
        if given["Message"] == "odd":
            error = {"Error": {"Code": "InvalidParameter", "Message": "odd"}}
            raise botocore.exceptions.ClientError(error, "Publish")


async def test_a_fifo_topic_keeps_the_order_of_a_business_key() -> None:
    """It needs a group and tells repetitions by the event's id; other topics refuse both."""
    client_of_sns = OneTopic()
    for arn in ("arn:aws:sns:eu-west-1:1:t.fifo", "arn:aws:sns:eu-west-1:1:t"):
        topic = SnsTopic(client_of_sns, arn)
        await topic.publish("{}", {}, group="BL-7", event_id="e")
        await topic.publish("{}", {}, group="Frachtbrief 7", event_id="f")

    first, second, *others = client_of_sns.published
    assert (first["MessageGroupId"], first["MessageDeduplicationId"]) == ("BL-7", "e")
    assert re.fullmatch("[0-9a-f]{64}", str(second["MessageGroupId"]))
    assert all("MessageGroupId" not in each for each in others)
    with pytest.raises(MessageRefusedError, match="odd"):
        await topic.publish("odd", {}, group="g", event_id="e")
