"""Ending an instance because somebody says so: nothing of it goes on, whatever is running somewhere."""

from __future__ import annotations

import uuid6

from cch.identity import require_known
from cch.interpreter.replay import JournalState
from cch.ledger.records import Instance, JournalEntry
from cch.runtime.ending import end_instance
from cch.runtime.gating import write_everywhere
from cch.runtime.platform import Platform


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

    def newer(state: JournalState) -> JournalEntry | None:
        if state.task_instance >= task_instance:
            return None
        return JournalEntry(kind="try", mode="continue", task_instance=task_instance, generation=state.generation)

    await write_everywhere(platform, instance, newer)
