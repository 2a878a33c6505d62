"""``cch event``: an outside signal for an instance, as EVENT_WAIT_RESP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cch.cli.output import print_json, say
from cch.envelope import event_command
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.identity import THE_INSTANCE, Address
from cch.ledger.records import ENDED, Instance
from cch.runtime.platform import Platform, open_platform


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWish:
    """What a person wants to send; an empty ``event_id`` is made up."""

    identifier: str
    payload: Mapping[str, Any]
    address: Address = THE_INSTANCE
    status: str = ""
    event_id: str = ""


def address_of(branches: Sequence[str]) -> Address:
    """The item with these branch keys, from the outside in; one key alone is the item's own."""
    return Address(tuple(branches), whole=len(branches) != 1)


async def _instance(platform: Platform, identifier: str) -> Instance:
    """The live instance of that id or business key.

    :raises WrongUseError: none, several, or it has ended.
    """
    found = await platform.ledger.instances.find(identifier)
    candidates = [found] if found else await platform.ledger.instances.by_correlation(identifier)
    live = [instance for instance in candidates if instance.status not in ENDED]
    if not candidates:
        raise WrongUseError(f"there is no instance {identifier!r}, and none with that correlation id")
    if not live:
        raise WrongUseError(f"instance {candidates[0].id} has {candidates[0].status}: nothing waits there any more")
    if len(live) > 1:
        ids = ", ".join(instance.id for instance in live)
        raise WrongUseError(f"several instances of {identifier!r} are alive: name one of {ids}")
    return live[0]


async def _send(wish: EventWish) -> dict[str, str]:
    async with open_platform() as platform:
        instance = await _instance(platform, wish.identifier)
        name = platform.settings.names.command_queue
        queue = await platform.queues.find(name)
        if queue is None:
            raise ServiceUnavailableError(f"there is no queue {name}: create the resources (`cch up`)")
        event_id = wish.event_id or str(uuid.uuid4())
        await queue.send(
            event_command(
                instance=instance.id,
                command_id=event_id,
                payload=wish.payload,
                address=wish.address,
                status=wish.status,
                now=platform.clock(),
            )
        )
        return {"instance_id": instance.id, "event_id": event_id}


def send(wish: EventWish, *, as_json: bool) -> None:
    """Send the event and say what was sent."""
    if wish.status not in ("", "SUCCESS", "ERROR"):
        raise WrongUseError(f"--status {wish.status!r}: use SUCCESS or ERROR")
    sent = asyncio.run(_send(wish))
    if as_json:
        print_json(sent)
    else:
        say(f"event {sent['event_id']} sent to instance {sent['instance_id']}")
