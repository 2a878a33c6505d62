"""Topics in SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cch.aws.session import explained


class SnsTopic:
    """:class:`~cch.runtime.lifecycle.Topic` on an aiobotocore client."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    async def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        with explained(self._arn):
            await self._client.publish(TopicArn=self._arn, Message=body, MessageAttributes=typed)
