"""Moves an instance to another version of its workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cch.definition.version import Version
from cch.errors import CchError
from cch.graph.planners import planner_for
from cch.ledger.gates import Gate
from cch.ledger.records import ENDED, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.changing import change, standing
from cch.runtime.choosing import Choice, Chooser
from cch.runtime.decisions import Decision, Todo
from cch.runtime.move_plan import MovePlan, plan_move
from cch.runtime.plans import PlanKey
from cch.runtime.standing_still import RefusedChangeError

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.graph.plan import Plan
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform
    from cch.runtime.standing_still import Standing
    from cch.runtime.task_wishes import RunTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """Where an instance is to go, who wants that and why. ``renamed``: a node's name so far → its name there.

    ``about``: what is kept besides.
    """

    definition: Definition
    renamed: Mapping[str, str]
    by: str
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


async def preview(platform: Platform, instance_id: str, wish: MoveWish) -> MovePlan:
    """What the move would do if it were made now. Changes nothing.

    :raises RefusedChangeError: it cannot be made; says why.
    """
    instance = await _movable(platform, instance_id, wish)
    new = await _plan_for(platform, instance, await _version(platform, instance, wish))
    return plan_move(await standing(platform, instance), new, wish.renamed)


async def move(platform: Platform, tasks: RunTasks, instance_id: str, wish: MoveWish) -> MovePlan:
    """Move the instance.

    :raises RefusedChangeError: it cannot go there; says why.
    :raises GateTakenError: somebody else changes it.
    :raises RunBusyError: a step of it is on a worker; nothing has changed.
    """
    instance = await _movable(platform, instance_id, wish)
    chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
    await chooser.settle(Choice(wish.definition, await platform.ledger.versions.shelf(instance.workflow_id)))
    version = await _version(platform, instance, wish)
    try:
        await asyncio.to_thread(tasks.prepare, instance.workflow_id, str(version))
    except CchError as error:
        raise RefusedChangeError(str(error)) from None
    new = await _plan_for(platform, instance, version)

    async def decide(stands: Standing) -> Decision[MovePlan]:
        plan = plan_move(stands, new, wish.renamed)
        return Decision(
            amendments=plan.amendments,
            todo=Todo(
                supersede=tuple(each.command_id for each in plan.superseded if isinstance(each, RequestRecord)),
                supersede_waits=tuple(each.id for each in plan.superseded if isinstance(each, WaitRecord)),
                again=plan.again,
                carried=plan.carried,
            ),
            said=plan,
            before=plan.before,
            after=plan.after,
            version=version,
            structure_digest=new.structure_digest,
            time_limit=new.graph.definition.time_limit,
        )

    gate = Gate(
        kind="changing", by=wish.by, since=platform.clock(), reason=wish.reason,
        wish={"kind": "moved", "renamed": dict(wish.renamed), **wish.about},
    )  # fmt: skip
    return (await change(platform, tasks, instance, gate, decide)).said


async def _movable(platform: Platform, instance_id: str, wish: MoveWish) -> Instance:
    """:raises RefusedChangeError: nothing can be moved, or there is nothing to do."""
    instance = await platform.ledger.instances.head(instance_id)
    if instance is None:
        raise RefusedChangeError(f"the ledger does not know instance {instance_id}")
    if instance.status in ENDED:
        raise RefusedChangeError(f"the instance is {instance.status}: only a live one can be moved")
    if not instance.structure_digest:
        raise RefusedChangeError("the instance has not begun: cancel it, and start another with that version")
    if instance.workflow_id != wish.definition.workflow_id:
        raise RefusedChangeError(f"the version is one of {wish.definition.workflow_id}, not of {instance.workflow_id}")
    if instance.definition_digest == wish.definition.digest:
        raise RefusedChangeError("the instance runs that version already")
    return instance


async def _version(platform: Platform, instance: Instance, wish: MoveWish) -> Version:
    """The version by which the instance would go on: it is read, and calls are made where they are, as it began."""
    known = await platform.plans.get(PlanKey.of(instance))
    return Version(wish.definition.digest, instance.reading_rules, planner_for(wish.definition, known.graph.awaited))


async def _plan_for(platform: Platform, instance: Instance, version: Version) -> Plan:
    """The plan of that version, in the instance's dialect."""
    moved = replace(instance, definition_digest=version.digest, planner=version.planner)
    return await platform.plans.get(PlanKey.of(moved))
