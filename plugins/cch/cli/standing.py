"""``cch status``: where instances stand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cch.cli.instance_views import detail, detail_data, instance_data, instances_table, show_context
from cch.cli.message_views import held_data, held_table
from cch.cli.output import note, print_json, say, show
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.ledger.instances import require_kept
from cch.runtime.inspection import Inspector
from cch.runtime.lingering import of_instance
from cch.runtime.platform import open_platform

#: Latest rejected messages that are looked through for the start of one instance.
_REJECTIONS = 500
#: Branch keys of its maps whose held messages are looked for.
_BRANCHES_OF_HELD = 100

if TYPE_CHECKING:
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform


async def _of_workflows(platform: Platform, workflow: str, limit: int) -> list[Instance]:
    """The newest instances of one workflow, or of all published ones.

    :raises ServiceUnavailableError: nobody can tell which workflows there are.
    """
    if workflow:
        ids = [workflow]
    else:
        snapshot = await asyncio.to_thread(platform.catalogue.snapshot)
        if snapshot.outage and not snapshot.entries:
            raise ServiceUnavailableError(snapshot.outage)
        if snapshot.outage:
            note(f"the list of workflows may be old: {snapshot.outage}")
        ids = [entry.workflow_id for entry in snapshot.entries]
    # The index sorts by status before time, so the newest are among all of a workflow's, not among its first.
    listed = await asyncio.gather(*(platform.ledger.instances.by_workflow(i, limit=1000) for i in ids))
    found = [instance for instances in listed for instance in instances]
    return sorted(found, key=lambda instance: -instance.started)[:limit]


async def _one(platform: Platform, instance_id: str, *, as_json: bool) -> bool:
    progress = await Inspector(platform).look(instance_id)
    if progress is None:
        return False
    require_kept(progress.instance)
    now = platform.clock()
    waits = "" if progress.instance.status != "pending" else await _why_pending(platform, progress.instance.id)
    held = () if progress.ended else await of_instance(platform.ledger, progress.instance, now, _BRANCHES_OF_HELD)
    if as_json:
        print_json(detail_data(progress, now) | {"held": [held_data(each) for each in held], "start_waits": waits})
    else:
        show(detail(progress, now))
        if waits:
            say(f"its start waits: {waits}")
        if held:
            show(held_table(held, now))
        show_context(progress)
    return True


async def _why_pending(platform: Platform, instance_id: str) -> str:
    """Why Airflow has no run of it yet."""
    start = await platform.ledger.mailboxes.start_of(instance_id)
    return "" if start is None else start.reason or "no dispatcher has tried it yet (the DAG cch_commands)"


async def _why_rejected(platform: Platform, instance_id: str) -> str:
    """Why there is no such instance although somebody wanted to start it; "" if nobody did, lately."""
    refused = await platform.ledger.messages.unmatched("rejected", limit=_REJECTIONS)
    return next((m.reason for m in refused if m.instance == instance_id and m.kind == "START_WORKFLOW"), "")


def _list(platform: Platform, instances: list[Instance], nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"instances": [instance_data(instance) for instance in instances]})
    elif instances:
        show(instances_table("", instances, platform.clock()))
    else:
        say(nothing)


async def _status(identifier: str, workflow: str, limit: int, *, as_json: bool) -> None:
    async with open_platform() as platform:
        if not identifier:
            found = await _of_workflows(platform, workflow, limit)
            _list(platform, found, f"no instances{f' of {workflow}' if workflow else ''} yet", as_json=as_json)
            return
        if await _one(platform, identifier, as_json=as_json):
            return
        found = await platform.ledger.instances.by_correlation(identifier)
        found = [instance for instance in found if workflow in ("", instance.workflow_id)]
        if not found:
            where = f" of {workflow}" if workflow else ""
            if reason := await _why_rejected(platform, identifier):
                raise WrongUseError(f"the start of instance {identifier!r} was rejected: {reason}")
            raise WrongUseError(f"there is no instance{where} with the id or correlation id {identifier!r}")
        if len(found) == 1:
            await _one(platform, found[0].id, as_json=as_json)
        else:
            _list(platform, found[:limit], "", as_json=as_json)


def status(identifier: str, *, workflow: str, limit: int, as_json: bool) -> None:
    """Show what ``identifier`` names: an instance, or all of a business key; without one the newest."""
    asyncio.run(_status(identifier, workflow, limit, as_json=as_json))
