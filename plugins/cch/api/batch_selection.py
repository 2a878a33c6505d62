"""The instances that a batch is for: all that a search finds and the user may change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cch.api.access import Access
from cch.api.backend import Backend
from cch.api.batch_models import BatchSearch
from cch.api.problems import ApiError
from cch.api.searching import wanted_of
from cch.api.versions import digest_named
from cch.ledger.listing import Position, Wanted
from cch.ledger.records import Instance
from cch.runtime.plans import PlanKey
from cch.runtime.platform import Platform

#: Instances in one batch. Their ids are in the server's memory while it works on them.
MOST = 100_000
#: Instances that may be looked at as examples.
_EXAMPLES = 200
_PAGE, _AT_ONCE = 500, 50


@dataclass(slots=True)
class Selection:
    """What a search has found."""

    wanted: Wanted
    ids: list[str] = field(default_factory=list)
    not_allowed: int = 0
    workflows: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    #: The versions that the instances run.
    versions: set[PlanKey] = field(default_factory=set)
    examples: list[Instance] = field(default_factory=list)

    def add(self, instance: Instance) -> None:
        self.ids.append(instance.id)
        self.workflows[instance.workflow_id] += 1
        self.statuses[instance.status] += 1
        self.versions.add(PlanKey.of(instance))
        if len(self.examples) < _EXAMPLES:
            self.examples.append(instance)


async def wanted_by(backend: Backend, search: BatchSearch) -> Wanted:
    """What the ledger is asked for.

    :raises ApiError: 422, the search is empty, or names a version that is not there.
    """
    if not search.model_dump(exclude={"all"}, exclude_defaults=True) and not search.all:
        raise ApiError(422, "search_empty", "The search would find every instance: narrow it down, or set `all`.")
    return wanted_of(
        states=search.state,
        correlation_prefix=search.correlation_prefix,
        waiting_for=search.waiting_for,
        started_after=search.started_after,
        started_before=search.started_before,
        where="body.search",
        workflow_id=search.workflow_id,
        correlation_id=search.correlation_id,
        digest=await digest_named(backend, search.workflow_id, search.version, "body.search"),
        incident=search.incident,
        failed_node=search.failed_node,
        error_code=search.error_code,
    )


async def select(platform: Platform, access: Access, search: BatchSearch, wanted: Wanted) -> Selection:
    """Find them all, page by page. Instances that the user may not see are not counted.

    :raises ApiError: 409, there are too many.
    """
    found, readable = Selection(wanted), await access.readable()
    seen: set[str] = set()
    may_edit: dict[str, bool] = {}
    position: Position | None = None
    while True:
        page = await platform.ledger.listing.page(
            wanted, _PAGE, position, keep=lambda instance: instance.workflow_id in readable and not instance.gone
        )
        for instance in await _in_states(platform, search, page.instances):
            workflow_id = instance.workflow_id
            if workflow_id not in may_edit:
                may_edit[workflow_id] = await access.may_edit(workflow_id)
            if instance.id in seen:
                continue
            seen.add(instance.id)
            if may_edit[workflow_id]:
                found.add(instance)
            else:
                found.not_allowed += 1
        if len(seen) > MOST:
            raise ApiError(409, "too_many", f"The search finds more than {MOST:,} instances: narrow it down.")
        if page.position is None:
            return found
        position = page.position


async def _in_states(platform: Platform, search: BatchSearch, instances: Sequence[Instance]) -> Sequence[Instance]:
    """Those that wait, or those that do not, where the search tells the two apart; the ledger's statuses do not."""
    asked = set(search.state) & {"RUNNING", "WAITING"}
    if len(asked) != 1:
        return instances
    slots, waiting = asyncio.Semaphore(_AT_ONCE), asked == {"WAITING"}

    async def fits(instance: Instance) -> bool:
        if instance.status != "running":
            return True
        async with slots:
            return bool(await platform.ledger.waiting.of_instance(instance.id, 1)) == waiting

    kept = await asyncio.gather(*map(fits, instances))
    return [instance for instance, fit in zip(instances, kept, strict=True) if fit]
