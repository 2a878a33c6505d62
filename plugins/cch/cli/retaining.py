"""``cch ledger expire``, ``cch ledger rollup`` and ``cch status --archive``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cch.cli.output import coloured, duration, note, print_json, say, show, table
from cch.counting import counted
from cch.errors import WrongUseError
from cch.ledger.audit import PAUSE
from cch.ledger.leftovers import leftovers, remove_leftovers
from cch.runtime import archive
from cch.runtime.platform import open_platform
from cch.runtime.retention import expire_due
from cch.runtime.rollups import count_ended, count_older

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cch.runtime.platform import Platform


async def _remove_leftovers(platform: Platform, pause: float) -> int:
    first = await leftovers(platform.ledger)
    if not first:
        return 0
    await asyncio.sleep(pause)  # one that is being created has its own item by then
    again = await leftovers(platform.ledger)
    both = ((instance, keys) for instance, keys in first.items() if instance in again)
    return await remove_leftovers(platform.ledger, both)


async def _expire(pause: float, *, left_over: bool) -> None:
    async with open_platform() as platform:
        if platform.ledger.expiry.retention:
            say(f"{counted(await expire_due(platform, everything=True), 'instance')} expired")
        else:
            note("no instance expires by itself: CCH_RETENTION_DAYS is not set")
        if left_over:
            say(f"{counted(await _remove_leftovers(platform, pause), 'record')} of instances that are gone removed")


def expire(*, left_over: bool, pause: float = PAUSE) -> None:
    """Let expire what is due. ``pause`` (s) lies between the two looks for leftovers."""
    asyncio.run(_expire(pause, left_over=left_over))


async def _rollup() -> None:
    async with open_platform() as platform:
        number = await count_ended(platform) + await count_older(platform)
        say(f"{counted(number, 'instance')} counted")


def rollup() -> None:
    """Count what nobody has counted."""
    asyncio.run(_rollup())


async def _load(instance_id: str) -> dict[str, Any]:
    async with open_platform() as platform:
        if platform.archive is None:
            raise WrongUseError("there is no archive: CCH_ARCHIVE is not set")
        found = await archive.load(platform.archive, instance_id)
    if found is None:
        raise WrongUseError(
            f"the archive has no instance {instance_id!r}; `cch status {instance_id}` looks in the ledger"
        )
    return found


def _visits(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for visit in document["visits"]:
        path = "".join(f"[{key}]" for key in visit["branch_path"])
        said = f"→ {visit['edge']}" if visit["edge"] else ""
        rows.append((f"{visit['node']}{path}", str(visit["visit"]), visit["started"], visit["ended"], said))
    return rows


def show_archived(instance_id: str, *, as_json: bool) -> None:
    """Show the document of an instance that has expired.

    :raises WrongUseError: there is no archive, or no such instance in it.
    """
    if not instance_id:
        raise WrongUseError("name the instance that is to be shown from the archive")
    found = asyncio.run(_load(instance_id))
    if as_json:
        print_json(found)
        return
    say(f"{found['instance_id']} of {found['workflow_id']}, {found['correlation_id']}")
    facts = [(name, str(found[name] or "")) for name in ("started", "ended", "reason", "version", "archived")]
    show(table("", ("", ""), [("status", coloured(found["status"])), *facts, ("for", duration(found["seconds"]))]))
    show(table("", ("node", "visit", "from", "until", ""), _visits(found)))
    for error in found["errors"]:
        say(f"{error.get('node') or 'the instance'}: {error.get('message')}")
    print_json(found["context"])
