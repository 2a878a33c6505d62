"""Gates: an instance whose gate is closed does nothing until the gate is opened again.

A person closes it to hold the instance, and a change closes it while it is being made (:mod:`cch.runtime.changing`).
Regions find it before they send anything, and at their next commit, because whoever closes the gate also leaves an
entry in each of their journals (:mod:`cch.runtime.gating`). Replies and events are taken and kept meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cch.errors import CchError
from cch.ledger.payloads import dump
from cch.ledger.store import Absent, Change, ConditionFailedError, Equals, Item, ItemStore, Step, When

#: Why a gate is closed; names of attributes of the instance's item: do not rename.
GateKind = Literal["held", "changing"]
GATES: tuple[GateKind, ...] = ("held", "changing")
_INDEX = "GATES"
#: From the item of an ended instance: what makes it live again, and when it may; None: it has not ended.
Reopening = Callable[[Item], Step | None]


class GateTakenError(CchError):
    """Somebody else has closed the gate, or the instance has ended."""

    code = "CCH-L006"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A closed gate: who closed it, when (ms) and why. ``wish``: what is being done behind it, to be gone on with."""

    kind: GateKind
    by: str
    since: int
    reason: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        return dump({"by": self.by, "since": self.since, "reason": self.reason, "wish": dict(self.wish)})

    @classmethod
    def of(cls, kind: GateKind, text: str) -> Gate:
        return cls(kind=kind, **json.loads(text))


def gates_of(meta: Item) -> tuple[Gate, ...]:
    """The closed gates of an instance's item."""
    return tuple(Gate.of(kind, meta[kind]) for kind in GATES if kind in meta)


class Gates:
    """``held``, ``changing`` and ``gates`` of ``INST#<id>`` / ``META``; those that are closed: ``GATES`` / ``<id>``."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def close(self, instance_id: str, gate: Gate, reopening: Reopening | None = None) -> int:
        """Close a gate of a live instance; its number, which is greater than those of all gates before.

        ``reopening``: what makes an ended instance live again, in the same write.

        :raises GateTakenError: the instance has ended, is not known, or this gate is closed already.
        """
        key = (f"INST#{instance_id}", "META")
        await self._store.put({"PK": _INDEX, "SK": f"{gate.kind}#{instance_id}", "since": gate.since})
        while True:
            meta = await self._store.get(key)
            found: Step | None = (Change(), (Equals("live", "yes"),))
            if meta is None or meta.get("live") != "yes":
                found = reopening(meta) if meta is not None and reopening is not None else None
            if meta is None or found is None:
                if meta is None or gate.kind not in meta:
                    await self.forget(instance_id, gate.kind)
                raise GateTakenError(f"instance {instance_id} has ended, or is not known")
            if gate.kind in meta:
                other = Gate.of(gate.kind, meta[gate.kind])
                raise GateTakenError(
                    f"instance {instance_id} is {gate.kind} already, since {other.since} by {other.by}"
                )
            number = int(meta.get("gates", 0)) + 1
            as_seen = Equals("gates", number - 1) if "gates" in meta else Absent("gates")
            change, may = found
            change = replace(change, set={**change.set, gate.kind: gate.to_text(), "gates": number})
            try:
                await self._store.update(key, change, When.all(as_seen, Absent(gate.kind), *may))
            except ConditionFailedError:
                continue
            return number

    async def open(self, instance_id: str, gate: Gate, due: int = 0) -> bool:
        """Open the gate that was closed so; False if it is not closed so any more.

        ``due``: when the instance's time is up then (ms); 0: as before.
        """
        done, as_closed = True, When.all(Equals(gate.kind, gate.to_text()))
        try:
            change = Change(set={"due": due} if due else {}, remove=(gate.kind,))
            await self._store.update((f"INST#{instance_id}", "META"), change, as_closed)
        except ConditionFailedError:
            done = False
        await self._store.delete((_INDEX, f"{gate.kind}#{instance_id}"))
        return done

    async def forget(self, instance_id: str, kind: GateKind) -> None:
        """A gate that was to be closed never was."""
        await self._store.delete((_INDEX, f"{kind}#{instance_id}"))

    async def closed(self, kind: GateKind) -> list[tuple[str, int]]:
        """Instances whose gate of this kind may be closed, and since when (ms)."""
        items = await self._store.query(_INDEX, f"{kind}#")
        return [(item["SK"].partition("#")[2], item["since"]) for item in items]
