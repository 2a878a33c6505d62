"""Requests: one item decides what happens to each; pointers in boxes only help to find it.

The item and its pointer are closed together, here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.errors import LedgerError
from cch.identity import FIRST_SCHEME, NEWEST_SCHEME, Box, Scope, require_known
from cch.ledger.payloads import Payloads, dump
from cch.ledger.records import RequestRecord, RequestState
from cch.ledger.store import NEW, Absent, Below, Change, Clause, ConditionFailedError, Equals, Item, ItemStore, When
from cch.ledger.waiting import OPEN_ATTRIBUTES, Whose, open_attributes, prolong, scope_attribute

#: Closed pointers kept for each source of a box, to tell a duplicate from a late reply.
KEPT_POINTERS = 20

_TEXTS = (
    "instance", "region", "node", "source", "branch", "state", "task_instance", "body_hash",
    "answered_by", "reply_status", "reason",
)  # fmt: skip
_NUMBERS = ("visit", "attempt", "created", "deadline", "sent_at", "closed_at", "generation")
_OPEN = When.all(Equals("state", "open"))


def _key(command_id: str) -> tuple[str, str]:
    return f"REQ#{command_id}", "-"


def _pointer_key(record: RequestRecord) -> tuple[str, str]:
    return record.box.key, f"REQ#{record.source}#{record.command_id}"


class ForeignRequestError(LedgerError):
    """A message asks to close a request of another instance than its own."""

    code = "CCH-L004"


@dataclass(frozen=True, slots=True)
class Closed:
    """Proof that a request is closed: its waiter goes on only with this proof.

    ``mine``: the call that returned it (or, of a reply, the same message before) has closed it.
    """

    record: RequestRecord
    mine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What a box knows of a request: where it is, and, once closed, what closed it."""

    command_id: str
    source: str
    state: RequestState
    asked: int
    reply_command: str = ""
    #: Branch keys of the item that asked, from the outside in.
    path: tuple[str, ...] = ()


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
            scope=Scope(item.get("scope", "")),
            scheme=item.get("scheme", FIRST_SCHEME),
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
        item: Item = {
            "PK": _key(record.command_id)[0], "SK": "-", "owners": frozenset({owner}), "scheme": record.scheme,
        }  # fmt: skip
        if record.scope.text:
            item["scope"] = record.scope.text
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

    async def prolong(self, record: RequestRecord, length: int, held: int) -> None:
        """Move the deadline of an open request by ``length`` (ms), once for the hold that began at ``held`` (ms)."""
        await prolong(self._store, _key(record.command_id), record.deadline + length, held)

    async def close(
        self,
        command_id: str,
        state: RequestState,
        now: int,
        *,
        instance: str = "",
        message: str = "",
        reply_command: str = "",
        status: str = "",
        reply: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Closed | None:
        """Close a request unless it is closed, and let its box know; there is exactly one winner.

        ``instance``: whose it has to be. ``message``, ``reply_command``, ``status``, ``reply``: of the message that
        answers it. Safe to repeat: whoever has closed it and died before the box knew tells the box now. None: there
        is no such request.

        :raises ForeignRequestError: it is another instance's.
        :raises UnknownSchemeError: a later release made it.
        """
        change: dict[str, Any] = {"state": state, "closed_at": now}
        given = {"answered_by": message, "reply_status": status, "reason": reason[:600]}
        change |= {name: value for name, value in given.items() if value}
        if reply is not None:
            whose = instance or (await self._store.get(_key(command_id)) or {}).get("instance", "")
            change |= await self._payloads.pack("reply", dump(reply), whose)
        mine = True
        try:
            record = await self._record(await self._store.update(_key(command_id), Change(set=change), _may(instance)))
        except ConditionFailedError as failed:
            if failed.item is None:
                return None
            record = await self._record(failed.item)
            require_known(record.scheme, record.instance)
            if instance and record.instance != instance:
                raise ForeignRequestError(f"request {command_id} belongs to another instance than {instance}") from None
            mine = bool(message) and record.answered_by == message
        if mine or (not message and record.state == state):
            await self._point_closed(record, reply_command)
        return Closed(record, mine)

    async def confirm(self, record: RequestRecord, reply_command: str = "") -> Closed:
        """The proof for a request that was closed before; its pointer is closed once more.

        The pointer of an answered request is closed only with the reply's own id, which a repeated message brings.
        """
        assert record.state != "open"
        if record.state != "answered" or reply_command:
            await self._point_closed(record, reply_command)
        return Closed(record)

    async def point(self, record: RequestRecord) -> None:
        """Let the box know of an open request, unless it knows already that the request has been closed."""
        change = Change(
            set={
                "state": record.state,
                "node": record.node,
                "deadline": record.deadline,
                **open_attributes(record.instance, record.source, record.created),
                **scope_attribute(record.scope),
            },
        )
        try:
            await self._store.update(_pointer_key(record), change, When.any(Absent("PK"), Equals("state", "open")))
        except ConditionFailedError:
            pass

    async def _point_closed(self, record: RequestRecord, reply_command: str) -> None:
        await self._store.update(
            _pointer_key(record),
            Change(
                set={
                    "state": record.state,
                    "asked": record.created,
                    "reply_command": reply_command or "-",
                    **scope_attribute(record.scope),
                },
                remove=OPEN_ATTRIBUTES,
            ),
        )

    async def pointers(self, box: Box, source: str) -> list[Pointer]:
        """All pointers of one source in a box, oldest first; surplus closed ones are dropped on the way."""
        # Keys of a source that this one is the beginning of are among those found.
        read = map(_pointer, await self._store.query(box.key, f"REQ#{source}#"))
        found = sorted((pointer for pointer in read if pointer.source == source), key=lambda pointer: pointer.asked)
        closed = [pointer for pointer in found if pointer.state != "open"]
        older, kept = closed[:-KEPT_POINTERS], closed[-KEPT_POINTERS:]
        if all(pointer.state == "answered" for pointer in kept):
            # One that was not answered stays: a reply that names nobody may be for it.
            lasting = next((pointer for pointer in older if pointer.state != "answered"), None)
            older = [pointer for pointer in older if pointer != lasting]
        surplus = {pointer.command_id for pointer in older}
        for command_id in surplus:
            await self._store.delete((box.key, f"REQ#{source}#{command_id}"))
        return [pointer for pointer in found if pointer.command_id not in surplus]

    async def all_pointers(self, box: Box) -> list[Pointer]:
        """All pointers in a box, whatever their source, oldest first: one strong query."""
        found = map(_pointer, await self._store.query(box.key, "REQ#"))
        return sorted(found, key=lambda pointer: pointer.asked)

    async def of_box(self, box: Box) -> list[RequestRecord]:
        """The requests that a box points at, oldest first."""
        items = await self._store.query(box.key, "REQ#")
        commands = [_key(item["SK"].rpartition("#")[2]) for item in items]
        found = await self._store.get_many(commands) if commands else {}
        records = [await self._record(item) for item in found.values()]
        return sorted(records, key=lambda record: (record.created, record.attempt))


def _pointer(item: Item) -> Pointer:
    """From its item; the id holds no ``#``, which the source does."""
    source, _, command_id = item["SK"].removeprefix("REQ#").rpartition("#")
    return Pointer(
        command_id=command_id,
        source=source,
        state=item["state"],
        asked=item["asked"],
        reply_command=item.get("reply_command", ""),
        path=Whose.of(item).path,
    )


def _may(instance: str) -> When:
    """Open, of the instance (if one is given), and of a scheme that this release knows."""
    clauses: tuple[Clause, ...] = (Equals("state", "open"), *((Equals("instance", instance),) if instance else ()))
    return When(((*clauses, Absent("scheme")), (*clauses, Below("scheme", NEWEST_SCHEME + 1))))
