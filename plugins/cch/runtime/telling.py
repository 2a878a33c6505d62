"""Tells of incidents: that a group has appeared, has grown to twice its size, or has ended; at least once each.

What each notifier was told is kept in the ledger (``TOLD#<notifier>`` / ``<incident>``), so that nothing is told again
every minute. Whoever is about to tell says so in that item first; if its process dies, or the notifier fails, the news
is told by whoever looks two minutes later.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cch.counting import counted
from cch.envelope import iso
from cch.ledger.payloads import dump
from cch.ledger.store import NEW, Absent, Below, Change, ConditionFailedError, Equals, Item, When
from cch.runtime.incidents import Incident, incidents

if TYPE_CHECKING:
    from cch.ledger.store import ItemStore
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

What = Literal["appeared", "grew", "ended"]
#: How long (ms) whoever tells has for it, and at the least between two news that the same group grows.
_IN_HAND, _PAUSE = 120_000, 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has become of a group; ``facts``: the group as it is, of an ended one as it was when it was told of."""

    what: What
    facts: Mapping[str, Any]

    @property
    def text(self) -> str:
        """For people, in one line."""
        title, pattern, count = self.facts["title"], self.facts["pattern"], self.facts["count"]
        said = f": {pattern}" if pattern else ""
        match self.what:
            case "appeared":
                return f"CCH: {title}{said} ({counted(count, 'case')})"
            case "grew":
                return f"CCH: {title}{said} (now {counted(count, 'case')})"
            case "ended":
                return f"CCH: it is over: {title}{said}"


class Notifier(Protocol):
    """Somebody who is told. ``key`` names it in the ledger, by what it is."""

    key: str
    kinds: frozenset[str]

    def notify(self, news: News) -> None:
        """Any exception: it was not told."""
        ...


def facts_of(one: Incident) -> dict[str, Any]:
    """An incident as JSON."""
    return {
        "id": one.id, "kind": one.kind, "title": one.title, "workflow_id": one.workflow_id, "node": one.node,
        "code": one.code, "pattern": one.pattern, "capability": one.capability, "count": one.count,
        "first": iso(one.first) if one.first else None, "last": iso(one.last) if one.last else None,
        "usual_seconds": one.usual / 1000 if one.usual else None, "days": list(one.days),
        "examples": [example for example in one.examples if example],
    }  # fmt: skip


async def tell(platform: Platform, notifiers: Sequence[Notifier]) -> int:
    """Tell everybody what is new; how many news were told."""
    if not notifiers:
        return 0
    found = await incidents(platform, platform.settings.incident_days)
    told = 0
    for notifier in notifiers:
        wanted = [one for one in found.items if not notifier.kinds or one.kind in notifier.kinds]
        told += await _Round(platform, notifier).run(wanted, complete=found.complete)
    return told


class _Round:
    """One look, for one notifier."""

    def __init__(self, platform: Platform, notifier: Notifier) -> None:
        self._store: ItemStore = platform.ledger.store
        self._now = platform.clock()
        self._notifier = notifier
        self._partition = f"TOLD#{notifier.key}"

    async def run(self, current: Sequence[Incident], *, complete: bool) -> int:
        known = {item["SK"]: item for item in await self._store.query(self._partition)}
        told = 0
        for one in current:
            item, facts = known.pop(one.id, None), facts_of(one)
            if item is None or not item["count"]:
                told += await self._tell(one.id, item, News(what="appeared", facts=facts))
            elif one.count >= 2 * item["count"] and self._now - item["at"] >= _PAUSE:
                told += await self._tell(one.id, item, News(what="grew", facts=facts))
        for identity, item in known.items() if complete else ():
            if item["count"]:
                told += await self._tell(identity, item, News(what="ended", facts=json.loads(item["facts"])))
            elif self._free(item):
                await self._store.delete((self._partition, identity))  # nobody was told that it was there
        return told

    def _free(self, item: Item) -> bool:
        return bool(item.get("claimed", 0) < self._now)

    async def _tell(self, identity: str, item: Item | None, news: News) -> bool:
        if not await self._claim(identity, item):
            return False
        try:
            await asyncio.to_thread(self._notifier.notify, news)
        except Exception as error:  # noqa: BLE001 - a notifier is anybody's code, and others must be told all the same
            log.warning("not told that %s: %s: %s", news.text, type(error).__name__, error)
            return False
        key = (self._partition, identity)
        if news.what == "ended":
            await self._store.delete(key)
        else:
            told: dict[str, Any] = {"count": news.facts["count"], "at": self._now, "facts": dump(news.facts)}
            await self._store.update(key, Change(set=told, remove=("claimed",)))
        return True

    async def _claim(self, identity: str, item: Item | None) -> bool:
        """Whether it is ours to tell: nobody else is about to, or has done so since we looked."""
        claimed = self._now + _IN_HAND
        try:
            if item is None:
                fresh: Item = {"PK": self._partition, "SK": identity, "count": 0, "at": self._now, "claimed": claimed}
                await self._store.put(fresh, NEW)
            else:
                same = Equals("count", item["count"])
                free = When(((same, Absent("claimed")), (same, Below("claimed", self._now))))
                await self._store.update((self._partition, identity), Change(set={"claimed": claimed}), free)
        except ConditionFailedError:
            return False
        return True
