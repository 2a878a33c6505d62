"""Messages that nobody has come for within a minute: what would make each match, and how a person attaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cch.envelope import Command
from cch.errors import RejectedMessageError
from cch.ledger.ledger import Ledger
from cch.ledger.messages import message_id
from cch.ledger.records import Instance, MessageRecord
from cch.ledger.waiting import OpenWait
from cch.messaging.desk import attachable

#: How long (ms) a message may be held before people are told. One that is early by a race is taken within seconds.
LINGERS_AFTER = 60_000
#: Open requests and waits that are read of one instance, and those of them that an advice names.
_READ, _NAMED = 100, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lingering:
    """A held message. ``would_match``: what has to happen for it to be taken; ``attach``: the command for a person."""

    record: MessageRecord
    would_match: str
    attach: str


async def everywhere(ledger: Ledger, now: int, most: int) -> list[Lingering]:
    """Of all instances, the longest held first (from an index, which may be a moment behind)."""
    records = await ledger.messages.longest_held(now - LINGERS_AFTER, most)
    waits = await asyncio.gather(*(ledger.waiting.of_instance(record.instance, _READ) for record in records))
    return [await _lingering(ledger, record, open_) for record, open_ in zip(records, waits, strict=True)]


async def count(ledger: Ledger, now: int, most: int) -> dict[str, int]:
    """How many there are of each kind (``reply``, ``event``), counted up to ``most``."""
    records = await ledger.messages.longest_held(now - LINGERS_AFTER, most)
    replies = sum(record.kind == "ASYNC_RESP" for record in records)
    return {"reply": replies, "event": len(records) - replies}


async def of_instance(ledger: Ledger, instance: Instance, now: int, most_items: int) -> list[Lingering]:
    """Of one instance and the first ``most_items`` items of its maps, the longest held first."""
    boxes = await ledger.boxes(instance, most_items)
    keys = {held.key for found in await asyncio.gather(*map(ledger.messages.all_held, boxes)) for held in found}
    records = (await ledger.messages.get_many(sorted(keys))).values()
    late = [one for one in records if one.fate == "held" and one.received < now - LINGERS_AFTER]
    open_ = await ledger.waiting.of_instance(instance.id, _READ) if late else []
    return [await _lingering(ledger, each, open_) for each in sorted(late, key=lambda one: one.received)]


async def _lingering(ledger: Ledger, record: MessageRecord, open_: Sequence[OpenWait]) -> Lingering:
    whole = await ledger.messages.get(record.key)
    try:
        command = attachable(whole or record)
    except RejectedMessageError as error:
        return Lingering(record=record, would_match=str(error), attach="")
    event = command.kind == "EVENT_WAIT_RESP"
    possible = [wait for wait in open_ if wait.is_event == event]
    exact = [wait for wait in possible if is_exact(wait, record, command)]
    target = exact[0].id if len(exact) == 1 else possible[0].id if len(possible) == 1 else "ID"
    force = "" if target == "ID" or exact else " --force"
    return Lingering(
        record=record,
        would_match=_of_event(command, possible) if event else _of_reply(record, possible),
        attach=f"cch messages attach {message_id(record.key)} --to {target}{force}",
    )


def is_exact(wait: OpenWait, record: MessageRecord, command: Command) -> bool:
    """Whether a person may give the message to the request or wait without force."""
    if wait.is_event:
        # Whether a match is true of it, the attempt shows.
        fits = not wait.match and (not wait.event_key or wait.event_key in command.payload)
    else:
        fits = wait.capability == record.source
    return fits and wait.instance == record.instance and command.address.fits(wait.path)


def _of_reply(record: MessageRecord, possible: Sequence[OpenWait]) -> str:
    if not possible:
        return f"a request to {record.source!r}; the instance has no open request now"
    named = "; ".join(f"{wait.id} to {wait.capability} at {_place(wait)}" for wait in possible[:_NAMED])
    more = f" and {len(possible) - _NAMED} more" if len(possible) > _NAMED else ""
    return f"inReplyTo with the id of an open request ({named}{more})"


def _of_event(command: Command, possible: Sequence[OpenWait]) -> str:
    if not possible:
        return f"a node that waits for an event of {command.address}; none waits now"
    wanted = (f"{wait.event_key or 'anything'!r} at {_place(wait)}" for wait in possible[:_NAMED])
    brought = ", ".join(sorted(command.payload)[:_NAMED]) or "nothing"
    return f"the key that is waited for ({'; '.join(wanted)}); it brings {brought} for {command.address}"


def _place(wait: OpenWait) -> str:
    return f"{wait.node}[{wait.branch}]" if wait.branch else wait.node
