"""Lists of instances for people: pages of any size over the indexes, merged, filtered, and continued exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from cch.ledger.endings import UNMENDED
from cch.ledger.failures import FailureGroup
from cch.ledger.instances import Instances, key_head
from cch.ledger.records import Instance, InstanceStatus
from cch.ledger.store import LAST, Item, ItemStore, Place, Value

#: Items that one page looks at, at the most: a rare match must not cost a read of everything.
MOST_EXAMINED = 1000
#: Times are 13 digits from 2001 to 2286; text with times in it sorts as long as that is so.
_EARLIEST, _LATEST = 1_000_000_000_000, 9_999_999_999_999

#: Where each stream of a list goes on: [PK, SK, sort value]; None: at its beginning; "": it is at its end.
Position = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which instances. Empty means: any. Times in ms, both included."""

    statuses: tuple[InstanceStatus, ...] = ()
    workflow_id: str = ""
    correlation_id: str = ""
    correlation_prefix: str = ""
    capability: str = ""
    #: sha256 of the definition that they run.
    digest: str = ""
    #: Of failed instances that nobody has mended: id of their group (:class:`cch.ledger.failures.FailureGroup`).
    incident: str = ""
    #: Where and why instances failed.
    failed_node: str = ""
    error_code: str = ""
    since: int = 0
    until: int = 0

    def to_json(self) -> dict[str, Any]:
        """What is asked for, in the form in which batches are stored: do not rename."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Wanted:
        return cls(**{**raw, "statuses": tuple(raw.get("statuses", ()))})

    @property
    def times(self) -> tuple[int, int]:
        return self.since or _EARLIEST, self.until or _LATEST

    def fits(self, instance: Instance) -> bool:
        low, high = self.times
        return (
            (not self.statuses or instance.status in self.statuses)
            and self.workflow_id in ("", instance.workflow_id)
            and self.digest in ("", instance.definition_digest)
            and self.failed_node in ("", instance.failed_node)
            and self.error_code in ("", instance.error_code)
            and (not self.incident or FailureGroup.of(instance).id == self.incident)
            and self.correlation_id in ("", instance.correlation_id)
            and instance.correlation_id.startswith(self.correlation_prefix)
            and low <= instance.started <= high
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``position`` is where to go on; None: that was all."""

    instances: tuple[Instance, ...]
    position: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One partition of an index; ``name`` is what positions call it."""

    name: str
    index: str
    value: str
    sort: str
    between: tuple[Value, Value] | None = None
    newest: bool = True


@dataclass(slots=True)
class _Stream:
    """A source, read piece by piece."""

    store: ItemStore
    source: _Source
    place: Place | None = None
    ended: bool = False
    items: list[Item] = field(default_factory=list)

    @classmethod
    def at(cls, store: ItemStore, source: _Source, position: Any) -> _Stream:
        """:raises ValueError: ``position`` is none."""
        if position in (None, ""):
            return cls(store, source, ended=position == "")
        pk, sk, sort = position
        if not (isinstance(pk, str) and isinstance(sk, str) and isinstance(sort, str | int)):
            raise ValueError("not a position")  # noqa: TRY004 - its content is wrong, whatever the type
        return cls(store, source, Place((pk, sk), sort))

    async def fill(self, limit: int) -> None:
        if self.items or self.ended:
            return
        source = self.source
        found = await self.store.listed(
            source.index, source.value, limit=limit, newest=source.newest, between=source.between, after=self.place
        )
        self.items = found[::-1]
        self.ended = len(found) < limit

    def take(self) -> Item:
        item = self.items.pop()
        self.place = Place((item["PK"], item["SK"]), item[self.source.sort])
        return item

    @property
    def position(self) -> Any:
        if self.ended and not self.items:
            return ""
        return [*self.place.key, self.place.sort] if self.place else None


def _sources(wanted: Wanted) -> list[_Source]:
    low, high = wanted.times
    statuses = wanted.statuses or get_args(InstanceStatus)
    if wanted.incident:
        return [_Source(name="-", index="by_live", value=UNMENDED, sort="checked")]
    if wanted.capability:
        capability = wanted.capability
        return [_Source(name="-", index="by_capability", value=capability, sort="asked", newest=False)]
    if key := wanted.correlation_id or wanted.correlation_prefix:
        bounds = (key, key if wanted.correlation_id else key + LAST)
        return [
            _Source(name="-", index="by_key", value=key_head(key), sort="correlation_id", between=bounds, newest=False)
        ]
    if wanted.workflow_id:
        return [
            _Source(
                name=status, index="by_workflow", value=wanted.workflow_id, sort="status_started",
                between=(f"{status}#{low}", f"{status}#{high}"),
            )
            for status in statuses
        ]  # fmt: skip
    return [
        _Source(name=status, index="by_status", value=status, sort="started", between=(low, high))
        for status in statuses
    ]


class Listing:
    """Lists of instances. Eventually consistent, as indexes are."""

    def __init__(self, store: ItemStore, instances: Instances) -> None:
        self._store = store
        self._instances = instances

    async def page(
        self,
        wanted: Wanted,
        limit: int,
        position: Position | None = None,
        keep: Callable[[Instance], Any] = bool,
    ) -> Page:
        """The next ``limit`` instances that fit and that ``keep`` says yes to.

        Newest first; by key if a beginning of the key is given; the one that waits longest first for a capability.
        May be shorter, even empty, and still have a position: then :data:`MOST_EXAMINED` have been looked at.

        :raises ValueError: ``position`` is none of this list.
        """
        begun = position or {}
        sources = _sources(wanted)
        if not begun.keys() <= {source.name for source in sources}:
            raise ValueError("not a position of this list")
        streams = [_Stream.at(self._store, source, begun.get(source.name)) for source in sources]
        found: list[Instance] = []
        seen: set[str] = set()
        examined = 0
        while len(found) < limit and examined < MOST_EXAMINED:
            await asyncio.gather(*(stream.fill(limit) for stream in streams))
            live = [stream for stream in streams if stream.items]
            if not live:
                break
            batch = self._merged(live, limit - len(found))
            examined += len(batch)
            for instance in await self._read(batch, wanted):
                if instance.id not in seen and wanted.fits(instance) and keep(instance):
                    found.append(instance)
                seen.add(instance.id)
        more = any(stream.position != "" for stream in streams)
        where = {stream.source.name: stream.position for stream in streams}
        return Page(instances=tuple(found), position=where if more else None)

    @staticmethod
    def _merged(streams: list[_Stream], limit: int) -> list[Item]:
        """The next items of all streams; stops when one runs dry that may have more."""
        batch: list[Item] = []
        while len(batch) < limit:
            live = [stream for stream in streams if stream.items]
            if not live or any(not stream.items and not stream.ended for stream in streams):
                break
            chosen = max(live, key=lambda stream: stream.items[-1].get("started", 0)) if len(live) > 1 else live[0]
            batch.append(chosen.take())
        return batch

    async def _read(self, items: list[Item], wanted: Wanted) -> list[Instance]:
        """The instances of index items; the index of capabilities holds pointers to their requests and waits."""
        if not wanted.capability:
            return [self._instances.of_item(item) for item in items]
        ids = dict.fromkeys(item["PK"].split("#", 2)[1] for item in items)
        return await self._instances.many(list(ids))
