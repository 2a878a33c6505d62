"""The contract of queues, for those in memory and for SQS."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from tests.patience import finished

from cch.aws.queues import SqsQueues
from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.ledger.messages import Stored
from cch.messaging.queue import BATCH, MessageQueue, Queues, Received
from cch.testing.memory_queue import MemoryQueues

_numbers = itertools.count(1)


class Desk:
    """Queues of one kind, and how to make one and to let a visibility timeout pass."""

    def __init__(self, queues: Queues, sqs: Any = None) -> None:
        self.queues = queues
        self.sqs = sqs

    async def make(self) -> MessageQueue:
        name = f"queue-{next(_numbers)}"
        if self.sqs is None:
            assert isinstance(self.queues, MemoryQueues)
            return self.queues.make(name)
        await self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})
        found = await self.queues.find(name)
        assert found is not None
        return found

    async def let_visibility_pass(self, queue: Any, received: list[Received]) -> None:
        if self.sqs is None:
            queue.redeliver()
            return
        for message in received:
            await self.sqs.change_message_visibility(
                QueueUrl=queue.url, ReceiptHandle=message.receipt, VisibilityTimeout=0
            )


@pytest.fixture(params=["memory", "moto", "quick"])
async def desk(request: pytest.FixtureRequest, stand_in_url: Any, client_at: Any) -> Desk:
    if request.param == "memory":
        return Desk(MemoryQueues())
    sqs = await client_at(stand_in_url(request.param), "sqs")
    return Desk(SqsQueues(sqs), sqs)


async def drained(queue: MessageQueue) -> list[Received]:
    """Everything that is visible."""
    found: list[Received] = []
    while batch := await queue.receive(0):
        found.extend(batch)
    return found


async def test_a_message_arrives_as_it_was_sent(desk: Desk) -> None:
    """Its body, its queue, an identity, and when it was sent."""
    queue = await desk.make()
    await queue.send('{"ä": "\U0001f6a2"}', {"reason": "why", "fate": "rejected"})

    (message,) = await queue.receive(0)

    assert (message.queue, message.body) == (queue.name, '{"ä": "\U0001f6a2"}')
    assert message.key == f"MSG#{queue.name}#{message.message_id}"
    assert message.sent > 1_600_000_000_000


async def test_a_message_that_sqs_never_takes_is_told_from_an_outage(aws_client: Any) -> None:
    """Larger than its queue allows: trying again would not help."""
    sqs = await aws_client("sqs")
    name = f"queue-{next(_numbers)}"
    await sqs.create_queue(QueueName=name, Attributes={"MaximumMessageSize": "1024"})
    queue = await SqsQueues(sqs).find(name)
    assert queue is not None

    with pytest.raises(MessageRefusedError, match=name):
        await queue.send("x" * 2000)


async def test_what_is_not_deleted_comes_again_as_the_same_message(desk: Desk) -> None:
    """Invisible while in flight; then with the same identity."""
    queue = await desk.make()
    await queue.send("x")
    first = await queue.receive(0)
    meanwhile = await queue.receive(0)
    await desk.let_visibility_pass(queue, first)
    second = await queue.receive(0)

    assert meanwhile == []
    assert [message.key for message in second] == [message.key for message in first]


async def test_deleted_messages_are_gone(desk: Desk) -> None:
    """More than a batch at a time; what is not named stays."""
    queue = await desk.make()
    for number in range(BATCH + 3):
        await queue.send(str(number))
    received = await drained(queue)
    kept, deleted = received[:2], received[2:]

    await queue.delete([(message, Stored(message.key)) for message in deleted])
    await desk.let_visibility_pass(queue, kept)

    assert len(received) == BATCH + 3
    assert {message.key for message in await drained(queue)} == {message.key for message in kept}


async def test_deletion_needs_the_proof_of_that_very_message(desk: Desk) -> None:
    """Another message's receipt of storage is a bug, not a deletion."""
    queue = await desk.make()
    await queue.send("a")
    (message,) = await queue.receive(0)

    with pytest.raises(AssertionError, match="another message's receipt"):
        await queue.delete([(message, Stored("MSG#other#1"))])


