"""Right before something is sent, or somebody is called: whether it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.runtime.gating import is_stopped
from cch.runtime.holding import is_held_back
from cch.runtime.journaling import InstanceCancelledError, StoppedError
from cch.runtime.overdue import is_overdue

if TYPE_CHECKING:
    from cch.runtime.platform import Platform


async def pass_gate(platform: Platform, instance_id: str, capability: str = "") -> None:
    """``capability``: the one that is about to be asked or called.

    :raises InstanceCancelledError: nothing of the instance is sent any more.
    :raises StoppedError: a gate is closed, or the instance's time is up: read the instance again.
    """
    instance = await platform.ledger.instances.head(instance_id)
    if instance is None:
        return
    if instance.status == "cancelled":
        raise InstanceCancelledError
    if is_stopped(instance) or await is_overdue(platform, instance):
        raise StoppedError
    if await is_held_back(platform, instance, capability):
        raise StoppedError
