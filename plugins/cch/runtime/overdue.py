"""The `timeout` of a whole workflow: whoever executes a region of an instance ends the instance when its time is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.errors import CchError
from cch.runtime.deadlines import Deadlines
from cch.runtime.ending import end_instance
from cch.runtime.gating import is_stopped
from cch.runtime.journaling import StoppedError

if TYPE_CHECKING:
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform


class OverdueError(CchError):
    """The instance has taken longer than its workflow allows."""

    code = "CCH-L009"


async def is_overdue(platform: Platform, instance: Instance) -> bool:
    """Whether its time is up, as it was read."""
    return await Deadlines(platform.clock, platform.ledger.store, instance.due).overdue()


async def require_time(platform: Platform, instance: Instance) -> None:
    """To be called when a task takes part in a journal: then an ended instance has been reopened for a newer task.

    :raises OverdueError: its time is up; it has failed.
    :raises StoppedError: its time, or a gate, has changed since ``instance`` was read.
    """
    ledger = platform.ledger
    if not await is_overdue(platform, instance):
        return
    found = await ledger.instances.head(instance.id)
    if found is None or found.due != instance.due or is_stopped(found):
        raise StoppedError
    reason = f"the workflow's timeout of {found.time_limit / 1000:g} s is up"
    await end_instance(platform, instance.id, "failed", reason)
    await platform.exchange.supersede_all(found)
    raise OverdueError(reason)
