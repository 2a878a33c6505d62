"""Rollups: the figures of the instances of one version that ended on one day, counted once each.

One item holds the figures and the *batch*, which is who was added to them last; a conditional write of both counts a
batch as a whole or not at all. Afterwards each instance is marked as counted. Nobody adds another batch before the one
that is there is marked, and nobody adds an instance that is marked: so each end is counted once, also if a process
dies anywhere, or several count at the same time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cch.ledger.endings import UNCOUNTED, UNMENDED, finished
from cch.ledger.figures import Figures
from cch.ledger.instances import Instances
from cch.ledger.payloads import dump
from cch.ledger.records import ENDED, Instance
from cch.ledger.store import NEW, Absent, Below, Change, ConditionFailedError, Equals, Item, ItemStore, When

#: Instances that one write counts: their ids stand in the item.
MOST_AT_ONCE = 50


def day_of(milliseconds: int) -> str:
    """The day (UTC) of a time: ``2026-01-05``."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class RollupKey:
    """``digest``: of the definition; "" for instances that failed before they had one."""

    workflow_id: str
    day: str
    digest: str

    @classmethod
    def of(cls, instance: Instance) -> RollupKey:
        return cls(instance.workflow_id, day_of(instance.ended), instance.definition_digest)

    @property
    def item(self) -> tuple[str, str]:
        return f"STATS#{self.workflow_id}", f"{self.day}#{self.digest or '-'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One instance as it is counted. ``node`` and ``code``: where and why it failed, "" if it has not."""

    instance: Instance
    figures: Figures
    node: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """``number`` counts the writes, 0: none yet; ``batch``: (instance, when it ended, node, code)."""

    key: RollupKey
    figures: Figures = field(default_factory=Figures)
    number: int = 0
    batch: Sequence[tuple[str, int, str, str]] = ()


