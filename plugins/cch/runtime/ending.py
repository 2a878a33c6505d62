"""The end of an instance: recorded once, told at least once, whoever ends it.

The same write that records the end notes that nobody was told yet; the dispatcher tells what a process that died, or a
topic that was away, has left untold.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cch.errors import CchError
from cch.interpreter.replay import flow_of
from cch.ledger.records import Instance, InstanceStatus, InstanceView
from cch.runtime.lifecycle_event import LifecycleEvent, about_instance, step_of

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

#: Seconds for which whoever ends an instance waits for the topic: the dispatcher goes on.
_PATIENCE = 5.0
#: Ends that one round of the dispatcher tells.
_AT_ONCE = 100


async def end_instance(platform: Platform, instance_id: str, status: InstanceStatus, reason: str = "") -> bool:
    """Record how the instance ended, and tell it; False if that was recorded before."""
    publisher = platform.publisher
    tell = publisher is not None and publisher.wants("WorkflowInstanceEnded")
    ended = await platform.ledger.instances.end(instance_id, status, platform.clock(), reason, untold=tell)
    if ended and tell:
        await _tell(platform, instance_id)
    return ended


async def tell_ends(platform: Platform) -> int:
    """Tell the ends that nobody was told of; their number. Stops at the first that the topic does not take."""
    told = 0
    if platform.publisher is not None:
        for instance_id in await platform.ledger.endings.untold(_AT_ONCE):
            if not await _tell(platform, instance_id):
                break
            told += 1
    return told


async def _tell(platform: Platform, instance_id: str) -> bool:
    publisher = platform.publisher
    view = await platform.ledger.instances.view(instance_id)
    if publisher is None or view is None:
        return True
    try:
        plan = await platform.plans.shown(view.instance)
    except CchError as error:  # it can be told without its definition
        log.warning("the end of %s is told without its definition: %s", instance_id, error)
        plan = None
    if not await publisher.publish([_event(view, plan)], _PATIENCE):
        return False
    await platform.ledger.endings.told(instance_id, view.instance.ended)
    return True


def _event(view: InstanceView, plan: Plan | None) -> LifecycleEvent:
    instance, outcomes = view.instance, sorted(view.outcomes(), key=lambda one: (one.stamp, one.node, one.visit))
    name, context, step = instance.workflow_id, dict(instance.context), {"name": "", "title": "", "type": ""}
    if plan is not None:
        graph = plan.graph
        name = graph.definition.workflow_name
        context = flow_of(plan, instance.context, outcomes, instance.amendments).final_context()
        step = step_of(graph, outcomes[-1].node if outcomes else graph.entry)
    return LifecycleEvent(
        type="WorkflowInstanceEnded", about=_about(instance), at=instance.ended, instance=instance,
        workflow_name=name, context=context, step=step,
        details={"status": instance.status.upper(), "reason": instance.reason},
    )  # fmt: skip


def _about(instance: Instance) -> str:
    """Each end of an instance has an id of its own: a part of it may be run again."""
    return about_instance(instance, instance.ended)
