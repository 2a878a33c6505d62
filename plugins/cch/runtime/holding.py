"""Holds of whole workflows and capabilities: an instance that would go on there is held as a person holds one.

A region looks before it begins, and before it sends or calls. What a process knows of the holds is a second old at
most: so much later than it is made a hold takes effect.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from cch.ledger.batches import Batch
from cch.ledger.gates import Gate, GateTakenError
from cch.ledger.listing import Wanted
from cch.runtime.gating import hold_behind, is_stopped

if TYPE_CHECKING:
    from cch.ledger.holds import Hold
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

#: Instances that are released a second, if nobody has said how many.
RATE = 10.0


async def is_held_back(platform: Platform, instance: Instance, capability: str = "") -> bool:
    """Whether a hold is over the workflow of the instance, or the capability that it is about to ask.

    Then the instance is held.
    """
    hold = await platform.gatekeeper.hold_over(instance.workflow_id, capability)
    return hold is not None and await hold_for(platform, instance, hold)


async def hold_for(platform: Platform, instance: Instance, hold: Hold) -> bool:
    """Hold the instance because of this hold; whether it is held, by whomever."""
    ledger = platform.ledger
    gate = Gate(kind="held", by=hold.by, since=platform.clock(), reason=hold.because, wish={"hold": hold.target})
    try:
        await hold_behind(platform, instance, gate)
    except GateTakenError:
        found = await ledger.instances.head(instance.id)
        return found is not None and is_stopped(found)
    known = await ledger.holds.get(hold.kind, hold.name)
    if known is None or not known.is_in_force:  # it was released since we have read it: nobody would find us
        await ledger.gates.open(instance.id, gate)
        return False
    return True


async def held_for(platform: Platform, hold: Hold) -> list[Instance]:
    """The instances that are held because of this hold."""
    return (await all_held_for(platform)).get(hold.target, [])


async def all_held_for(platform: Platform) -> dict[str, list[Instance]]:
    """What is held (:attr:`Hold.target`) → the instances that are held because of it."""
    ids = [instance_id for instance_id, _ in await platform.ledger.gates.closed("held")]
    found: dict[str, list[Instance]] = {}
    for instance in await platform.ledger.instances.many(ids):
        gate = instance.gate("held")
        if gate is not None and "hold" in gate.wish:
            found.setdefault(gate.wish["hold"], []).append(instance)
    return found


async def let_go(platform: Platform, hold: Hold) -> Hold | None:
    """Go on with a hold that is not in force any more: a batch releases its instances; None: none is left.

    To repeat it changes nothing while that batch runs. One that a person has stopped is not begun again.
    """
    ledger = platform.ledger
    batch = await ledger.batches.get(hold.batch) if hold.batch else None
    if batch is not None and batch.state != "done":
        return hold
    held = await held_for(platform, hold)
    if not held:
        await ledger.holds.remove(hold)
        return None
    wanted = Wanted().to_json()
    batch = Batch(
        id=uuid.uuid4().hex, state="running", action={"kind": "release"}, by=hold.by, created=platform.clock(),
        search={"asked": {"all": True}, "wanted": wanted}, total=len(held), rate=hold.rate or RATE,
        workflows=tuple(sorted({instance.workflow_id for instance in held})),
        reason=f"{hold.kind} {hold.name} is released",
    )  # fmt: skip
    # Before it is there: if it never comes, another one is made.
    if await ledger.holds.released_by(hold, batch.id):
        await ledger.batches.create(batch, [instance.id for instance in held])
    return replace(hold, batch=batch.id)


async def go_on_releasing(platform: Platform) -> int:
    """Look after the holds that are not in force any more; how many are left."""
    holds = [hold for hold in await platform.ledger.holds.all() if not hold.is_in_force]
    return sum([await let_go(platform, hold) is not None for hold in holds])
