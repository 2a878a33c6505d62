"""Topics in SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cch.aws.session import explained, typed


class SnsTopic:
    """:class:`~cch.runtime.lifecycle.Topic` on an aiobotocore client."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    async def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        with explained(self._arn):
            await self._client.publish(TopicArn=self._arn, Message=body, MessageAttributes=typed(attributes))
