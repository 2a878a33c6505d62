"""SQS: standard queues over the program's own messages in memory."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cch.testing.held_messages import HeldMessage, HeldMessages
from cch.testing.quick_aws import message_form, queue_attributes
from cch.testing.quick_aws.protocol import (
    ACCOUNT,
    Answer,
    AwsError,
    Given,
    Operation,
    Request,
    json_answer,
    json_headers,
    operation,
)
from cch.testing.quick_aws.queue_attributes import number

#: Before the operation in ``X-Amz-Target``.
TARGET = "AmazonSQS."
_ERROR = "com.amazonaws.sqs#"
#: SQS's quotas: entries of a batch and messages of a receipt; how many queues are listed.
_BATCH, _MOST_LISTED = 10, 1000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_RECEIPT = re.compile(r"([0-9a-f-]{36})#\d+")
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
#: Names of errors of the older protocol, by which clients still know them.
_OLDER = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    **{
        name: f"AWS.SimpleQueueService.{name}"
        for name in (
            "EmptyBatchRequest", "TooManyEntriesInBatchRequest", "BatchEntryIdsNotDistinct", "BatchRequestTooLong",
            "InvalidBatchEntryId", "MessageNotInflight", "UnsupportedOperation",
        )
    },
}  # fmt: skip
_SENT = ("MessageBody", "DelaySeconds", "MessageAttributes")


@dataclass(slots=True)
class _Queue:
    name: str
    attributes: dict[str, str]
    messages: HeldMessages
    created: int
    modified: int


class Queues:
    """All queues of the account. ``clock`` (s) is the one by which hidden messages come back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._operations: Mapping[str, Operation] = {
            "CreateQueue": operation(self._create, "QueueName", "Attributes"),
            "DeleteQueue": operation(self._drop, "QueueUrl"),
            "PurgeQueue": operation(self._purge, "QueueUrl"),
            "GetQueueUrl": operation(self._url, "QueueName", "QueueOwnerAWSAccountId"),
            "ListQueues": operation(self._list, "QueueNamePrefix", "MaxResults", "NextToken"),
            "GetQueueAttributes": operation(self._attributes, "QueueUrl", "AttributeNames"),
            "SetQueueAttributes": operation(self._set, "QueueUrl", "Attributes"),
            "SendMessage": operation(self._send, "QueueUrl", *_SENT),
            "SendMessageBatch": operation(self._send_many, "QueueUrl", "Entries"),
            "ReceiveMessage": operation(
                self._receive, "QueueUrl", "MaxNumberOfMessages", "WaitTimeSeconds", "VisibilityTimeout",
                "AttributeNames", "MessageSystemAttributeNames", "MessageAttributeNames",
            ),
            "DeleteMessage": operation(self._delete, "QueueUrl", "ReceiptHandle"),
            "DeleteMessageBatch": operation(self._delete_many, "QueueUrl", "Entries"),
            "ChangeMessageVisibility": operation(self._hide, "QueueUrl", "ReceiptHandle", "VisibilityTimeout"),
            "ChangeMessageVisibilityBatch": operation(self._hide_many, "QueueUrl", "Entries"),
        }  # fmt: skip

    async def answer(self, name: str, request: Request) -> Answer:
        headers = json_headers()
        try:
            said = await json_answer(self._operations, name, request, "InvalidParameterValue")
            return Answer(json.dumps(said).encode(), headers=headers)
        except AwsError as error:
            code = _OLDER.get(error.code, error.code)
            headers.append((b"x-amzn-query-error", f"{code};Sender".encode()))
            body = json.dumps({"__type": _ERROR + error.code, "message": error.message})
            return Answer(body.encode(), error.status, headers)

    def _queue(self, given: Given) -> _Queue:
        return self._named(str(given["QueueUrl"]).rpartition("/")[2])

    def _named(self, name: str) -> _Queue:
        found = self._queues.get(name)
        if found is None:
            raise AwsError("QueueDoesNotExist", f"The specified queue does not exist: {name}")
        return found

    # --- queues --------------------------------------------------------------------------------------------------

    async def _create(self, given: Given, request: Request) -> Given:
        name, attributes = given["QueueName"], queue_attributes.checked(given.get("Attributes"))
        if not _NAME.fullmatch(name):
            message = f"the quick stand-in takes names of 1 to 80 letters, digits, - and _, and no FIFO queues: {name}"
            raise AwsError("InvalidParameterValue", message)
        known = self._queues.get(name)
        if known is None:
            now = int(time.time())
            whole = {**queue_attributes.DEFAULTS, **attributes}
            self._queues[name] = _Queue(name, whole, HeldMessages(self._clock), now, now)
        elif different := sorted(n for n, value in attributes.items() if known.attributes.get(n, "") != value):
            message = f"A queue already exists with the same name and a different value for {', '.join(different)}"
            raise AwsError("QueueNameExists", message)
        return {"QueueUrl": _address(name, request)}

    async def _drop(self, given: Given, _: Request) -> Given:
        del self._queues[self._queue(given).name]
        return {}

    async def _purge(self, given: Given, _: Request) -> Given:
        self._queue(given).messages.clear()
        return {}

    async def _url(self, given: Given, request: Request) -> Given:
        name = given["QueueName"]
        if given.get("QueueOwnerAWSAccountId", ACCOUNT) != ACCOUNT:
            raise AwsError("QueueDoesNotExist", f"The specified queue does not exist: {name} of another account")
        return {"QueueUrl": _address(self._named(name).name, request)}

    async def _list(self, given: Given, request: Request) -> Given:
        prefix, after = given.get("QueueNamePrefix", ""), given.get("NextToken", "")
        most = number("MaxResults", given.get("MaxResults", _MOST_LISTED), 1, _MOST_LISTED)
        names = sorted(name for name in self._queues if name.startswith(prefix) and name > after)
        answer: Given = {"QueueUrls": [_address(name, request) for name in names[:most]]}
        if len(names) > most and "MaxResults" in given:
            answer["NextToken"] = names[most - 1]
        return answer

    async def _attributes(self, given: Given, _: Request) -> Given:
        queue, wanted = self._queue(given), given.get("AttributeNames") or ()
        every = {
            **queue.attributes,
            "QueueArn": queue_attributes.arn(queue.name),
            "ApproximateNumberOfMessages": str(queue.messages.ready),
            "ApproximateNumberOfMessagesNotVisible": str(queue.messages.in_flight),
            "ApproximateNumberOfMessagesDelayed": str(queue.messages.delayed),
            "CreatedTimestamp": str(queue.created),
            "LastModifiedTimestamp": str(queue.modified),
        }
        if unknown := set(wanted) - every.keys() - {"All", "RedrivePolicy"}:
            raise AwsError("InvalidAttributeName", f"the quick stand-in does not know {', '.join(sorted(unknown))}")
        return {"Attributes": {n: value for n, value in every.items() if value and ("All" in wanted or n in wanted)}}

    async def _set(self, given: Given, _: Request) -> Given:
        queue = self._queue(given)
        queue.attributes.update(queue_attributes.checked(given["Attributes"]))
        queue.modified = int(time.time())
        return {}

    # --- messages ------------------------------------------------------------------------------------------------

    def deliver(self, queue_arn: str, body: str, attributes: Mapping[str, Any]) -> None:
        """What a topic tells a queue; lost if there is no such queue, as it is with SNS."""
        queue = self._queues.get(queue_attributes.name_of(queue_arn))
        if queue is not None:
            queue.messages.add(HeldMessage(str(uuid.uuid4()), body, attributes))

    async def _send(self, given: Given, _: Request) -> Given:
        return message_form.sent(_sent(self._queue(given), given))

    async def _send_many(self, given: Given, _: Request) -> Given:
        queue, entries = self._queue(given), _entries(given, *_SENT)
        most = int(queue.attributes["MaximumMessageSize"])
        if sum(len(str(each.get("MessageBody", "")).encode()) for each in entries) > most:
            raise AwsError("BatchRequestTooLong", f"Batch requests cannot be longer than {most} bytes")
        return _each(entries, lambda entry: message_form.sent(_sent(queue, entry)))

    async def _receive(self, given: Given, request: Request) -> Given:
        queue = self._queue(given)
        most = number("MaxNumberOfMessages", given.get("MaxNumberOfMessages", 1), 1, _BATCH)
        hidden = number(
            "VisibilityTimeout", given.get("VisibilityTimeout", queue.attributes["VisibilityTimeout"]), 0, 43_200
        )
        wait = number(
            "WaitTimeSeconds", given.get("WaitTimeSeconds", queue.attributes["ReceiveMessageWaitTimeSeconds"]), 0, 20
        )
        taken = self._alive(queue, queue.messages.take(most, hidden))
        if not taken and wait:
            taken = self._alive(queue, await _soon(queue.messages.take_soon(most, wait, hidden), request))
        system = [*given.get("AttributeNames", ()), *given.get("MessageSystemAttributeNames", ())]
        wanted = given.get("MessageAttributeNames", ())
        return {"Messages": [message_form.received(each, system, wanted) for each in taken]} if taken else {}

    def _alive(self, queue: _Queue, taken: Sequence[HeldMessage]) -> list[HeldMessage]:
        """Those that may be received once more; the others go to the queue of dead letters."""
        policy = queue_attributes.redrive(queue.attributes) if taken else None
        if policy is None or policy[0] not in self._queues:
            return list(taken)
        alive = []
        for message in taken:
            if message.receipts <= policy[1]:
                alive.append(message)
                continue
            queue.messages.remove(message.message_id)
            dead = HeldMessage(message.message_id, message.body, message.attributes, message.sent)
            self._queues[policy[0]].messages.add(dead)
        return alive

    async def _delete(self, given: Given, _: Request) -> Given:
        self._queue(given).messages.remove(_message_id(given))
        return {}

    async def _delete_many(self, given: Given, _: Request) -> Given:
        queue, entries = self._queue(given), _entries(given, "ReceiptHandle")
        return _each(entries, lambda entry: queue.messages.remove(_message_id(entry)))

    async def _hide(self, given: Given, _: Request) -> Given:
        _hidden(self._queue(given), given)
        return {}

    async def _hide_many(self, given: Given, _: Request) -> Given:
        queue, entries = self._queue(given), _entries(given, "ReceiptHandle", "VisibilityTimeout")
        return _each(entries, lambda entry: _hidden(queue, entry))