class Rollups:
    """``STATS#<workflow>`` / ``<day>#<digest>``. Figures are compressed JSON."""

    def __init__(self, store: ItemStore, instances: Instances) -> None:
        self._store = store
        self._instances = instances

    async def of_workflow(self, workflow_id: str, since: str, until: str) -> list[Rollup]:
        """Those of the days from ``since`` to ``until``, both included, by day; one strong query for each MB."""
        items = await self._store.query(f"STATS#{workflow_id}", between=(f"{since}#", f"{until}#~"))
        # Many days have megabytes of figures: an event loop must go on serving everybody else.
        return await asyncio.to_thread(lambda: [_rollup(item) for item in items])

    async def all(self) -> list[Rollup]:
        """Everything that is counted. For audits only."""
        return [_rollup(item) for item in await self._store.scan("STATS#")]

    async def uncounted(self, limit: int) -> list[Instance]:
        """Instances that have ended and are to be counted, in any order (eventually consistent)."""
        items = await self._store.listed("by_live", UNCOUNTED, limit=limit, newest=False)
        return [self._instances.of_item(item) for item in items]

    async def older(self, now: int) -> AsyncIterator[Instance]:
        """Instances that have ended and that nobody has counted, or is about to: of releases without rollups."""
        async for item in finished(self._store, ENDED, now):
            if "counted" not in item and "live" not in item and "expiring" not in item:
                yield self._instances.of_item(item)

    async def take_up(self, instance: Instance) -> bool:
        """Let an instance be counted that ended under a release without rollups; False if it is counted, or runs."""
        change = Change(set={"live": UNCOUNTED})
        ended = When.all(Equals("ended", instance.ended), Absent("counted"), Absent("live"), Absent("expiring"))
        try:
            await self._store.update(_key(instance.id), change, ended)
        except ConditionFailedError:
            return False
        return True

    async def count(
        self, key: RollupKey, wanted: Sequence[Instance], read: Callable[[Instance], Awaitable[Counted | None]]
    ) -> int:
        """Count those of the instances that are not counted; how many those were.

        ``wanted``: at most :data:`MOST_AT_ONCE`, all of ``key``. ``read``: what one did; it may be called again.
        """
        assert len(wanted) <= MOST_AT_ONCE
        known: dict[str, Counted | None] = {}
        while True:
            item = await self._store.get(key.item)
            before = _rollup(item) if item else Rollup(key=key)
            await self._mark(before.batch)
            fresh = [one for one in await self._fresh(wanted) if RollupKey.of(one) == key]
            for one in fresh:
                if one.id not in known:
                    known[one.id] = await read(one)
            batch = [found for one in fresh if (found := known[one.id]) is not None]
            if not batch:
                return 0
            for each in batch:
                before.figures.merge(each.figures)
            entries = [(each.instance.id, each.instance.ended, each.node, each.code) for each in batch]
            unchanged = When.all(Equals("number", before.number)) if before.number else NEW
            try:
                await self._store.put(stored(key, before.figures, before.number + 1, entries), unchanged)
            except ConditionFailedError:
                continue  # somebody else has counted: perhaps the same instances
            await self._mark(entries)
            return len(batch)

    async def _fresh(self, wanted: Sequence[Instance]) -> list[Instance]:
        """Those that have ended as they had, and are not counted: strong reads."""
        before = {one.id: one.ended for one in wanted}
        found = await self._instances.many(list(before))
        now = [one for one in found if one.status in ENDED and not one.expired and one.ended == before[one.id]]
        for one in now:
            if one.counted == one.ended:  # the index is behind, or nobody has taken it out
                await self._take_out(one)
        settled = [await self._settled(one) for one in now if one.counted < one.ended]
        return [one for one in settled if one.counted < one.ended]

    async def _settled(self, instance: Instance) -> Instance:
        """The instance, with what was counted of an earlier end by a process that died before it marked that."""
        if not instance.reopened:
            return instance
        ended, _, digest = instance.reopened.partition("#")
        key = RollupKey(instance.workflow_id, day_of(int(ended)), digest)
        item = await self._store.get(key.item)
        if item is not None:
            await self._mark([entry for entry in _rollup(item).batch if entry[0] == instance.id])
        return (await self._instances.many([instance.id]))[0]

    async def _mark(self, batch: Sequence[tuple[str, int, str, str]]) -> None:
        known = {one.id: one for one in await self._instances.many([entry[0] for entry in batch])} if batch else {}
        for instance_id, ended, node, code in batch:
            one = known.get(instance_id)
            if one is not None and not one.expired and one.counted < ended:
                await self._mark_one(one, ended, node, code)

    async def _take_out(self, instance: Instance) -> None:
        stays = _stays(instance)
        still = When.all(Equals("ended", instance.ended), Equals("live", UNCOUNTED))
        try:
            await self._store.update(_key(instance.id), Change(set=stays, remove=() if stays else ("live",)), still)
        except ConditionFailedError:
            pass

    async def _mark_one(self, instance: Instance, ended: int, node: str, code: str) -> None:
        key, uncounted = _key(instance.id), (Absent("counted"), Below("counted", ended))
        stays = _stays(instance)
        named = {name: value[:200] for name, value in (("failed_node", node), ("error_code", code)) if value}
        still = tuple((Equals("ended", ended), Equals("live", UNCOUNTED), each) for each in uncounted)
        leaves = () if stays else ("live",)
        try:
            await self._store.update(
                key, Change(set={"counted": ended, **stays, **named}, remove=(*leaves, "reopened")), When(still)
            )
        except ConditionFailedError:
            pass
        else:
            return
        there = tuple((Equals("workflow_id", instance.workflow_id), Absent("expired"), each) for each in uncounted)
        try:  # it runs again, but this end of it is counted
            await self._store.update(key, Change(set={"counted": ended}, remove=("reopened",)), When(there))
        except ConditionFailedError:
            pass  # somebody else has marked it


def _stays(instance: Instance) -> dict[str, str | int]:
    """A failed instance stays in the index of what is alive: it needs a person."""
    return {"live": UNMENDED, "checked": instance.ended} if instance.status == "failed" else {}


def _key(instance_id: str) -> tuple[str, str]:
    return f"INST#{instance_id}", "META"


def stored(key: RollupKey, figures: Figures, number: int, batch: Sequence[tuple[str, int, str, str]]) -> Item:
    """The item of a rollup."""
    pk, sk = key.item
    packed = base64.b64encode(zlib.compress(dump(figures.to_json()).encode())).decode()
    return {"PK": pk, "SK": sk, "form": 1, "number": number, "figures": packed, "batch": dump([*map(list, batch)])}


def _rollup(item: Item) -> Rollup:
    day, _, digest = item["SK"].partition("#")
    key = RollupKey(item["PK"].removeprefix("STATS#"), day, "" if digest == "-" else digest)
    figures = Figures.from_json(json.loads(zlib.decompress(base64.b64decode(item["figures"]))))
    batch = [tuple(entry) for entry in json.loads(item["batch"])]
    return Rollup(key=key, figures=figures, number=item["number"], batch=batch)
