"""The trigger in which a task of a worker waits whose instance is held: it would keep a place of the worker else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from cch.errors import ServiceUnavailableError
from cch.triggers import HELD_TRIGGER


class HeldTrigger(BaseTrigger):
    """Resumes its task when no gate before the instance is closed any more."""

    def __init__(self, *, instance: str) -> None:
        super().__init__()
        self.instance = instance

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return HELD_TRIGGER, {"instance": self.instance}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from cch.runtime.gating import is_stopped  # noqa: PLC0415 - not for who parses the DAG file
        from cch.runtime.platform import shared_platform  # noqa: PLC0415

        platform = await shared_platform()
        pauses = platform.pauses()
        while True:
            try:
                instance = await platform.ledger.instances.head(self.instance)
            except ServiceUnavailableError:
                await asyncio.sleep(pauses.next())
                continue
            if instance is None or not is_stopped(instance):
                break
            await platform.gatekeeper.opened(self.instance)
        yield TriggerEvent({"instance": self.instance})
