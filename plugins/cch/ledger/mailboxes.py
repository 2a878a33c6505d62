"""Mailboxes: wakes for the routers of other processes, and the inbox of starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cch.ledger.store import NEW, Absent, Change, ConditionFailedError, Equals, Item, ItemStore, When

_INBOX = "INBOX#START"
_ROUTERS = "ROUTERS"
#: A wake that nobody fetched has lost its reader, so it expires after a day (seconds).
_WAKE_TTL = 86_400
#: How long (seconds) an ended router is remembered: requests that it owned may wait that long.
_ROUTER_TTL = 92 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStart:
    """A start that waits for its run. ``due`` and ``since`` in ms."""

    instance: str
    workflow_id: str
    since: int
    due: int
    attempts: int
    reason: str = ""
    #: Until when (ms) a dispatcher has it in hand.
    claimed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterState:
    """What a router last said of itself. ``seen`` in ms; ``commands``: it takes commands too."""

    id: str
    seen: int
    waiters: int
    commands: bool


class Mailboxes:
    """``WAKE#<router>`` / ``<command id>``, ``INBOX#START`` / ``<instance>``, ``ROUTERS`` / ``<router>``."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def wake(self, router: str, command_ids: Iterable[str], now: int) -> None:
        """Ask another process's router to look at these requests again."""
        for command_id in command_ids:
            await self._store.put(
                {"PK": f"WAKE#{router}", "SK": command_id, "expires": now // 1000 + _WAKE_TTL},
            )

    async def wakes(self, router: str) -> list[str]:
        """What is in this router's mailbox, and stays there."""
        return [item["SK"] for item in await self._store.query(f"WAKE#{router}")]

    async def forget(self, router: str, command_id: str) -> None:
        """Take a wake out. Who waits is to be woken afterwards: the same wake may have come again meanwhile."""
        await self._store.delete((f"WAKE#{router}", command_id))

    async def count(self, router: str, counters: dict[str, int], now: int) -> None:
        """Overwrite the router's counters; shows too that it lives."""
        item = {"PK": _ROUTERS, "SK": router, "seen": now, "expires": now // 1000 + _ROUTER_TTL}
        await self._store.put({**item, **counters})

    async def routers(self, since: int) -> list[RouterState]:
        """The routers that have shown since then (ms) that they live, the latest first."""
        states = [_state(item) for item in await self._store.query(_ROUTERS)]
        return sorted((state for state in states if state.seen >= since), key=lambda state: -state.seen)

    async def gone(self, before: int) -> frozenset[str]:
        """The routers that were last heard of before then (ms)."""
        return frozenset(state.id for state in map(_state, await self._store.query(_ROUTERS)) if state.seen < before)

    async def enqueue_start(self, instance: str, workflow_id: str, now: int) -> None:
        """Put a start into the inbox, unless it is there."""
        item = {
            "PK": _INBOX, "SK": instance, "workflow_id": workflow_id, "since": now, "due": now, "attempts": 0,
        }  # fmt: skip
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError:
            pass

    async def starts(self) -> list[PendingStart]:
        """Everything in the inbox, by instance id."""
        return [_pending(item) for item in await self._store.query(_INBOX)]

    async def start_of(self, instance: str) -> PendingStart | None:
        """The start of one instance, if it is in the inbox."""
        item = await self._store.get((_INBOX, instance))
        return _pending(item) if item else None

    async def claim(self, start: PendingStart, until: int) -> bool:
        """Take the start in hand until then (ms); False if another dispatcher was faster, or has started it."""
        unchanged = (Equals("since", start.since), Equals("attempts", start.attempts))
        free = Equals("claimed", start.claimed) if start.claimed else Absent("claimed")
        try:
            await self._store.update(
                (_INBOX, start.instance), Change(set={"claimed": until}), When.all(*unchanged, free)
            )
        except ConditionFailedError:
            return False
        return True

    async def postpone(self, start: PendingStart, due: int, reason: str) -> None:
        """Try the start again later, unless another dispatcher has taken it out meanwhile."""
        change = Change(set={"due": due, "attempts": start.attempts + 1, "reason": reason[:300]}, remove=("claimed",))
        try:
            await self._store.update((_INBOX, start.instance), change, When.all(Equals("since", start.since)))
        except ConditionFailedError:
            pass

    async def remove_start(self, instance: str) -> None:
        await self._store.delete((_INBOX, instance))


def _pending(item: Item) -> PendingStart:
    return PendingStart(
        instance=item["SK"],
        workflow_id=item["workflow_id"],
        since=item["since"],
        due=item["due"],
        attempts=item["attempts"],
        reason=item.get("reason", ""),
        claimed=item.get("claimed", 0),
    )


def _state(item: Item) -> RouterState:
    waiters, commands = item.get("waiters", 0), bool(item.get("commands", 0))
    return RouterState(id=item["SK"], seen=item["seen"], waiters=waiters, commands=commands)
