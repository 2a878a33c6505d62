"""Messages of SQS: what one may be, its digests, and how a receiver is told."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from cch.testing.held_messages import HeldMessage
from cch.testing.quick_aws.protocol import ACCOUNT, AwsError

#: Attributes of one message (SQS quota).
_MOST_ATTRIBUTES = 10
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def refuse(body: Any, attributes: Mapping[str, Mapping[str, str]], most: int) -> None:
    """:raises AwsError: SQS would not take the message. ``most``: bytes that the queue allows."""
    if not isinstance(body, str) or not body:
        raise AwsError("InvalidParameterValue", "The request must contain the parameter MessageBody, not empty")
    if not body.isprintable() and _FORBIDDEN.search(body):
        raise AwsError("InvalidMessageContents", "The message contains characters outside the allowed set")
    if len(attributes) > _MOST_ATTRIBUTES:
        raise AwsError("InvalidParameterValue", f"Number of message attributes exceeds {_MOST_ATTRIBUTES}")
    size = len(body) if body.isascii() else len(body.encode())
    for name, each in attributes.items():
        value = _value(name, each)
        size += len(name) + len(each["DataType"]) + len(value)
    if size > most:
        raise AwsError(
            "InvalidParameterValue",
            f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes, but has {size}",
        )


def _value(name: str, attribute: Mapping[str, str]) -> bytes:
    kind = attribute.get("DataType", "").split(".")[0]
    where = "BinaryValue" if kind == "Binary" else "StringValue"
    text = attribute.get(where)
    if kind not in ("String", "Number", "Binary") or not text or attribute.keys() - {"DataType", where}:
        raise AwsError("InvalidParameterValue", f"The message attribute {name} must have a type and a value of it")
    return base64.b64decode(text) if kind == "Binary" else text.encode()


def digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def digest_of(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """As AWS calculates it from names, types and values."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        kind = attributes[name]["DataType"]
        for part in (name.encode(), kind.encode()):
            md5.update(struct.pack(">I", len(part)) + part)
        value = _value(name, attributes[name])
        md5.update((b"\2" if kind.startswith("Binary") else b"\1") + struct.pack(">I", len(value)) + value)
    return md5.hexdigest()


def sent(message: HeldMessage) -> dict[str, str]:
    """What the sender of a message is told."""
    told = {"MessageId": message.message_id, "MD5OfMessageBody": digest(message.body)}
    if message.attributes:
        told["MD5OfMessageAttributes"] = digest_of(message.attributes)
    return told


def received(message: HeldMessage, system: Sequence[str], wanted: Sequence[str]) -> dict[str, Any]:
    """What a receiver gets. ``system``, ``wanted``: names of the attributes that it asks for."""
    told: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": f"{message.message_id}#{message.receipts}",
        "MD5OfBody": digest(message.body),
        "Body": message.body,
    }
    if system:
        every = {
            "SenderId": ACCOUNT,
            "SentTimestamp": str(message.sent),
            "ApproximateReceiveCount": str(message.receipts),
            "ApproximateFirstReceiveTimestamp": str(message.first_received),
        }
        told["Attributes"] = every if "All" in system else {n: every[n] for n in system if n in every}
    chosen = {name: value for name, value in message.attributes.items() if _is_wanted(name, wanted)} if wanted else {}
    if chosen:
        told["MessageAttributes"] = chosen
        told["MD5OfMessageAttributes"] = digest_of(chosen)
    return told


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    return any(each in ("All", ".*", name) or (each.endswith(".*") and name.startswith(each[:-2])) for each in wanted)
