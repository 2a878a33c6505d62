"""Attributes of queues: which there are, and what they may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cch.testing.quick_aws.protocol import ACCOUNT, REGION, AwsError

#: What may be set, and what a new queue has.
DEFAULTS: Mapping[str, str] = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": str(1024 * 1024),
    "MessageRetentionPeriod": str(4 * 24 * 3600),
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
}
_BOUNDS: Mapping[str, tuple[int, int]] = {
    "VisibilityTimeout": (0, 43_200),
    "MaximumMessageSize": (1024, 1024 * 1024),
    "MessageRetentionPeriod": (60, 14 * 24 * 3600),
    "DelaySeconds": (0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
}
_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"


def arn(name: str) -> str:
    return _ARN + name


def name_of(queue_arn: str) -> str:
    """:raises AwsError: it is no ARN of a queue of this account."""
    if not queue_arn.startswith(_ARN):
        raise AwsError("InvalidParameterValue", f"the quick stand-in has no queue {queue_arn}")
    return queue_arn.removeprefix(_ARN)


def checked(raw: Any) -> dict[str, str]:
    """Attributes that are to be set.

    :raises AwsError: one is unknown, or has a value that it cannot have.
    """
    given = {name: str(value) for name, value in (raw or {}).items()}
    for name, value in given.items():
        if name == "RedrivePolicy":
            if value:
                redrive({name: value})
        elif name not in _BOUNDS:
            raise AwsError("InvalidAttributeName", f"the quick stand-in does not know the attribute {name}: use moto's")
        else:
            number(name, value, *_BOUNDS[name], code="InvalidAttributeValue")
    return given


def number(name: str, value: Any, low: int, high: int, code: str = "InvalidParameterValue") -> int:
    """:raises AwsError: it is no whole number between these."""
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = low - 1
    if not low <= found <= high:
        raise AwsError(code, f"Value {value} for parameter {name} is invalid. Reason: Must be {low} to {high}")
    return found


def redrive(attributes: Mapping[str, str]) -> tuple[str, int] | None:
    """The queue of dead letters, and after how many receipts a message goes there; None: it never does.

    :raises AwsError: the policy is none.
    """
    text = attributes.get("RedrivePolicy")
    if not text:
        return None
    try:
        policy = json.loads(text)
        return name_of(policy["deadLetterTargetArn"]), number("maxReceiveCount", policy["maxReceiveCount"], 1, 1000)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise AwsError("InvalidAttributeValue", f"RedrivePolicy is none: {text}") from None
