"""Retention: what finished instances did is archived, if that is wanted, and removed when its time is up."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cch.definition.version import parse_version
from cch.errors import CchError
from cch.ledger.belongings import Belongings, belongings, remove
from cch.runtime import archive
from cch.runtime.inspection import Inspector
from cch.runtime.rollups import count

if TYPE_CHECKING:
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

#: How long (ms) one round removes: the next one is due in a minute.
_ROUND = 20_000


async def expire_due(platform: Platform, *, everything: bool = False) -> int:
    """Let those instances expire whose time is up; their number.

    One process an hour looks, and goes on in the next round if there are many; ``everything``: now, and all of them.
    """
    ledger, begun = platform.ledger, platform.clock()
    if not everything and not await ledger.expiry.my_turn(begun):
        return 0
    expired = 0
    async for instance in ledger.expiry.due(ledger.instances, begun):
        try:
            expired += await expire(platform, instance)
        except CchError as error:  # it is found again; another one may go
            log.warning("instance %s does not expire yet: %s", instance.id, error)
        if not everything and platform.clock() - begun > _ROUND:
            await ledger.expiry.look_again(platform.clock())
            break
    return expired


async def expire(platform: Platform, instance: Instance) -> bool:
    """Remove what the instance did, after it was archived; False if it runs again. Finishes what was begun before.

    :raises ServiceUnavailableError: not now; nothing is lost that is not in the archive.
    """
    if not instance.gone:
        await count(platform, [instance])  # the figures stay, also of one that ended before there were any
    claimed = await platform.ledger.expiry.claim(instance, platform.clock())
    if claimed is None:
        return False
    found = await belongings(platform.ledger, instance, await _regions(platform, instance))
    if platform.archive is not None and not await _is_archived(platform, instance, claimed):
        await _archive(platform, instance, found, claimed)
    await remove(platform.ledger, instance.id, found)
    await platform.ledger.mailboxes.remove_start(instance.id)
    await platform.ledger.expiry.bury(instance, claimed, platform.clock())
    log.info("instance expired", extra={"cch_instance": instance.id, "cch_records": found.number})
    return True


async def _regions(platform: Platform, instance: Instance) -> set[str]:
    """Heads of the regions of every version that the instance has run."""
    versions = [instance.version]
    if instance.amendments.count:
        versions += [parse_version(one.came_from) for one in await platform.ledger.actions.of_instance(instance.id)]
    heads: set[str] = set()
    for version in filter(None, versions):
        as_it_was = replace(
            instance, definition_digest=version.digest, reading_rules=version.reading_rules, planner=version.planner
        )
        plan = await platform.plans.of(as_it_was)
        heads |= set(plan.regions) if plan else set()
    return heads


async def _is_archived(platform: Platform, instance: Instance, claimed: int) -> bool:
    """Whether an earlier try has written the document: what it has removed since must not be missing in another."""
    assert platform.archive is not None
    written = await archive.load(platform.archive, instance.id)
    return written is not None and written.get("archived") == archive.time(claimed)


async def _archive(platform: Platform, instance: Instance, found: Belongings, claimed: int) -> None:
    assert platform.archive is not None
    progress = await Inspector(platform).look(instance.id, None)
    if progress is None:
        return
    messages = await platform.ledger.messages.get_many([pk for pk, _ in sorted(found.messages)])
    whole = archive.document(progress, messages.values(), claimed)
    await archive.store(platform.archive, instance, whole)
