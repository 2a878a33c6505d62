"""The watcher that keeps a router alive for commands, and rings when a start has been stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from cch.runtime.platform import now_ms, shared_platform

log = logging.getLogger(__name__)


class CommandDoorbell(BaseEventTrigger):
    """Rings once for any number of starts. The ring carries nothing: the dispatcher drains the ledger's inbox."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "cch.triggers.doorbell.CommandDoorbell", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        rung = asyncio.Event()
        platform = await self._open()
        platform.router.attach_doorbell(rung.set)
        try:
            while True:
                await rung.wait()
                rung.clear()
                yield TriggerEvent({"at": now_ms()})
        finally:
            platform.router.detach_doorbell(rung.set)

    async def _open(self) -> Any:
        """The platform, as soon as AWS answers; a watcher that ends is not started again."""
        pause = 1.0
        while True:
            try:
                return await shared_platform()
            except Exception as error:  # noqa: BLE001 - settings or AWS; both can be mended while we wait
                log.warning("cannot listen for commands yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60.0)
