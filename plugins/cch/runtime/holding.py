"""Holds of whole workflows and capabilities: an instance that would go on there is held as a person holds one.

A region looks before it begins, and before it sends or calls. What a process knows of the holds is a second old at
most: so much later than it is made a hold takes effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.ledger.gates import Gate, GateTakenError
from cch.ledger.records import ActionRecord
from cch.runtime.gating import close_gate, is_stopped

if TYPE_CHECKING:
    from cch.ledger.holds import Hold
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform


async def is_held_back(platform: Platform, instance: Instance, capability: str = "") -> bool:
    """Whether a hold is over the workflow of the instance, or the capability that it is about to ask.

    Then the instance is held.
    """
    hold = await platform.gatekeeper.hold_over(instance.workflow_id, capability)
    return hold is not None and await hold_for(platform, instance, hold)


async def hold_for(platform: Platform, instance: Instance, hold: Hold) -> bool:
    """Hold the instance because of this hold; whether it is held, by whomever."""
    ledger, now = platform.ledger, platform.clock()
    reason = f"{hold.kind} {hold.name} is held" + (f": {hold.reason}" if hold.reason else "")
    about = {"hold": hold.target}
    gate = Gate(kind="held", by=hold.by, since=now, reason=reason, wish=about)
    try:
        number = await close_gate(platform, instance, gate)
    except GateTakenError:
        found = await ledger.instances.head(instance.id)
        return found is not None and is_stopped(found)
    record = ActionRecord(number=number, kind="held", at=now, by=hold.by, reason=reason, about=about)
    await ledger.actions.put(instance.id, record)
    known = await ledger.holds.get(hold.kind, hold.name)
    if known is None or not known.is_in_force:  # it was released since we have read it: nobody would find us
        await ledger.gates.open(instance.id, gate)
        return False
    return True


async def held_for(platform: Platform, hold: Hold) -> list[str]:
    """Ids of the instances that are held because of this hold."""
    ledger = platform.ledger
    ids = [instance_id for instance_id, _ in await ledger.gates.closed("held")]
    pages = [ids[first : first + 100] for first in range(0, len(ids), 100)]
    found = [each for page in pages for each in await ledger.instances.many(page)]
    return [
        instance.id
        for instance in found
        if any(gate.kind == "held" and gate.wish.get("hold") == hold.target for gate in instance.closed)
    ]
