"""Ending an instance because somebody says so: nothing of it goes on, whatever is running somewhere."""

from __future__ import annotations

import asyncio

import uuid6

from cch.identity import require_known
from cch.ledger.records import Instance, JournalEntry, RegionKey
from cch.runtime.ending import end_instance
from cch.runtime.gating import journals_of
from cch.runtime.journaling import read
from cch.runtime.platform import Platform

#: Journals that are closed at the same time.
_AT_ONCE = 20


async def cancel(platform: Platform, instance: Instance, reason: str) -> bool:
    """End the instance as cancelled; False if it had ended otherwise. Safe to repeat after a crash at any point.

    The order counts. First the status decides against the regions' own end. Then every journal gets a *try* that is
    newer than any task there is: a region that still runs finds it at its next commit and stops, as if a newer copy of
    its task had taken over (a task that a person clears later is newer still, and goes on). Then nothing is waited for
    any more. Airflow's run is the caller's.

    :raises UnknownSchemeError: a later release made the instance.
    """
    ledger = platform.ledger
    require_known(instance.scheme, instance.id)
    if not await end_instance(platform, instance.id, "cancelled", reason):
        status = await ledger.instances.status(instance.id)
        if status != "cancelled":
            return False
    await ledger.mailboxes.remove_start(instance.id)
    await _fence(platform, instance)
    await platform.exchange.supersede_all(instance)
    return True


async def _fence(platform: Platform, instance: Instance) -> None:
    task_instance = str(uuid6.uuid7())
    slots = asyncio.Semaphore(_AT_ONCE)
    keys = await journals_of(platform, instance)
    await asyncio.gather(*(_close_journal(platform, key, task_instance, slots) for key in keys))


async def _close_journal(platform: Platform, key: RegionKey, task_instance: str, slots: asyncio.Semaphore) -> None:
    async with slots:
        while True:
            state = await read(platform.ledger, key)
            if state.task_instance >= task_instance:
                return
            entry = JournalEntry(kind="try", mode="continue", task_instance=task_instance, generation=state.generation)
            if await platform.ledger.journal.append(key, state.entries, entry):
                return
