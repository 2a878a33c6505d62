"""What people did to instances."""

from __future__ import annotations

import json

from cch.ledger.payloads import dump
from cch.ledger.records import ActionRecord
from cch.ledger.store import ItemStore

_ACTION = ("kind", "at", "by", "reason", "came_from", "version")


def _partition(instance_id: str) -> str:
    return f"INST#{instance_id}"


class Actions:
    """``INST#<id>`` / ``ACT#<number of the gate>#<kind>``: written once, by who closed or opened the gate."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def put(self, instance_id: str, record: ActionRecord) -> None:
        """Keep what a person did, for people."""
        facts = {name: getattr(record, name) for name in _ACTION} | {"about": dict(record.about)}
        facts |= {"before": list(record.before), "after": list(record.after)}
        await self._store.put(
            {"PK": _partition(instance_id), "SK": f"ACT#{record.number:06d}#{record.kind}", "facts": dump(facts)}
        )

    async def of_instance(self, instance_id: str) -> list[ActionRecord]:
        """What people did to an instance, the first of it first."""
        items = await self._store.query(_partition(instance_id), "ACT#")
        found = [(int(item["SK"].split("#")[1]), json.loads(item["facts"])) for item in items]
        return [
            ActionRecord(number=number, **{**facts, "before": tuple(facts["before"]), "after": tuple(facts["after"])})
            for number, facts in found
        ]
