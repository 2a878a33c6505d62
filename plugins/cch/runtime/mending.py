"""What operators do when the world was wrong: retry, decide, patch, hold and release an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cch.ledger.gates import Gate
from cch.ledger.messages import message_id
from cch.ledger.records import ENDED, ActionRecord
from cch.runtime.changing import change, standing
from cch.runtime.decisions import Decision
from cch.runtime.gating import hold_behind
from cch.runtime.journaling import read
from cch.runtime.mend_items import ItemName, find_item, plan_item_retry
from cch.runtime.mend_plan import Verdict, plan_patch, plan_retry, plan_verdict
from cch.runtime.standing_still import RefusedChangeError, Standing

if TYPE_CHECKING:
    from cch.ledger.records import ActionKind, Instance, MessageRecord
    from cch.runtime.platform import Platform
    from cch.runtime.task_wishes import RunTasks

Plan = Callable[[Standing], Decision[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """What somebody wants, and why: how it is called, what it does, and what is kept about it."""

    kind: ActionKind
    plan: Plan
    by: str
    reason: str = ""
    about: Mapping[str, Any]
    #: Whether an instance that has ended goes on then.
    revives: bool = False
    #: The item of a map that is meant; None: the instance itself.
    item: ItemName | None = None


def retry(
    node: str, visit: int | None = None, *, by: str, reason: str = "", adopt: MessageRecord | None = None,
    item: str = "",
) -> Mend:  # fmt: skip
    """Begin a node anew; what came after it does not count any more.

    ``adopt``: see :func:`plan_retry`. ``item``: branch key of the item of a map in which the node is.
    """
    about = {"node": node} | ({"adopted": message_id(adopt.key)} if adopt else {}) | ({"item": item} if item else {})
    name = ItemName(key=item, node=node, visit=visit) if item else None
    return Mend(
        item=name,
        kind="retried", plan=lambda stands: plan_retry(stands, node, visit, adopt=adopt), by=by, reason=reason,
        about=about, revives=True,
    )  # fmt: skip


def decide(
    node: str, verdict: Verdict, *, by: str, now: int, reason: str = "", edge: str = "",
    payload: Mapping[str, Any] | None = None,
) -> Mend:  # fmt: skip
    """Decide about a node that waits or has failed. ``now`` in ms."""

    def plan(stands: Standing) -> Decision[None]:
        return plan_verdict(stands, node, verdict, by=by, now=now, reason=reason, edge=edge, payload=payload)

    return Mend(kind=verdict, plan=plan, by=by, reason=reason, about={"node": node}, revives=True)


def patch(added: Mapping[str, Any], nodes: Sequence[str] = (), *, by: str, reason: str = "") -> Mend:
    """Add to the context of an instance."""
    about = {"patch": dict(added)}
    return Mend(kind="patched", plan=lambda stands: plan_patch(stands, added, nodes), by=by, reason=reason, about=about)


async def preview(platform: Platform, instance_id: str, mend: Mend) -> Decision[None]:
    """What it would do if it were done now. Changes nothing.

    :raises RefusedChangeError: it cannot be done; says why.
    """
    return await _planned(platform, mend, await standing(platform, await _mendable(platform, instance_id, mend)))


async def _planned(platform: Platform, mend: Mend, stands: Standing) -> Decision[None]:
    if mend.item is None:
        return mend.plan(stands)
    item = find_item(stands, mend.item)
    return plan_item_retry(stands, mend.item, item, await read(platform.ledger, item.key))


async def apply(platform: Platform, tasks: RunTasks, instance_id: str, mend: Mend) -> Decision[None]:
    """Do it; what was decided.

    :raises RefusedChangeError: it cannot be done; nothing has changed.
    :raises GateTakenError: somebody else changes the instance.
    :raises RunBusyError: a step of it is on a worker; nothing has changed.
    """
    instance = await _mendable(platform, instance_id, mend)
    if instance.status in ENDED:
        await _planned(platform, mend, await standing(platform, instance))  # refuse before it is opened again
    gate = Gate(
        kind="changing", by=mend.by, since=platform.clock(), reason=mend.reason,
        wish={"kind": mend.kind, **mend.about},
    )  # fmt: skip

    async def decided(stands: Standing) -> Decision[None]:
        return await _planned(platform, mend, stands)

    return await change(platform, tasks, instance, gate, decided, revive=mend.revives)


async def _mendable(platform: Platform, instance_id: str, mend: Mend) -> Instance:
    instance = await platform.ledger.instances.head(instance_id)
    if instance is None:
        raise RefusedChangeError(f"the ledger does not know instance {instance_id}")
    if not instance.structure_digest:
        raise RefusedChangeError("the instance has not begun")
    if instance.status == "cancelled" or (instance.status in ENDED and not mend.revives):
        raise RefusedChangeError(f"the instance is {instance.status}")
    return instance


async def hold(
    platform: Platform, instance: Instance, *, by: str, reason: str = "", about: Mapping[str, Any] | None = None
) -> None:
    """Stop the instance: nothing is sent or decided until it is released. What is being sent may finish.

    ``about``: what is kept besides.

    :raises GateTakenError: it is held already, or has ended.
    """
    gate = Gate(kind="held", by=by, since=platform.clock(), reason=reason, wish=about or {})
    await hold_behind(platform, instance, gate)


async def release(
    platform: Platform, instance: Instance, *, by: str, reason: str = "", about: Mapping[str, Any] | None = None
) -> None:
    """Let the instance go on. Deadlines of what it waits for move by the length of the hold.

    ``about``: what is kept besides.

    :raises RefusedChangeError: it is not held.
    """
    gate = instance.gate("held")
    if gate is None:
        raise RefusedChangeError("the instance is not held")
    now = platform.clock()
    # The journal of a deadline is its record: one that was moved for this hold is not moved again.
    length = now - gate.since
    for box in await platform.ledger.boxes(instance):
        for request in await platform.ledger.requests.of_box(box):
            if request.state == "open" and request.deadline:
                await platform.ledger.requests.prolong(request, length, gate.since)
        for wait in await platform.ledger.waits.of_box(box):
            if wait.state == "open" and wait.deadline:
                await platform.ledger.waits.prolong(wait, length, gate.since)
    record = ActionRecord(number=instance.gates, kind="released", at=now, by=by, reason=reason, about=about or {})
    await platform.ledger.actions.put(instance.id, record)
    await platform.ledger.gates.open(instance.id, gate, instance.due and instance.due + length)
