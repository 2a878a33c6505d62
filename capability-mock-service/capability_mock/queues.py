"""The few things the mock does with SQS."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3  # type: ignore[import-untyped,unused-ignore]
from botocore.config import Config  # type: ignore[import-untyped,unused-ignore]
from botocore.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from capability_mock.names import Names

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Entries that one batch call may carry, and messages that one receive call returns (SQS quota).
BATCH_ENTRIES = 10
#: Characters that one batch may carry together; SQS counts bytes, and bodies are ASCII. The quota was 256 KiB
#: for years and is so still in many places.
BATCH_SIZE = 256 * 1024

#: The message attribute that carries the trace (https://www.w3.org/TR/trace-context).
_TRACE = "traceparent"
_MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class QueueError(Exception):
    """A call to SQS that failed."""

    def __init__(self, text: str, *, missing_queue: bool = False, no_credentials: bool = False) -> None:
        super().__init__(text)
        self.missing_queue = missing_queue
        self.no_credentials = no_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as SQS delivered it."""

    message_id: str
    receipt: str
    body: str
    #: The W3C trace context that the sender passed on; "" if there was none.
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to send; SQS shows it after `delay` seconds (0 to 900)."""

    body: str
    delay: int = 0
    traceparent: str = ""


class Queues(Protocol):
    """What the service needs of SQS. Batches of any length; the implementation cuts them."""

    def discover(self) -> dict[str, str]:
        """The capability request queues that exist now: name to URL. Raises QueueError."""

    def receive(self, url: str, *, wait: int, visibility: int) -> list[Received]:
        """At most ten messages, after at most `wait` seconds. Raises QueueError."""

    def send(self, url: str, messages: Sequence[Outgoing]) -> set[int]:
        """Sends; returns the indexes that were not accepted. Does not raise."""

    def delete(self, url: str, receipts: Sequence[str]) -> None:
        """Does not raise: what stays is delivered again, and answered again."""

    def hide(self, url: str, receipts: Sequence[str], seconds: int) -> None:
        """Keeps received messages invisible for `seconds` from now; 0 shows them at once. Does not raise."""


class SqsQueues:
    """Queues on SQS."""

    def __init__(self, client: Any, names: Names) -> None:
        self._client = client
        self._names = names

    def discover(self) -> dict[str, str]:
        with _translated("list queues"):
            pages = self._client.get_paginator("list_queues").paginate(
                QueueNamePrefix=self._names.request_queue_prefix, PaginationConfig={"PageSize": 1000}
            )
            urls = [url for page in pages for url in page.get("QueueUrls", ())]
        named = {url.rpartition("/")[2]: url for url in urls}
        return {name: url for name, url in sorted(named.items()) if self._names.is_request_queue(name)}

    def receive(self, url: str, *, wait: int, visibility: int) -> list[Received]:
        with _translated(f"receive from {url}"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=BATCH_ENTRIES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=visibility,
                MessageAttributeNames=[_TRACE],
            )
        return [
            Received(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                traceparent=message.get("MessageAttributes", {}).get(_TRACE, {}).get("StringValue", ""),
            )
            for message in answer.get("Messages", ())
        ]

    def send(self, url: str, messages: Sequence[Outgoing]) -> set[int]:
        return self._batches(
            "send to",
            url,
            [
                _without_nothing(
                    MessageBody=item.body, DelaySeconds=item.delay or None, MessageAttributes=_trace(item) or None
                )
                for item in messages
            ],
            self._client.send_message_batch,
            sizes=[len(item.body) for item in messages],
        )

    def delete(self, url: str, receipts: Sequence[str]) -> None:
        entries = [{"ReceiptHandle": receipt} for receipt in receipts]
        self._batches("delete from", url, entries, self._client.delete_message_batch)

    def hide(self, url: str, receipts: Sequence[str], seconds: int) -> None:
        entries = [{"ReceiptHandle": receipt, "VisibilityTimeout": seconds} for receipt in receipts]
        self._batches("extend in", url, entries, self._client.change_message_visibility_batch)

    def send_one(self, url: str, message: Outgoing) -> str:
        """Sends one message and returns its id. Raises QueueError."""
        with _translated(f"send to {url}"):
            answer = self._client.send_message(QueueUrl=url, MessageBody=message.body, DelaySeconds=message.delay)
        return str(answer["MessageId"])

    def _batches(
        self,
        what: str,
        url: str,
        entries: Sequence[dict[str, Any]],
        call: Callable[..., dict[str, Any]],
        sizes: Sequence[int] | None = None,
    ) -> set[int]:
        """Calls in batches; returns the indexes that failed, each logged with its reason."""
        failed: dict[int, str] = {}
        for batch in in_batches(range(len(entries)), sizes or [0] * len(entries)):
            numbered = [{"Id": str(index), **entries[index]} for index in batch]
            try:
                with _translated(f"{what} {url}"):
                    answer = call(QueueUrl=url, Entries=numbered)
            except Exception as error:  # noqa: BLE001 - boto also raises plain ones (ValueError for an odd URL)
                failed.update(dict.fromkeys(batch, str(error)))
            else:
                failed.update({int(entry["Id"]): str(entry.get("Message")) for entry in answer.get("Failed", ())})
        if failed:
            reasons = "; ".join(sorted(set(failed.values())))
            log.warning("cannot %s queue", what, extra={"queue": url, "messages": len(failed), "why": reasons})
        return set(failed)


def connect(names: Names) -> SqsQueues:
    """Queues at the place that the standard AWS settings name. Raises QueueError when they name none."""
    config = Config(
        max_pool_connections=64,
        connect_timeout=5,
        read_timeout=30,  # longer than the longest long poll (20 s)
        retries={"mode": "standard", "max_attempts": 3},
    )
    # boto3 itself reads only AWS_DEFAULT_REGION; AWS_REGION is what Lambda and other SDKs set.
    region = os.environ.get("AWS_REGION") or None
    with _translated("connect to SQS"):
        client = boto3.client("sqs", region_name=region, config=config)
    return SqsQueues(client, names)


def in_batches(items: Iterable[T], sizes: Iterable[int]) -> Iterator[list[T]]:
    """Cuts into batches that SQS takes: at most ten entries, together at most 256 KiB (or one larger
    entry).
    """
    batch: list[T] = []
    room = BATCH_SIZE
    for item, size in zip(items, sizes, strict=True):
        if batch and (len(batch) == BATCH_ENTRIES or size > room):
            yield batch
            batch, room = [], BATCH_SIZE
        batch.append(item)
        room -= size
    if batch:
        yield batch


def _trace(message: Outgoing) -> dict[str, dict[str, str]]:
    """The reply belongs to the trace of its request."""
    return {_TRACE: {"DataType": "String", "StringValue": message.traceparent}} if message.traceparent else {}


def _without_nothing(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class _translated:  # noqa: N801 - reads as the statement it is
    """Turns what boto3 raises into QueueError."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "")
            raise QueueError(f"cannot {self._what}: {error}", missing_queue=code in _MISSING) from error
        if isinstance(error, BotoCoreError):
            raise QueueError(
                f"cannot {self._what}: {error}", no_credentials=isinstance(error, NoCredentialsError)
            ) from error
