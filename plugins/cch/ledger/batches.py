"""Batches: one action for many instances, what has become of each of them, and who works on it.

The members are written first, in pieces, and the batch's own item last: so there is a batch with all of its members, or
none. Whoever works on a batch has its lease for a while and renews it; when he dies, another one takes it over. What
has a result is not done again. All items of a batch expire together, whatever becomes of its instances.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cch.ledger.payloads import dump
from cch.ledger.store import (
    NEW,
    Absent,
    Change,
    ConditionFailedError,
    Equals,
    Item,
    ItemStore,
    Key,
    Value,
    When,
)

#: running: its members are done one after the other. paused: until somebody resumes it. stopped: what is left stays
#: undone. done: every member has a result.
BatchState = Literal["running", "paused", "stopped", "done"]
#: done: the action was carried out. skipped: the instance did not match the search any more. refused: it cannot be done
#: to the instance. failed: an error that nobody has foreseen.
ResultKind = Literal["done", "skipped", "refused", "failed"]
RESULT_KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
#: For how long (s) a batch is kept.
KEPT = 30 * 86_400
#: How long (ms) a lease is good that is not renewed.
LEASE = 30_000
#: Ids in one item: 37 bytes each, of the 400 KB that an item may have (DynamoDB quota).
_IN_PIECE = 2_000
#: After how long (ms) a batch that is announced and is not there never comes.
_GIVEN_UP = 600_000
#: Longest reason of a result, and what an item of results is read by (characters, items).
_LONGEST_REASON, _PAGE = 600, 500
_INDEX, _META = "BATCHES", "META"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch. Times in ms, 0 for none.

    ``action`` and ``search``: as JSON, as they were confirmed. ``workflows``: those of its members. ``rate``: members a
    second. ``counts``: results by kind, as whoever works on it has said last. ``not_allowed``: instances that matched
    and were left out. ``turns``: how often somebody has begun to work on it. ``owner`` and ``until``: who has the
    lease, and for how long.
    """

    id: str
    state: BatchState
    action: Mapping[str, Any]
    search: Mapping[str, Any]
    by: str
    created: int
    total: int
    rate: float
    workflows: tuple[str, ...] = ()
    reason: str = ""
    not_allowed: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    ended: int = 0
    turns: int = 0
    owner: str = ""
    until: int = 0
    #: Under which name its members are stored.
    list: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in ("stopped", "done")

    @property
    def left(self) -> int:
        """Members without a result."""
        return max(0, self.total - sum(self.counts.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What has become of one member. ``number``: its place in the list. ``at`` in ms."""

    number: int
    instance: str
    result: ResultKind
    at: int
    workflow: str = ""
    correlation_id: str = ""
    reason: str = ""


def _key(batch_id: str, sort: str = _META) -> Key:
    return f"BATCH#{batch_id}", sort


def _result_key(number: int) -> str:
    return f"RESULT#{number:07d}"


def _id(item: Item) -> str:
    return str(item["PK"]).removeprefix("BATCH#")


def _place(created: int, batch_id: str) -> str:
    return f"at#{created:013d}#{batch_id}"


def _batch(item: Item) -> Batch:
    return Batch(
        id=_id(item), state=item["state"], action=json.loads(item["action"]),
        search=json.loads(item["search"]), by=item["by"], created=item["created"], total=item["total"],
        rate=float(item["rate"]), workflows=tuple(json.loads(item["workflows"])), reason=item.get("reason", ""),
        not_allowed=item.get("not_allowed", 0), counts=json.loads(item.get("counts", "{}")),
        ended=item.get("ended", 0), turns=item.get("turns", 0), owner=item.get("owner", ""),
        until=item.get("until", 0), list=item.get("list", ""),
    )  # fmt: skip


def _result(item: Item) -> BatchResult:
    return BatchResult(
        number=int(item["SK"].removeprefix("RESULT#")), instance=item["instance"], result=item["result"],
        at=item["at"], workflow=item.get("workflow", ""), correlation_id=item.get("correlation_id", ""),
        reason=item.get("reason", ""),
    )  # fmt: skip


class Batches:
    """``BATCH#<id>`` / ``META``, ``LIST#<name>#<piece>``, ``RESULT#<number>``; ``BATCHES`` / ``at#<created>#<id>``.

    ``BATCHES`` / ``active#<id>``: those with which somebody has to do something still.
    """

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def create(self, batch: Batch, members: Sequence[str]) -> tuple[Batch, bool]:
        """Make a batch of these instances; the one that has this id, and whether it is new."""
        name, expires = uuid.uuid4().hex[:12], batch.created // 1000 + KEPT
        pieces = [members[first : first + _IN_PIECE] for first in range(0, len(members), _IN_PIECE)]
        for number, piece in enumerate(pieces):
            pk, sk = _key(batch.id, f"LIST#{name}#{number:05d}")
            await self._store.put({"PK": pk, "SK": sk, "ids": dump(list(piece)), "expires": expires})
        for sort in (_place(batch.created, batch.id), f"active#{batch.id}"):
            await self._store.put({"PK": _INDEX, "SK": sort, "since": batch.created, "expires": expires})
        pk, sk = _key(batch.id)
        item: Item = {
            "PK": pk, "SK": sk, "state": batch.state, "action": dump(dict(batch.action)),
            "search": dump(dict(batch.search)), "by": batch.by, "created": batch.created, "total": len(members),
            "rate": str(batch.rate), "workflows": dump(list(batch.workflows)), "not_allowed": batch.not_allowed,
            "list": name, "expires": expires, **({"reason": batch.reason} if batch.reason else {}),
        }  # fmt: skip
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            return _batch(failed.item), False
        return _batch(item), True

    async def get(self, batch_id: str) -> Batch | None:
        item = await self._store.get(_key(batch_id))
        return _batch(item) if item else None

    async def latest(self, limit: int, before: str = "") -> tuple[list[Batch], str]:
        """Batches, the newest first, and where to go on ("" if that was all)."""
        bounds = ("at#", before or "at#~")
        found = await self._store.query(_INDEX, limit=limit + 1, last=True, between=bounds)
        places = [item["SK"] for item in found if item["SK"] != before][:limit]
        keys = [_key(place.rpartition("#")[2]) for place in places]
        items = await self._store.get_many(keys) if keys else {}
        # One that was announced twice, because somebody died in between, is where its item says.
        known = [(place, items[key]) for place, key in zip(places, keys, strict=True) if key in items]
        shown = [_batch(item) for place, item in known if place == _place(item["created"], _id(item))]
        return shown, places[-1] if len(found) > limit else ""

    async def active(self, now: int) -> list[Batch]:
        """Batches with which somebody has to do something."""
        markers = await self._store.query(_INDEX, "active#")
        keys = {_key(marker["SK"].removeprefix("active#")): marker["since"] for marker in markers}
        items = await self._store.get_many(list(keys)) if keys else {}
        for key, since in keys.items():
            if key not in items and since < now - _GIVEN_UP:
                await self.settled(key[0].removeprefix("BATCH#"))
        return [_batch(items[key]) for key in keys if key in items]

    async def settled(self, batch_id: str) -> None:
        """Nobody has to do anything with the batch any more."""
        await self._store.delete((_INDEX, f"active#{batch_id}"))

    async def members(self, batch: Batch) -> list[str]:
        """Ids of all its instances, in the order in which they are done."""
        pieces = await self._store.query(_key(batch.id)[0], f"LIST#{batch.list}#")
        return [member for piece in pieces for member in json.loads(piece["ids"])]

    async def results(self, batch_id: str, after: int = -1, limit: int = _PAGE) -> list[BatchResult]:
        """The next results behind a number, by number."""
        bounds = (_result_key(after + 1), "RESULT#~")
        found = await self._store.query(_key(batch_id)[0], limit=limit, between=bounds)
        return [_result(item) for item in found]

    async def all_results(self, batch_id: str) -> dict[int, ResultKind]:
        """Number → what has become of that member."""
        found = await self._store.query(_key(batch_id)[0], "RESULT#")
        return {result.number: result.result for result in map(_result, found)}

    async def put_result(self, batch: Batch, result: BatchResult) -> ResultKind:
        """Record what has become of a member, unless that is recorded already; what counts."""
        pk, sk = _key(batch.id, _result_key(result.number))
        facts = {
            "workflow": result.workflow, "correlation_id": result.correlation_id,
            "reason": result.reason[:_LONGEST_REASON],
        }  # fmt: skip
        item: Item = {
            "PK": pk, "SK": sk, "instance": result.instance, "result": result.result, "at": result.at,
            "expires": batch.created // 1000 + KEPT, **{name: value for name, value in facts.items() if value},
        }  # fmt: skip
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            return _result(failed.item).result
        return result.result

    async def claim(self, batch: Batch, owner: str, now: int) -> Batch | None:
        """Take the lease of a batch; None: somebody else has it, or the batch has changed."""
        if batch.until >= now:
            return None
        unowned = Equals("owner", batch.owner) if batch.owner else Absent("owner")
        not_renewed = Equals("until", batch.until) if batch.until else Absent("until")
        taken: dict[str, Value] = {"owner": owner, "until": now + LEASE, "turns": batch.turns + 1}
        as_seen = When.all(Equals("state", batch.state), unowned, not_renewed)
        return await self._changed(batch.id, Change(set=taken), as_seen)

    async def keep(self, batch: Batch, owner: str, now: int, counts: Mapping[str, int]) -> Batch | None:
        """Renew the lease, and say how far it is; None: somebody else has it."""
        change = Change(set={"until": now + LEASE, "counts": dump(dict(counts))})
        return await self._changed(batch.id, change, When.all(Equals("owner", owner)))

    async def leave(self, batch: Batch, owner: str, now: int, counts: Mapping[str, int], *, done: bool) -> None:
        """Give the lease back. ``done``: every member has a result, so the batch has ended unless it is stopped."""
        said: dict[str, Value] = {"counts": dump(dict(counts))}
        mine = Equals("owner", owner)
        if done:
            ending = Change(set={**said, "state": "done", "ended": now}, remove=("owner", "until"))
            goes_on = When(((mine, Equals("state", "running")), (mine, Equals("state", "paused"))))
            if await self._changed(batch.id, ending, goes_on) is not None:
                return
        await self._changed(batch.id, Change(set=said, remove=("owner", "until")), When.all(mine))

    async def steer(self, batch: Batch, state: BatchState, now: int) -> Batch | None:
        """Pause, resume or stop a batch that is in the state that ``batch`` has; None: it is not any more."""
        ended: dict[str, Value] = {"ended": now} if state == "stopped" else {}
        change = Change(set={"state": state, **ended})
        return await self._changed(batch.id, change, When.all(Equals("state", batch.state)))

    async def _changed(self, batch_id: str, change: Change, when: When) -> Batch | None:
        try:
            return _batch(await self._store.update(_key(batch_id), change, when))
        except ConditionFailedError:
            return None
