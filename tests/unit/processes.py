"""What one process has to take messages: an exchange, and a router on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cch.errors import CapabilityError
from cch.exchange import Exchange, References, Waiters
from cch.ledger.ledger import Ledger
from cch.messaging.consumer import take
from cch.messaging.queue import MessageQueue
from cch.messaging.router import Router
from cch.names import Names


def _no_objects(uri: str) -> str:
    raise CapabilityError(f"there is no {uri}")


class Process(Router):
    """A router with the exchange that it works on."""

    def __init__(self, *, ledger: Ledger, clock: Callable[[], int], **others: Any) -> None:
        self.exchange = Exchange(ledger, clock, References(_no_objects, Names()))
        super().__init__(ledger=ledger, clock=clock, exchange=self.exchange, **others)

    @property
    def waiters(self) -> Waiters:
        return self.exchange.waiters

    async def take(self, queue: MessageQueue) -> int:
        """Receive, handle, delete; as a consumer does."""
        return await take(self.intake, queue, 0)
