"""Incidents: what needs a person, as one list of groups, made from what is stored whenever somebody asks.

Costs a query for each thousand failed instances, one for each capability that is asked and two more, and a read for
each hundred late waits, orphans or workflows.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from cch.json_settings import INCIDENT_KINDS
from cch.ledger.failures import FailureGroup, group_id, pattern_of
from cch.ledger.rollups import day_of
from cch.ledger.waiting import EVENTS
from cch.runtime.pulse import pulse
from cch.runtime.usual import usual_times

if TYPE_CHECKING:
    from cch.definition.entries import Entry
    from cch.ledger.records import Instance
    from cch.ledger.waiting import OpenWait
    from cch.runtime.platform import Platform
    from cch.runtime.usual import UsualTimes

#: ``failed``: instances; ``late``: waits over their usual time; ``orphan``: messages; ``start``: starts that wait for
#: their run; ``definition``: files with errors.
Kind = Literal["failed", "late", "orphan", "start", "definition"]

#: Failed instances, waits for one capability and orphans that are looked at, and ids that a group names.
MOST_FAILED, _MOST_WAITS, _MOST_ORPHANS, _NAMED = 5000, 500, 500, 5
#: A wait is late only if it is so much (ms) over its usual time.
_OVER = 60_000
_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One group. ``pattern``: the message that its members share; ``usual``: of a late wait, in ms.

    ``days``: how many came on each day of the time that is looked at, the oldest first; times in ms.
    """

    id: str
    kind: Kind
    workflow_id: str = ""
    node: str = ""
    code: str = ""
    pattern: str = ""
    capability: str = ""
    count: int = 0
    first: int = 0
    last: int = 0
    usual: int = 0
    days: Sequence[int] = ()
    examples: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What it is, in one line."""
        match self.kind:
            case "failed":
                place = f"at {self.node}" if self.node else "before any node"
                return f"{self.workflow_id} failed {place}" + (f" with {self.code}" if self.code else "")
            case "late":
                return f"{self.workflow_id} waits at {self.node} for longer than usual"
            case "orphan":
                return f"messages of {self.capability or 'nobody'} found nobody"
            case "start":
                return f"starts of {self.workflow_id} wait for their run"
            case "definition":
                return f"the definition of {self.workflow_id} has errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """``complete``: everything was looked at. The groups of each kind, those with most members first."""

    since: int
    items: Sequence[Incident]
    complete: bool


@dataclass(slots=True)
class _Group:
    """Members of one group while it is made."""

    like: Incident
    times: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, at: int, example: str) -> None:
        self.times.append(at)
        if len(self.examples) < _NAMED and example not in self.examples:
            self.examples.append(example)

    def made(self, days: Sequence[str]) -> Incident:
        by_day = Counter(map(day_of, self.times))
        return replace(
            self.like, count=len(self.times), first=min(self.times), last=max(self.times),
            days=tuple(by_day[day] for day in days), examples=tuple(self.examples),
        )  # fmt: skip


async def incidents(platform: Platform, days: int) -> Incidents:
    """What needs a person now; of what happened, the last ``days``."""
    now = platform.clock()
    since = now - days * _DAY
    snapshot = await asyncio.to_thread(platform.catalogue.snapshot)
    failed, late, orphans, seen = await asyncio.gather(
        platform.ledger.failures.unmended(since, MOST_FAILED),
        _late(platform, snapshot.entries, now),
        platform.ledger.messages.unmatched("orphan", _MOST_ORPHANS),
        pulse(platform.ledger, now),
    )
    groups: dict[str, _Group] = {}

    def of(like: Incident) -> _Group:
        return groups.setdefault(like.id, _Group(like))

    for instance in failed:
        of(_failed(FailureGroup.of(instance))).add(instance.ended, instance.id)
    for like, wait in late:
        of(like).add(wait.since, wait.instance)
    known = await platform.ledger.instances.many(list(dict.fromkeys(one.instance for one in orphans if one.instance)))
    workflow_of = {instance.id: instance.workflow_id for instance in known}
    for message in orphans:
        if message.received >= since:
            of(_orphan(workflow_of.get(message.instance, ""), message.source, message.reason)).add(
                message.received, message.instance
            )
    for start in seen.slow:
        of(_start(start.workflow_id, start.reason)).add(start.since, start.instance)
    shown = [day_of(now - back * _DAY) for back in range(days - 1, -1, -1)]
    items = [group.made(shown) for group in groups.values()] + list(_definitions(snapshot.entries))
    items.sort(key=lambda one: (INCIDENT_KINDS.index(one.kind), -one.count, one.id))
    complete = len(failed) < MOST_FAILED and len(orphans) < _MOST_ORPHANS
    return Incidents(since=since, items=items, complete=complete)


def _failed(group: FailureGroup) -> Incident:
    return Incident(
        id=group.id, kind="failed", workflow_id=group.workflow_id, node=group.node, code=group.code,
        pattern=group.pattern,
    )  # fmt: skip


def _orphan(workflow_id: str, source: str, reason: str) -> Incident:
    pattern = pattern_of(reason)
    identity = group_id("orphan", workflow_id, source, pattern)
    return Incident(id=identity, kind="orphan", workflow_id=workflow_id, capability=source, pattern=pattern)


def _start(workflow_id: str, reason: str) -> Incident:
    pattern = pattern_of(reason or "no dispatcher has tried it yet (the DAG cch_commands)")
    return Incident(id=group_id("start", workflow_id, pattern), kind="start", workflow_id=workflow_id, pattern=pattern)


def _definitions(entries: Iterable[Entry]) -> Iterable[Incident]:
    for entry in entries:
        errors = [problem for problem in entry.problems if problem.severity == "error"]
        if errors:
            yield Incident(
                id=group_id("definition", entry.workflow_id, entry.file), kind="definition",
                workflow_id=entry.workflow_id, code=errors[0].code, pattern=errors[0].message, count=len(errors),
                examples=(entry.file,),
            )  # fmt: skip


async def _late(platform: Platform, entries: Sequence[Entry], now: int) -> list[tuple[Incident, OpenWait]]:
    """Open waits over their usual time, each with its group."""
    times = await usual_times(platform.ledger, (entry.workflow_id for entry in entries))
    asked = {each for entry in entries if entry.definition is not None for each in entry.definition.asked} | {EVENTS}
    found = await asyncio.gather(
        *(platform.ledger.waiting.of_capability(each, _MOST_WAITS, None) for each in sorted(asked))
    )
    waits = [wait for each in found for wait, _ in each if now - wait.since > _OVER]
    by_instance: dict[str, list[OpenWait]] = defaultdict(list)
    for wait in waits:
        by_instance[wait.instance].append(wait)
    instances = await platform.ledger.instances.many(list(by_instance))
    return [
        (like, wait)
        for instance in instances
        for wait in by_instance[instance.id]
        if (like := _late_wait(times, instance, wait, now)) is not None
    ]


def _late_wait(times: UsualTimes, instance: Instance, wait: OpenWait, now: int) -> Incident | None:
    usual = times.of(instance.workflow_id, wait.node)
    if usual is None or instance.status != "running" or now - wait.since <= usual + _OVER:
        return None
    return Incident(
        id=group_id("late", instance.workflow_id, wait.node), kind="late", workflow_id=instance.workflow_id,
        node=wait.node, capability="" if wait.is_event else wait.capability, usual=usual,
    )  # fmt: skip
