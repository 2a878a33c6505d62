"""Messages for an instance that nobody knows yet: kept for a while, because its start may come by another queue.

They are held in the box that the instance is going to have, so whoever asks or waits there takes them as any other
early reply or event. The note of them (``EARLY``) says when to give up.
"""

from __future__ import annotations

from dataclasses import replace

from cch.identity import Box, event_identity
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import MessageRecord
from cch.ledger.store import Item

#: How long (ms) such a message is kept: as long as the dispatcher tries a start.
KEPT_FOR = 86_400_000
_NOTES = "EARLY"


async def keep(ledger: Ledger, record: MessageRecord, source: str, now: int) -> tuple[Stored, MessageRecord]:
    """Hold a reply, or an event (then ``source`` stands for all sources of events), until its instance begins."""
    box = Box(record.instance, record.branch)
    due = now + KEPT_FOR
    note: Item = {
        "PK": _NOTES, "SK": f"{due:015d}#{record.key}", "message": record.key, "instance": record.instance,
        "branch": record.branch, "source": record.source, "id": record.command_id, "received": record.received,
    }  # fmt: skip
    await ledger.store.put(note)  # first: without it nobody would give up
    reason = f"no instance {record.instance} yet: kept for a day, in case its start is still on the way"
    return Stored(record.key), await ledger.messages.hold(replace(record, reason=reason), box, source)


async def give_up(ledger: Ledger, now: int) -> int:
    """Let what nobody has come for be an orphan, which a person may attach; the number of them."""
    orphans = 0
    # Keys begin with a time; DynamoDB takes no empty text as a bound.
    for note in await ledger.store.query(_NOTES, between=("0", f"{now:015d}")):
        if await ledger.instances.head(note["instance"]) is None:
            box = Box(note["instance"], note["branch"])
            reason = f"no instance {note['instance']} came within a day"
            await ledger.messages.end_hold(note["message"], "orphan", now, reason)
            await ledger.messages.unhold(box, f"HELD#{note['received']:015d}#{note['message']}")
            await ledger.store.delete((box.key, event_identity(note["source"], note["id"], box.scheme)))
            orphans += 1
        await ledger.store.delete((note["PK"], note["SK"]))
    return orphans
