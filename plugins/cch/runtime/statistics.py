"""What happened in a workflow over all its instances: rollups added up, and where live instances are now."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cch.ledger.figures import Figures, NodeFigures
from cch.ledger.rollups import day_of
from cch.ledger.store import LAST
from cch.ledger.waiting import EVENTS

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.graph.model import Edge
    from cch.ledger.ledger import Ledger
    from cch.ledger.rollups import Rollup

#: Running instances of a workflow that are looked at, and waits for one capability.
MOST_LOOKED_AT = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Figures of the days from ``since`` to ``until``, both included: the ends of each day, and all together.

    ``versions``: digest → ends of its instances, also of versions that were not asked for.
    """

    since: str
    until: str
    days: Mapping[str, Figures]
    whole: Figures
    versions: Mapping[str, int]

    def node(self, name: str) -> NodeFigures:
        return self.whole.nodes.get(name, NodeFigures())

    def taken(self, edge: Edge) -> int:
        """How often a way was taken; ways of forks and joins are stored under the label that was chosen."""
        found = self.whole.ways
        exact = found.get((edge.source, edge.label, edge.target), 0)
        if exact or not edge.implied:
            return exact
        return sum(
            count for (source, _, target), count in found.items() if (source, target) == (edge.source, edge.target)
        )


async def statistics(ledger: Ledger, workflow_id: str, *, days: int, now: int, digest: str = "") -> Statistics:
    """Of the last ``days`` days, today (UTC) included. ``digest``: of one version alone. Costs one strong query."""
    until = day_of(now)
    since = str(date.fromisoformat(until) - timedelta(days=days - 1))
    rollups = await ledger.rollups.of_workflow(workflow_id, since, until)
    return await asyncio.to_thread(_added, rollups, since, until, digest)


def _added(rollups: Iterable[Rollup], since: str, until: str, digest: str) -> Statistics:
    by_day: dict[str, Figures] = {}
    whole, versions = Figures(), Counter[str]()
    for rollup in rollups:
        versions[rollup.key.digest] += rollup.figures.ended.total()
        if digest in ("", rollup.key.digest):
            by_day.setdefault(rollup.key.day, Figures()).merge_ends(rollup.figures)
            whole.merge(rollup.figures)
    return Statistics(since=since, until=until, days=by_day, whole=whole, versions=versions)


def of_capabilities(found: Statistics, definition: Definition) -> dict[str, NodeFigures]:
    """Figures of the nodes that ask each capability; the slowest at the median first."""
    by_capability: dict[str, NodeFigures] = {}
    for name, node in definition.nodes.items():
        asked = node.asks.id if node.asks is not None and node.asks.answerer != "library" else ""
        if asked and name in found.whole.nodes:
            by_capability.setdefault(asked, NodeFigures()).merge(found.whole.nodes[name])
    return dict(sorted(by_capability.items(), key=lambda each: -(each[1].took.quantile(0.5) or 0)))


@dataclass(slots=True)
class Place:
    """How many instances wait at a node, and since when the one that waits the longest does (ms)."""

    instances: int = 0
    oldest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the running instances of a workflow are now.

    ``working``: those that wait for nobody. ``complete``: every running instance and every wait was looked at.
    """

    running: int
    working: int
    complete: bool
    nodes: Mapping[str, Place] = field(default_factory=dict)


async def places(ledger: Ledger, definition: Definition, digest: str = "") -> Places:
    """Look (eventually consistent): a query for the running instances, and one for each capability that is asked."""
    items = await ledger.store.listed(
        "by_workflow", definition.workflow_id, limit=MOST_LOOKED_AT, between=("running#", f"running#{LAST}")
    )
    running = {
        instance.id for instance in map(ledger.instances.of_item, items) if digest in ("", instance.definition_digest)
    }
    asked = sorted({*definition.asked, EVENTS})
    found = await asyncio.gather(*(ledger.waiting.of_capability(each, MOST_LOOKED_AT, None) for each in asked))
    nodes: dict[str, Place] = {}
    waiting: dict[str, set[str]] = {}
    for wait, _ in (each for waits in found for each in waits):
        if wait.instance in running and wait.node in definition.nodes:
            place = nodes.setdefault(wait.node, Place(oldest=wait.since))
            place.oldest = min(place.oldest, wait.since)
            waiting.setdefault(wait.node, set()).add(wait.instance)
    for name, instances in waiting.items():
        nodes[name].instances = len(instances)
    complete = len(items) < MOST_LOOKED_AT and all(len(each) < MOST_LOOKED_AT for each in found)
    everybody = set().union(*waiting.values()) if waiting else set()
    return Places(running=len(running), working=len(running - everybody), complete=complete, nodes=nodes)
