"""Nothing is asked or awaited any more: an instance has ended while parts of it were open."""

from __future__ import annotations

import asyncio

from cch.identity import Box
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance

#: Boxes that are cleared at the same time.
_AT_ONCE = 50


async def supersede_all(ledger: Ledger, instance: Instance, now: int) -> None:
    """Close everything that the instance, or an item of its maps, has open."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(box: Box) -> None:
        async with slots:
            for request in await ledger.requests.of_box(box):
                if request.state == "open":
                    await ledger.requests.close(request.command_id, "superseded", now)
            for wait in await ledger.waits.of_box(box):
                if wait.state == "open":
                    await ledger.waits.close(wait, "superseded", now)

    await asyncio.gather(*map(one, await ledger.boxes(instance)))


async def sweep(ledger: Ledger, instance: Instance, now: int) -> None:
    """What is still held for an instance that has ended came too late."""
    for box in await ledger.boxes(instance):
        for held in await ledger.messages.all_held(box):
            await ledger.messages.end_hold(held.key, "late", now, f"instance {instance.id} has ended")
            await ledger.messages.unhold(box, held.pointer)
