"""Faults of the AWS stand-in: whom they meet, what a client sees, what has been done."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from cch.testing.aws_faults import OBSERVER

THROTTLED = {"dynamodb": "ProvisionedThroughputExceededException", "sqs": "RequestThrottled", "s3": "SlowDown"}
LOOKS: dict[str, Callable[[Any], Any]] = {
    "dynamodb": lambda client: client.list_tables(),
    "sqs": lambda client: client.list_queues(),
    "s3": lambda client: client.list_buckets(),
}

#: Only moto's server has faults.
pytestmark = pytest.mark.parametrize("aws_url", ["moto"], indirect=True)


@pytest.fixture
def fault(aws_url: str) -> Iterator[Callable[..., None]]:
    """Begins a fault; all end with the test."""

    def call(method: str, body: Any = None) -> None:
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(f"{aws_url}/cch/faults", data, method=method), timeout=10):
            pass

    yield lambda service, mode, **more: call("PUT", {"service": service, "mode": mode, "seconds": 60, **more})
    call("DELETE")


@pytest.fixture
def client(aws_url: str) -> Iterator[Callable[..., Any]]:
    """Makes clients that try once and wait as long as they are told (s)."""
    made = []

    def make(service: str, key: str = "somebody", wait: float = 30.0) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=wait)
        made.append(
            boto3.client(
                service, endpoint_url=aws_url, region_name="us-east-1", aws_access_key_id=key,
                aws_secret_access_key="-", config=config,
            )
        )  # fmt: skip
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("service", sorted(THROTTLED))
def test_a_throttled_service_says_so_in_its_own_words(fault: Any, client: Any, service: str) -> None:
    """So that botocore, which knows them, waits and tries again."""
    fault(service, "throttle")

    with pytest.raises(botocore.exceptions.ClientError) as error:
        LOOKS[service](client(service))

    assert error.value.response["Error"]["Code"] == THROTTLED[service]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("refuse", botocore.exceptions.ConnectionClosedError),
        ("forget", botocore.exceptions.ConnectionClosedError),
        ("hang", botocore.exceptions.ReadTimeoutError),
    ],
)
def test_a_fault_meets_its_service_and_nobody_who_looks_on(fault: Any, client: Any, mode: str, expected: Any) -> None:
    """Other services answer, and the observer sees everything as it is."""
    fault("sqs", mode)

    with pytest.raises(expected):
        client("sqs", wait=0.2 if mode == "hang" else 30.0).list_queues()

    assert client("dynamodb").list_tables()
    assert client("sqs", OBSERVER).list_queues()


def test_a_forgetful_service_has_done_what_it_does_not_answer(fault: Any, client: Any) -> None:
    """The nastiest fault: the caller cannot know."""
    name = f"queue-{uuid.uuid4().hex}"
    fault("sqs", "forget")

    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        client("sqs").create_queue(QueueName=name)

    assert client("sqs", OBSERVER).get_queue_url(QueueName=name)["QueueUrl"].endswith(name)


def test_a_service_that_refuses_has_done_nothing(fault: Any, client: Any) -> None:
    """As if the request had never come."""
    name = f"queue-{uuid.uuid4().hex}"
    fault("sqs", "refuse")

    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        client("sqs").create_queue(QueueName=name)

    with pytest.raises(botocore.exceptions.ClientError, match="NonExistentQueue"):
        client("sqs", OBSERVER).get_queue_url(QueueName=name)


def test_a_fault_ends_by_itself(fault: Any, client: Any) -> None:
    """A harness that dies leaves a stand-in that works."""
    fault("sqs", "refuse", seconds=0)

    assert client("sqs").list_queues()
