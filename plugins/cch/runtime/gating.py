"""Stopping an instance between two of its steps, and letting it go on (:mod:`cch.ledger.gates`).

The gate is closed first, then an entry with its number goes into every journal. A region that runs fails at its next
commit, reads the instance again and waits before the gate. One that is about to begin finds the number in its journal,
which is greater than that of the instance that it has read. Whoever sends something looks at the gate right before
(:mod:`cch.runtime.passing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cch.ledger.instances import reopening
from cch.ledger.records import ENDED, ActionRecord, Instance, JournalEntry, RegionKey
from cch.runtime.journaling import read

if TYPE_CHECKING:
    from cch.interpreter.replay import JournalState
    from cch.ledger.gates import Gate
    from cch.runtime.platform import Platform

#: Journals that are written at the same time.
_AT_ONCE = 20


class HeldError(Exception):
    """The instance is held, and whoever executes a region of it is to give up its process meanwhile."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"instance {instance_id} is held")
        self.instance = instance_id


def is_stopped(instance: Instance) -> bool:
    """Whether the instance has to wait before a gate."""
    return bool(instance.closed) and instance.status not in ENDED


async def close_gate(platform: Platform, instance: Instance, gate: Gate, *, reopen: bool = False) -> int:
    """Close the gate and stop every region; the gate's number. Safe to repeat from :func:`stop_regions` on.

    ``reopen``: an instance that has ended is live again behind the gate.

    :raises GateTakenError: it is closed already, or the instance has ended.
    :raises InstanceExpiredError: it has ended, and what it did is gone.
    """
    again = partial(reopening, now=platform.clock()) if reopen else None
    number = await platform.ledger.gates.close(instance.id, gate, again)
    await stop_regions(platform, instance, number)
    return number


async def hold_behind(platform: Platform, instance: Instance, gate: Gate) -> None:
    """Close a gate that holds the instance, and keep who has held it.

    :raises GateTakenError: it is held already, or has ended.
    """
    await finish_hold(platform, instance, gate, await platform.ledger.gates.close(instance.id, gate))


async def finish_hold(platform: Platform, instance: Instance, gate: Gate, number: int) -> None:
    """What follows a gate of this number that holds the instance. Safe to repeat."""
    await stop_regions(platform, instance, number)
    record = ActionRecord(number=number, kind="held", at=gate.since, by=gate.by, reason=gate.reason, about=gate.wish)
    await platform.ledger.actions.put(instance.id, record)


async def stop_regions(platform: Platform, instance: Instance, number: int) -> None:
    """No copy of a region commits anything any more that has not seen the gate of this number."""

    def stop(state: JournalState) -> JournalEntry | None:
        if state.gate >= number:
            return None
        # By the same task: it is the one that goes on.
        return JournalEntry(
            kind="try", mode="continue", task_instance=state.task_instance, generation=state.generation, gate=number
        )

    await write_everywhere(platform, instance, stop)


async def write_everywhere(
    platform: Platform, instance: Instance, next_entry: Callable[[JournalState], JournalEntry | None]
) -> None:
    """Append to the journal of every region, and of every item of a map that has begun, what ``next_entry`` says.

    It is asked until the entry is there, or it says that none is needed (None).
    """
    ledger, slots = platform.ledger, asyncio.Semaphore(_AT_ONCE)

    async def write(key: RegionKey) -> None:
        async with slots:
            state = await read(ledger, key)
            while (entry := next_entry(state)) is not None:
                if await ledger.journal.append(key, state.entries, entry):
                    return
                state = await read(ledger, key)

    await asyncio.gather(*map(write, await _journals(platform, instance)))


async def _journals(platform: Platform, instance: Instance) -> list[RegionKey]:
    plan = await platform.plans.of(instance)
    heads = plan.regions if plan is not None else ()
    return [*map(instance.region, heads), *await platform.ledger.maps.scopes(instance.id)]