async def test_a_batch_is_never_larger_than_ten(desk: Desk) -> None:
    """AWS's quota, also in memory."""
    queue = await desk.make()
    for number in range(25):
        await queue.send(str(number))

    sizes = [len(await queue.receive(0)) for _ in range(3)]

    assert max(sizes) <= BATCH
    assert sizes[0] > 0


async def test_a_long_poll_ends_with_the_first_message(desk: Desk) -> None:
    """It does not wait out its time."""
    queue = await desk.make()
    waiting = asyncio.create_task(queue.receive(20))
    await asyncio.sleep(0.05)
    await queue.send("x")

    batch = await finished(waiting)

    assert [message.body for message in batch] == ["x"]


async def test_an_empty_queue_answers_nothing(desk: Desk) -> None:
    """At once, or after the wait."""
    queue = await desk.make()

    assert await queue.receive(0) == []
    assert await finished(queue.receive(1)) == []


async def test_a_queue_that_does_not_exist_is_none(desk: Desk) -> None:
    """Callers choose another one, or say that it is missing."""
    queue = await desk.make()
    found = await desk.queues.find(queue.name)

    assert await desk.queues.find("no-such-queue") is None
    assert found is not None
    assert found.name == queue.name
    assert queue.name in await desk.queues.address(queue.name)


async def test_absence_is_believed_only_for_a_while(aws_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue may be created while requests for it fail."""
    sqs = await aws_client("sqs")
    queues = SqsQueues(sqs)
    clock = [1000.0]
    monkeypatch.setattr("cch.aws.queues.time", SimpleNamespace(monotonic=lambda: clock[0]))
    name = f"later-{next(_numbers)}"
    before = await queues.find(name)
    await sqs.create_queue(QueueName=name)
    still = await queues.find(name)
    clock[0] += 11

    now = await queues.find(name)

    assert (before, still) == (None, None)
    assert now is not None


async def test_a_queue_service_that_refuses_is_one_sentence(aws_client: Any) -> None:
    """Not botocore's exception."""
    sqs = await aws_client("sqs")
    queues = SqsQueues(sqs)
    name = f"gone-{next(_numbers)}"
    url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    queue = await queues.find(name)
    assert queue is not None
    await sqs.delete_queue(QueueUrl=url)

    with pytest.raises(ServiceUnavailableError, match=name):
        await queue.send("x")
    with pytest.raises(ServiceUnavailableError, match=name):
        await queue.receive(0)


# --- queues of other teams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["name", "arn", "url"])
async def test_a_queue_is_found_by_name_arn_and_url(aws_client: Any, given: str) -> None:
    """Those of other teams follow no pattern."""
    sqs = await aws_client("sqs")
    name = f"their-queue-{next(_numbers)}"
    url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]
    queues = SqsQueues(sqs)

    found = await queues.find({"name": name, "arn": attributes["QueueArn"], "url": url}[given])
    assert found is not None
    await found.send("hello")

    (message,) = (await sqs.receive_message(QueueUrl=url))["Messages"]
    assert message["Body"] == "hello"


async def test_a_queue_that_is_not_there_is_absent_however_it_is_given(aws_client: Any) -> None:
    """A request to it cannot be sent, which its node is told."""
    sqs = await aws_client("sqs")
    queues = SqsQueues(sqs)

    assert await queues.find(f"arn:aws:sqs:{sqs.meta.region_name}:123456789012:nothing") is None
    assert await queues.find(f"{sqs.meta.endpoint_url}/123456789012/nothing") is None
    with pytest.raises(MessageRefusedError, match="region 'mars-1'"):
        await queues.find("arn:aws:sqs:mars-1:123456789012:nothing")
