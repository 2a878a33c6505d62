"""Queues in SQS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import botocore.exceptions

from cch.aws.session import error_code, explained, typed
from cch.errors import MessageRefusedError
from cch.ledger.messages import Stored
from cch.messaging.queue import BATCH, Depth, Received

#: Seconds for which "no such queue" is believed: a queue may be created while requests for it fail.
_ABSENCE_SECONDS = 10.0
#: What SQS says of a message that has characters that no message may have, or is larger than its queue allows.
_NEVER = ("InvalidMessageContents", "InvalidParameterValue")
#: What SQS says to those who may send to a queue, but not read its attributes.
_NOT_TOLD = ("AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied")


class SqsQueue:
    """:class:`~cch.messaging.queue.MessageQueue` on an aiobotocore client.

    :raises ServiceUnavailableError: from every method, when SQS does not answer.
    :raises MessageRefusedError: from :meth:`send`.
    """

    def __init__(self, client: Any, name: str, url: str, gone: Callable[[], None] = lambda: None) -> None:
        """``gone`` is called when SQS says that the queue does not exist any more."""
        self._client = client
        self._gone = gone
        self._largest: int | None = None
        self.name = name
        self.url = url

    async def receive(self, wait: float) -> list[Received]:
        with explained(self.name):
            answer = await self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=int(wait),
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [
            Received(
                queue=self.name,
                message_id=raw["MessageId"],
                receipt=raw["ReceiptHandle"],
                body=raw["Body"],
                sent=int(raw.get("Attributes", {}).get("SentTimestamp", time.time() * 1000)),
            )
            for raw in answer.get("Messages", ())
        ]

    async def delete(self, messages: Sequence[tuple[Received, Stored]]) -> None:
        entries = []
        for number, (message, stored) in enumerate(messages):
            assert stored.key == message.key, "deleted against another message's receipt"
            entries.append({"Id": str(number), "ReceiptHandle": message.receipt})
        for start in range(0, len(entries), BATCH):
            with explained(self.name):
                await self._client.delete_message_batch(QueueUrl=self.url, Entries=entries[start : start + BATCH])

    async def largest(self) -> int | None:
        """Asked once; another team's queue may not tell us."""
        if self._largest is None:
            wanted = ["MaximumMessageSize"]
            with explained(self.name):
                try:
                    answer = await self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=wanted)
                except botocore.exceptions.ClientError as error:
                    if error_code(error) not in _NOT_TOLD:
                        raise
                    return None
            self._largest = int(answer["Attributes"]["MaximumMessageSize"])
        return self._largest

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        with explained(self.name):
            try:
                await self._client.send_message(
                    QueueUrl=self.url, MessageBody=body, MessageAttributes=typed(attributes or {})
                )
            except botocore.exceptions.ClientError as error:
                if _does_not_exist(error):
                    self._gone()
                if error_code(error) in _NEVER:
                    said = error.response["Error"].get("Message", "")
                    raise MessageRefusedError(f"{self.name} does not take the message: {said}") from None
                raise


def _does_not_exist(error: botocore.exceptions.ClientError) -> bool:
    code = error_code(error)
    return "NonExistentQueue" in code or "QueueDoesNotExist" in code


class SqsQueues:
    """Queues by name; addresses are kept until SQS no longer knows the queue, absence only for a few seconds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[str, SqsQueue] = {}
        self._absent: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def find(self, name: str) -> SqsQueue | None:
        if name in self._known:
            return self._known[name]
        async with self._lock:
            if name in self._known or time.monotonic() < self._absent.get(name, 0.0):
                return self._known.get(name)
            with explained(name):
                try:
                    url = await self._url(name)
                except botocore.exceptions.ClientError as error:
                    if not _does_not_exist(error):
                        raise
                    self._absent[name] = time.monotonic() + _ABSENCE_SECONDS
                    return None
            self._known[name] = SqsQueue(self._client, name, url, lambda: self._forget(name))
            return self._known[name]

    async def _url(self, name: str) -> str:
        """The URL of a queue that is named, or given by its ARN or URL.

        :raises MessageRefusedError: it is in another region.
        """
        if name.startswith(("http://", "https://")):
            try:
                await self._client.get_queue_attributes(QueueUrl=name, AttributeNames=["QueueArn"])
            except botocore.exceptions.ClientError as error:
                if error_code(error) not in _NOT_TOLD:  # another team's queue may not tell us; sending shows the rest
                    raise
            return name
        where = {"QueueName": name}
        if name.startswith("arn:"):
            _, _, _, region, account, own = [*name.split(":"), *[""] * 6][:6]
            here = self._client.meta.region_name
            if region != here:
                raise MessageRefusedError(f"{name} is in region {region!r}, and requests are sent in {here!r}")
            where = {"QueueName": own, "QueueOwnerAWSAccountId": account}
        answer = await self._client.get_queue_url(**where)
        url: str = answer["QueueUrl"]
        return url

    def _forget(self, name: str) -> None:
        """Look it up again next time: it may have been deleted, and then requests go elsewhere."""
        self._known.pop(name, None)

    async def address(self, name: str) -> str:
        queue = await self.find(name)
        return queue.url if queue else name

    async def depth(self, name: str) -> Depth | None:
        queue = await self.find(name)
        if queue is None:
            return None
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with explained(name):
            try:
                answer = await self._client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=wanted)
            except botocore.exceptions.ClientError as error:
                if not _does_not_exist(error):
                    raise
                self._forget(name)
                return None
        ready, in_flight = (int(answer["Attributes"][each]) for each in wanted)
        return Depth(ready=ready, in_flight=in_flight)
