"""What the platform needs from a queue service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cch.ledger.messages import Stored, message_key

#: SQS hands out and deletes at most 10 messages a call (AWS quota).
BATCH = 10
#: Longest wait of one receive call, in seconds (AWS quota): the fewest calls when nothing comes.
LONGEST_WAIT = 20
#: What no message may have (SQS, SendMessage): all that XML does not allow.
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as it was received; ``sent`` is when the producer sent it, ms since 1970."""

    queue: str
    message_id: str
    receipt: str
    body: str
    sent: int

    @property
    def key(self) -> str:
        return message_key(self.queue, self.message_id)


class MessageQueue(Protocol):
    """One queue. A message that is not deleted comes again."""

    name: str

    async def receive(self, wait: float) -> list[Received]:
        """Up to :data:`BATCH` messages; waits up to ``wait`` seconds for the first."""
        ...

    async def delete(self, messages: Sequence[tuple[Received, Stored]]) -> None:
        """Delete messages whose fate is stored."""
        ...

    async def largest(self) -> int | None:
        """Bytes of the largest message that the queue takes, attributes included; None if it does not say."""
        ...

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """:raises MessageRefusedError: the queue will never take it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Roughly how many messages wait in a queue, and how many somebody has received and not deleted."""

    ready: int
    in_flight: int


class Queues(Protocol):
    """All queues of the environment."""

    async def find(self, name: str) -> MessageQueue | None:
        """The queue; None if there is none of that name."""
        ...

    async def address(self, name: str) -> str:
        """What other programs use to send to the queue (for SQS its URL)."""
        ...

    async def depth(self, name: str) -> Depth | None:
        """How full the queue is; None if there is none of that name."""
        ...
