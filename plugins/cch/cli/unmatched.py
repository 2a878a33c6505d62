"""``cch messages``: messages that are held, or ended without an effect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cch.cli.message_views import message_data, messages_table
from cch.cli.output import moment, print_json, say, show, table
from cch.envelope import iso
from cch.errors import RejectedMessageError, WrongUseError
from cch.identity import shown
from cch.ledger.messages import key_of
from cch.messaging.desk import attachable
from cch.runtime.lingering import is_exact
from cch.runtime.platform import open_platform

if TYPE_CHECKING:
    from cch.ledger.records import Fate, MessageRecord
    from cch.ledger.waiting import OpenWait
    from cch.runtime.platform import Platform

#: Messages of one state that are looked through for those of an instance; open requests and waits that are shown.
_LOOKED_THROUGH, _MOST_OPEN = 2000, 100


async def _found(platform: Platform, states: Sequence[Fate], instance: str, limit: int) -> list[MessageRecord]:
    most = _LOOKED_THROUGH if instance else limit
    lists = await asyncio.gather(*(platform.ledger.messages.unmatched(state, most) for state in states))
    records = [record for listed in lists for record in listed if instance in ("", record.instance)]
    return sorted(records, key=lambda record: -record.received)[:limit]


def show_list(states: Sequence[Any], instance: str, limit: int, *, as_json: bool) -> None:
    """The messages in these states, newest first."""

    async def look() -> list[MessageRecord]:
        async with open_platform() as platform:
            return await _found(platform, states, instance, limit)

    records = asyncio.run(look())
    if as_json:
        print_json({"messages": [message_data(record) for record in records]})
    elif records:
        show(messages_table(records))
    else:
        say("no such messages")


async def _record(platform: Platform, message: str) -> MessageRecord:
    record = await platform.ledger.messages.get(key_of(message))
    if record is None:
        raise WrongUseError(f"there is no message {message!r}: cch messages list shows their ids")
    return record


async def _open(platform: Platform, record: MessageRecord) -> list[tuple[OpenWait, bool]]:
    """What the message may be given to, and whether without force."""
    try:
        command = attachable(record)
    except RejectedMessageError:
        return []
    waits = await platform.ledger.waiting.of_instance(record.instance, _MOST_OPEN)
    event = command.kind == "EVENT_WAIT_RESP"
    found = [(wait, is_exact(wait, record, command)) for wait in waits if wait.is_event == event]
    return sorted(found, key=lambda each: (not each[1], each[0].since))


def show_one(message: str, *, as_json: bool) -> None:
    """One message, and what it may be given to."""

    async def look() -> tuple[MessageRecord, list[tuple[OpenWait, bool]]]:
        async with open_platform() as platform:
            record = await _record(platform, message)
            return record, await _open(platform, record)

    record, waits = asyncio.run(look())
    if as_json:
        candidates = [
            {
                "id": wait.id, "node": wait.node, "branch_path": list(wait.path), "since": iso(wait.since),
                "capability": "" if wait.is_event else wait.capability, "event_key": wait.event_key,
                "needs_force": not exact,
            }
            for wait, exact in waits
        ]  # fmt: skip
        print_json({**message_data(record), "body": record.body, "candidates": candidates})
        return
    show(messages_table([record]))
    say(record.body or "(a matched message has no text here: it is what it answered that keeps it)")
    if waits:
        rows = [
            (
                wait.id, wait.node, shown(wait.path), "an event" if wait.is_event else wait.capability,
                wait.event_key, moment(wait.since), "" if exact else "--force",
            )
            for wait, exact in waits
        ]  # fmt: skip
        columns = ("--to", "node", "branch", "waits for", "with", "since", "needs")
        show(table("it may be given to", columns, rows))


def attach(message: str, to: str, instance: str, *, force: bool, as_json: bool) -> None:
    """Give the message to a request or a wait."""

    async def give() -> str:
        async with open_platform() as platform:
            record = await _record(platform, message)
            owner = await platform.desk.owner_of(record, to, instance)
            found = await platform.ledger.instances.find(owner) if owner else None
            if found is None:
                raise WrongUseError(f"there is no request or wait {to!r}: cch messages show {message} lists them")
            await platform.desk.attach(record, to, found, force=force)
            return found.id

    given = {"message_id": message, "to": to, "instance_id": asyncio.run(give()), "state": "matched"}
    if as_json:
        print_json(given)
    else:
        say(f"message {message} was given to {to} of instance {given['instance_id']}")
