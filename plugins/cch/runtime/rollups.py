"""Counts instances that have ended: what each did becomes figures of its version and day.

An instance costs one query for what its regions have left, one more if its version has maps and one for each item of
those, and a write that marks it; one that failed or was cancelled, a query for each region that has left nothing. Up
to 50 that ended on the same day share a read and a write of their rollup.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from cch.errors import CchError, ServiceUnavailableError
from cch.interpreter.replay import flow_of, has_failed, replay
from cch.ledger.figures import Figures
from cch.ledger.records import RegionKey
from cch.ledger.rollups import MOST_AT_ONCE, Counted, RollupKey
from cch.runtime.items import current
from cch.runtime.progress import live_regions

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import Instance, InstanceView, MapItem
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

#: Instances that are read at once, and how long (ms) one round of the dispatcher counts.
_READ, _ROUND = 500, 20_000
#: Journals that are read at the same time.
_AT_ONCE = 20
#: Codes of failures that no node has: the reason begins so.
_WITHOUT_NODE = (("cannot start ", "CANNOT_START"), ("not started within", "NOT_STARTED"), ("Airflow", "RUN_ENDED"))


async def count_ended(platform: Platform) -> int:
    """Count the instances that have ended since the last round; how many. Safe at any number of places at once."""
    begun, number = platform.clock(), 0
    while platform.clock() - begun < _ROUND:
        found = await platform.ledger.rollups.uncounted(_READ)
        counted = await count(platform, found)
        number += counted
        if len(found) < _READ or not counted:
            break
    return number


async def count_older(platform: Platform) -> int:
    """Count instances that ended under releases without rollups; how many. May be stopped and repeated at any time."""
    number = 0
    some: list[Instance] = []
    async for instance in platform.ledger.rollups.older(platform.clock()):
        if await platform.ledger.rollups.take_up(instance):
            some.append(instance)
        if len(some) == _READ:
            number += await count(platform, some)
            some = []
    return number + await count(platform, some)


async def count(platform: Platform, instances: Iterable[Instance]) -> int:
    """Count those of the instances that are not counted; how many those were."""

    def place(instance: Instance) -> tuple[str, str, str]:
        key = RollupKey.of(instance)
        return key.workflow_id, key.day, key.digest

    number = 0
    for _, group in groupby(sorted(instances, key=place), place):
        ended = list(group)
        for first in range(0, len(ended), MOST_AT_ONCE):
            some = ended[first : first + MOST_AT_ONCE]
            number += await platform.ledger.rollups.count(RollupKey.of(some[0]), some, _Reader(platform).read)
    return number


class _Reader:
    """Reads what instances did."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def read(self, instance: Instance) -> Counted | None:
        """What it did; None if it runs again.

        :raises ServiceUnavailableError: that cannot be read now.
        """
        view = await self._platform.ledger.instances.view(instance.id)
        if view is None or view.instance.ended != instance.ended:
            return None
        plan = await self._plan(instance)
        unfinished: list[Outcome] = []
        items: list[tuple[MapItem, list[Outcome]]] = []
        if plan is not None and instance.status != "completed":  # it ended around regions that have left nothing
            keys = [RegionKey(instance=instance.id, region=head) for head in live_regions(plan, view)]
            unfinished = [outcome for found in await asyncio.gather(*map(self._journal, keys)) for outcome in found]
        if plan is not None and plan.graph.maps:
            known = current(await self._platform.ledger.maps.items(instance.id))
            journals = await asyncio.gather(*(self._journal(item.key) for item in known))
            items = list(zip(known, journals, strict=True))
        try:
            return _counted(instance, view, plan, unfinished, items)
        except Exception:  # one instance that cannot be understood must not keep all others out of the figures
            log.exception("counted without its graph", extra={"cch_instance": instance.id})
            return _counted(instance, view, None, unfinished, items)

    async def _plan(self, instance: Instance) -> Plan | None:
        try:
            return await self._platform.plans.of(instance)
        except ServiceUnavailableError:
            raise
        except CchError as error:  # a later release made it
            log.warning("%s is counted without its graph: %s", instance.id, error)
            return None

    async def _journal(self, key: RegionKey) -> list[Outcome]:
        async with self._slots:
            return list(replay(await self._platform.ledger.journal.read(key)).outcomes.values())


def _counted(
    instance: Instance,
    view: InstanceView,
    plan: Plan | None,
    unfinished: Sequence[Outcome],
    items: Sequence[tuple[MapItem, Sequence[Outcome]]],
) -> Counted:
    figures, outcomes, failed = Figures(), [*view.outcomes(), *unfinished], None
    figures.ended[instance.status] += 1
    figures.again += 1 if instance.counted else 0
    if instance.status == "completed":
        figures.took.add(instance.ended - instance.started)
    if plan is not None:
        flow = flow_of(plan, view.instance.context, outcomes, view.instance.amendments)
        flow.status()  # tokens reach their ends, which nobody executes
        outcomes = list(flow.outcomes.values())
        failed = flow.first_failure() if instance.status == "failed" else None
    _add(figures, outcomes, instance.counted, plan)
    for item, visits in items:
        if plan is not None and any(outcome.stamp > instance.counted for outcome in visits):
            _add_item(figures, item, plan)
        _add(figures, visits, instance.counted, plan)
    node, code = (failed.node, str(failed.patch.get("_errorCode", ""))) if failed else ("", _code(instance))
    return Counted(instance=instance, figures=figures, node=node, code=code)


def _code(instance: Instance) -> str:
    if instance.status != "failed":
        return ""
    code, colon, _ = instance.reason.partition(":")
    begins = next((name for begin, name in _WITHOUT_NODE if instance.reason.startswith(begin)), "")
    return begins or (code if colon and code.isupper() and code.isidentifier() else "")


def _add_item(figures: Figures, item: MapItem, plan: Plan) -> None:
    node = plan.graph.definition.nodes.get(item.node)
    for label, target in node.onward() if node is not None else ():
        figures.ways[item.node, label, target] += 1


def _add(figures: Figures, outcomes: Iterable[Outcome], after: int, plan: Plan | None) -> None:
    """Add the visits that ended ``after`` (ms): the others are counted with an earlier end of the instance."""
    for outcome in outcomes:
        if outcome.stamp <= after:
            continue
        kind = outcome.cause.get("kind", "instant")
        node = figures.node(outcome.node)
        node.visits += 1
        node.failed += has_failed(outcome)
        node.timed_out += kind == "timeout"
        if kind not in ("instant", "schedule"):
            node.took.add(outcome.stamp - outcome.started)
        figures.ways.update(_ways(outcome, plan))


def _ways(outcome: Outcome, plan: Plan | None) -> Sequence[tuple[str, str, str]]:
    if plan is None or outcome.node not in plan.graph.nodes:
        return [(outcome.node, outcome.label, target) for target in outcome.targets]
    edges = plan.graph.chosen(outcome.node, outcome.label)
    return [(edge.source, edge.label, edge.target) for edge in edges if edge.target in outcome.targets]
