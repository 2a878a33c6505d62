"""Topics in SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from cch.aws.session import error_code, explained, typed
from cch.errors import MessageRefusedError
from cch.ledger.payloads import sha256

#: What SNS says to an event that it will never take: that is no outage, and another try changes nothing.
_NEVER = ("InvalidParameter", "InvalidParameterValue")
#: Longest message group id (characters; SNS quota).
_LONGEST_GROUP = 128


class SnsTopic:
    """:class:`~cch.runtime.lifecycle.Topic` on an aiobotocore client.

    A FIFO topic keeps the order of each business key, and drops an event that it was told before.
    """

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    async def publish(self, body: str, attributes: Mapping[str, str], *, group: str, event_id: str) -> None:
        order = {}
        if self._arn.endswith(".fifo"):
            order = {"MessageGroupId": _group(group), "MessageDeduplicationId": event_id}
        with explained(self._arn):
            try:
                await self._client.publish(
                    TopicArn=self._arn, Message=body, MessageAttributes=typed(attributes), **order
                )
            except botocore.exceptions.ClientError as error:
                if error_code(error) in _NEVER:
                    said = error.response["Error"].get("Message", "")
                    raise MessageRefusedError(f"{self._arn} does not take the event: {said}") from None
                raise


def _group(text: str) -> str:
    """A group id that SNS takes: 1 to 128 characters of printable ASCII; another key has another one."""
    fits = len(text) <= _LONGEST_GROUP and text.isascii() and text.isprintable() and " " not in text
    return text if fits and text else sha256(text)