def _address(name: str, request: Request) -> str:
    return f"{request.address}/{ACCOUNT}/{name}"


def _sent(queue: _Queue, given: Given) -> HeldMessage:
    body, attributes = given["MessageBody"], given.get("MessageAttributes") or {}
    delay = number("DelaySeconds", given.get("DelaySeconds", queue.attributes["DelaySeconds"]), 0, 900)
    message_form.refuse(body, attributes, int(queue.attributes["MaximumMessageSize"]))
    message = HeldMessage(str(uuid.uuid4()), body, attributes)
    queue.messages.add(message, delay)
    return message


def _message_id(given: Given) -> str:
    receipt = given["ReceiptHandle"]
    found = _RECEIPT.fullmatch(receipt)
    if found is None:
        raise AwsError("ReceiptHandleIsInvalid", f"The input receipt handle is invalid: {receipt}")
    return found[1]


def _hidden(queue: _Queue, given: Given) -> None:
    seconds = number("VisibilityTimeout", given["VisibilityTimeout"], 0, 43_200)
    message_id = _message_id(given)
    if not queue.messages.hide_again(message_id, seconds):
        raise AwsError("MessageNotInflight", f"The message is not in flight: {message_id}")


def _entries(given: Given, *known: str) -> Sequence[Given]:
    """:raises AwsError: it is no batch."""
    entries: Sequence[Given] = given["Entries"]
    ids = [each["Id"] for each in entries]
    if not entries:
        raise AwsError("EmptyBatchRequest", "There should be at least one entry in the request")
    if len(entries) > _BATCH:
        raise AwsError("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {_BATCH}")
    if not all(isinstance(each, str) and _BATCH_ID.fullmatch(each) for each in ids):
        raise AwsError("InvalidBatchEntryId", "A batch entry id has 1 to 80 letters, digits, - and _")
    if len(set(ids)) < len(ids):
        raise AwsError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id")
    if unknown := {name for each in entries for name in each} - {"Id", *known}:
        message = f"the quick stand-in does not know {', '.join(sorted(unknown))}: use moto's"
        raise AwsError("InvalidParameterValue", message)
    return entries


def _each(entries: Sequence[Given], do: Callable[[Given], Mapping[str, Any] | None]) -> Given:
    """What became of each entry of a batch."""
    answer: dict[str, list[Given]] = {"Successful": [], "Failed": []}
    for entry in entries:
        try:
            answer["Successful"].append({"Id": entry["Id"], **(do(entry) or {})})
        except AwsError as error:
            code = _OLDER.get(error.code, error.code)
            failed = {"Id": entry["Id"], "SenderFault": True, "Code": code, "Message": error.message}
            answer["Failed"].append(failed)
    return answer


async def _soon(taking: Awaitable[list[HeldMessage]], request: Request) -> list[HeldMessage]:
    """What is taken; nothing for a client that hangs up meanwhile, so that nothing is hidden for nobody."""
    taken, gone = asyncio.ensure_future(taking), asyncio.ensure_future(request.gone())
    await asyncio.wait({taken, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if taken.done():
        return taken.result()
    taken.cancel()
    return []
