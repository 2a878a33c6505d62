"""What one process knows of closed gates and of holds: one query for all that wait, or are about to send."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from cch.errors import CchError
from cch.ledger.gates import GATES

if TYPE_CHECKING:
    from cch.ledger.holds import Hold
    from cch.ledger.ledger import Ledger

log = logging.getLogger(__name__)

#: For how long (ms) a process goes by the holds that it has read.
FRESH = 1_000
#: Seconds after which who waits looks for himself, whatever the index of closed gates says.
_AT_THE_LATEST = 600.0


class Gatekeeper:
    """``clock`` gives ms. ``pause``: seconds between two looks at the gates, while somebody waits."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int], pause: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pause = pause
        self._holds: Sequence[Hold] = ()
        self._read = -FRESH
        self._waiting: dict[str, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None

    async def hold_over(self, workflow_id: str, capability: str) -> Hold | None:
        """The hold in force over either of them, as it was within the last second."""
        now = self._clock()
        if not 0 <= now - self._read < FRESH:
            self._holds = [hold for hold in await self._ledger.holds.all() if hold.is_in_force]
            self._read = now
        names = {"workflow": workflow_id, "capability": capability}
        return next((hold for hold in self._holds if hold.name == names[hold.kind]), None)

    async def opened(self, instance_id: str) -> None:
        """Return when the instance may have no closed gate any more: look at it again."""
        event = self._waiting.setdefault(instance_id, asyncio.Event())
        if self._looking is None or self._looking.done():
            # An empty context: what is logged must not end up in the log of whoever came first.
            loop = asyncio.get_running_loop()
            self._looking = loop.create_task(self._look(), name="cch gatekeeper", context=contextvars.Context())
        with suppress(TimeoutError):
            async with asyncio.timeout(_AT_THE_LATEST):
                await event.wait()

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause)
            try:
                found = [each for kind in GATES for each, _ in await self._ledger.gates.closed(kind)]
            except CchError as error:
                log.warning("cannot see which gates are closed yet: %s", error)
                continue
            for instance_id in self._waiting.keys() - set(found):
                self._waiting.pop(instance_id).set()
