"""Recorded instances under a definition that is not published yet: who would go another way, or cannot be moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cch.graph.plan import plan_of
from cch.interpreter.rehearsal import Rehearsal, rehearse
from cch.interpreter.visit import About
from cch.ledger.records import ENDED
from cch.runtime.changing import standing
from cch.runtime.move_plan import plan_move
from cch.runtime.standing_still import RefusedChangeError

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.graph.plan import Plan
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

#: Instances that are read at the same time.
_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One instance. ``refusal``: of a live one, why it could not be moved ("": it could); None for ended ones."""

    instance: Instance
    rehearsal: Rehearsal
    refusal: str | None = None


async def rehearse_instances(
    platform: Platform, definition: Definition, since: int, limit: int
) -> AsyncIterator[Rehearsed]:
    """The newest ``limit`` instances of the definition's workflow that started at ``since`` (ms) or later.

    Those that have not begun, and those whose own definition is not kept any more, are left out.
    """
    found = await platform.ledger.instances.by_workflow(definition.workflow_id, limit=limit)
    chosen = [instance for instance in found if instance.started >= since and instance.structure_digest]
    plans: dict[str, Plan] = {}
    for first in range(0, len(chosen), _AT_ONCE):
        some = chosen[first : first + _AT_ONCE]
        for instance in some:
            if instance.dialect not in plans:
                plans[instance.dialect] = plan_of(definition.in_dialect(instance.dialect))
        for rehearsed in await asyncio.gather(*(_one(platform, each, plans[each.dialect]) for each in some)):
            if rehearsed is not None:
                yield rehearsed


async def _one(platform: Platform, instance: Instance, plan: Plan) -> Rehearsed | None:
    try:
        stands = await standing(platform, instance)
    except RefusedChangeError:
        return None
    recorded = stands.flow(stands.plan, instance.amendments)
    about = About(
        id=instance.id, correlation_id=instance.correlation_id, workflow_id=instance.workflow_id,
        started=instance.started,
    )  # fmt: skip
    context = stands.view.instance.context
    rehearsal = await asyncio.to_thread(rehearse, plan, context, list(recorded.outcomes.values()), about)
    if instance.status in ENDED:
        return Rehearsed(instance=instance, rehearsal=rehearsal)
    try:
        plan_move(stands, plan)
    except RefusedChangeError as refused:
        return Rehearsed(instance=instance, rehearsal=rehearsal, refusal=str(refused))
    return Rehearsed(instance=instance, rehearsal=rehearsal, refusal="")
