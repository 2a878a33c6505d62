"""The watcher that keeps a router alive for commands, and rings when a start has been stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from cch.triggers.pulse import quicken


class CommandDoorbell(BaseEventTrigger):
    """Rings once for any number of starts. The ring carries nothing: the dispatcher drains the ledger's inbox."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "cch.triggers.doorbell.CommandDoorbell", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from cch.runtime.platform import now_ms, shared_platform  # noqa: PLC0415 - not for who parses the DAG file

        rung = asyncio.Event()
        platform = await shared_platform()
        platform.router.attach_doorbell(rung.set)
        try:
            while True:
                await rung.wait()
                rung.clear()
                quicken()
                yield TriggerEvent({"at": now_ms()})
        finally:
            platform.router.detach_doorbell(rung.set)
