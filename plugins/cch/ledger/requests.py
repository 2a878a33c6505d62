"""Requests: one item decides what happens to each; pointers in boxes only help to find it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.ledger.payloads import Payloads, dump
from cch.ledger.records import RequestRecord, RequestState
from cch.ledger.store import NEW, Absent, Change, ConditionFailedError, Equals, Item, ItemStore, When
from cch.ledger.waiting import OPEN_ATTRIBUTES, open_attributes

#: Closed pointers kept for each source of a box, to tell a duplicate from a late reply.
KEPT_POINTERS = 20

_TEXTS = (
    "instance", "region", "node", "source", "branch", "state", "task_instance", "body_hash", "scope",
    "answered_by", "reply_status", "reason",
)  # fmt: skip
_NUMBERS = ("visit", "attempt", "created", "deadline", "sent_at", "closed_at")
_OPEN = When.all(Equals("state", "open"))


def _key(command_id: str) -> tuple[str, str]:
    return f"REQ#{command_id}", "-"


def box_of(instance: str, branch: str) -> str:
    """Partition of the pointers for one instance and branch."""
    return f"BOX#{instance}#{branch or '-'}"


def _pointer_key(record: RequestRecord) -> tuple[str, str]:
    return box_of(record.instance, record.branch), f"REQ#{record.source}#{record.command_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What a box knows of a request: where it is, and, once closed, what closed it."""

    command_id: str
    source: str
    state: RequestState
    asked: int
    reply_command: str = ""


class Requests:
    """``REQ#<command id>`` and the pointers ``BOX#<instance>#<branch>`` / ``REQ#<source>#<command id>``."""

    def __init__(self, store: ItemStore, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    async def _record(self, item: Item) -> RequestRecord:
        values: dict[str, Any] = {name: item.get(name, "") for name in _TEXTS}
        values |= {name: item.get(name, 0) for name in _NUMBERS}
        reply = await self._payloads.unpack("reply", item)
        return RequestRecord(
            command_id=item["PK"].removeprefix("REQ#"),
            owners=frozenset(item.get("owners", ())),
            reply=json.loads(reply) if reply else {},
            **values,
        )

    async def get(self, command_id: str) -> RequestRecord | None:
        item = await self._store.get(_key(command_id))
        return await self._record(item) if item else None

    async def open(self, record: RequestRecord, owner: str, *, again: bool = False) -> tuple[bool, RequestRecord]:
        """Put the request, or become an owner of the one that is there, which is looked for first ``again``.

        Returns whether it is new, and the request as stored; if it was closed before, as it was closed.
        """
        if again and (known := await self._own(record.command_id, owner)):
            return False, known
        item: Item = {"PK": _key(record.command_id)[0], "SK": "-", "owners": frozenset({owner})}
        for name in (*_TEXTS, *_NUMBERS):
            if (value := getattr(record, name)) not in ("", 0):
                item[name] = value
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            if failed.item.get("state") != "open" or owner in failed.item.get("owners", ()):
                return False, await self._record(failed.item)
        else:
            return True, await self._record(item)
        known = await self._own(record.command_id, owner)
        assert known is not None
        return False, known

    async def _own(self, command_id: str, owner: str) -> RequestRecord | None:
        """Become an owner of an open request; the request as it is then, None if there is none."""
        try:
            item = await self._store.update(_key(command_id), Change(add={"owners": owner}), _OPEN)
        except ConditionFailedError as failed:
            return await self._record(failed.item) if failed.item else None
        return await self._record(item)

    async def sent(self, command_id: str, now: int) -> None:
        try:
            await self._store.update(_key(command_id), Change(set={"sent_at": now}), _OPEN)
        except ConditionFailedError:
            pass  # answered before we could note that it was sent

    async def close(
        self,
        command_id: str,
        state: RequestState,
        now: int,
        *,
        instance: str = "",
        message: str = "",
        status: str = "",
        reply: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> tuple[bool, RequestRecord | None]:
        """Close an open request; there is exactly one winner. With ``instance``, only if the request is that one's.

        Returns whether this call (or, for a reply, this message) closed it, and the request as it is now.
        """
        change: dict[str, Any] = {"state": state, "closed_at": now}
        if message:
            change["answered_by"] = message
        if status:
            change["reply_status"] = status
        if reason:
            change["reason"] = reason[:600]
        if reply is not None:
            change |= await self._payloads.pack("reply", dump(reply))
        try:
            condition = When.all(Equals("state", "open"), Equals("instance", instance)) if instance else _OPEN
            item = await self._store.update(_key(command_id), Change(set=change), condition)
        except ConditionFailedError as failed:
            if failed.item is None:
                return False, None
            record = await self._record(failed.item)
            return bool(message) and record.answered_by == message, record
        return True, await self._record(item)

    async def point(self, record: RequestRecord) -> None:
        """Let the box know of an open request, unless it knows already that the request has been closed."""
        change = Change(
            set={
                "state": record.state,
                "node": record.node,
                "deadline": record.deadline,
                **open_attributes(record.instance, record.source, record.created),
            },
        )
        try:
            await self._store.update(_pointer_key(record), change, When.any(Absent("PK"), Equals("state", "open")))
        except ConditionFailedError:
            pass

    async def point_closed(self, record: RequestRecord, reply_command: str = "") -> None:
        """Let the box know how the request ended; the oldest closed pointers of its source go."""
        await self._store.update(
            _pointer_key(record),
            Change(
                set={"state": record.state, "asked": record.created, "reply_command": reply_command or "-"},
                remove=OPEN_ATTRIBUTES,
            ),
        )

    async def pointers(self, instance: str, branch: str, source: str) -> list[Pointer]:
        """All pointers of one source in a box, oldest first; surplus closed ones are dropped on the way."""
        box = box_of(instance, branch)
        items = await self._store.query(box, f"REQ#{source}#")
        found = [
            Pointer(
                command_id=item["SK"].rsplit("#", 1)[1],
                source=source,
                state=item["state"],
                asked=item["asked"],
                reply_command=item.get("reply_command", ""),
            )
            for item in items
        ]
        found.sort(key=lambda pointer: pointer.asked)
        closed = [pointer for pointer in found if pointer.state != "open"]
        for pointer in closed[:-KEPT_POINTERS]:
            await self._store.delete((box, f"REQ#{source}#{pointer.command_id}"))
        surplus = {pointer.command_id for pointer in closed[:-KEPT_POINTERS]}
        return [pointer for pointer in found if pointer.command_id not in surplus]

    async def of_instance(self, instance: str, branch: str = "") -> list[RequestRecord]:
        """Requests of an instance, oldest first, for people."""
        items = await self._store.query(box_of(instance, branch), "REQ#")
        commands = [_key(item["SK"].rsplit("#", 1)[1]) for item in items]
        found = await self._store.get_many(commands) if commands else {}
        records = [await self._record(item) for item in found.values()]
        return sorted(records, key=lambda record: record.created)
