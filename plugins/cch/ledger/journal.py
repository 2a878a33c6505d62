"""Journals of regions: entry n is a put that fails if n is there, so that two copies of a region go in lockstep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from cch.interpreter.outcome import Outcome
from cch.ledger.payloads import Payloads, dump
from cch.ledger.records import JournalEntry, RegionKey
from cch.ledger.store import NEW, ConditionFailedError, Item, ItemStore, Key

#: Version of what entries mean; entry 0 carries it, and recorded journals must replay on later code.
INTERPRETER_VERSION = 1
#: Entries of a journal that are asked for by their numbers where many journals are read: those of an item of a map
#: whose body sends one request are fewer.
_SHORT = 4
#: Journals that are read, or whose large outcomes are fetched, at the same time.
_AT_ONCE = 50


def _number(number: int) -> str:
    return f"{number:08d}"


class Journal:
    """``RGN#<instance>#<scope>#<region>`` / ``%08d``."""

    def __init__(self, store: ItemStore, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    async def read(self, key: RegionKey, start: int = 0) -> list[JournalEntry]:
        """Entries from number ``start`` on."""
        return [entry for (_, number), entry in await self.stored(key.partition) if int(number) >= start]

    async def read_many(self, keys: Sequence[RegionKey]) -> list[list[JournalEntry]]:
        """The entries of each of these journals, in their order; of short ones with few calls for all of them."""
        wanted = [[(key.partition, _number(n)) for n in range(_SHORT)] for key in keys]
        begun = await self._store.get_many([name for names in wanted for name in names])
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(key: RegionKey, names: Sequence[Key]) -> list[JournalEntry]:
            async with slots:
                if names[-1] in begun:
                    return await self.read(key)
                return [await self._entry(begun[name]) for name in names if name in begun]

        return list(await asyncio.gather(*(one(key, names) for key, names in zip(keys, wanted, strict=True))))

    async def stored(self, partition: str) -> list[tuple[Key, JournalEntry]]:
        """The entries of a journal, each with the key of its item."""
        items = await self._store.query(partition)
        return [((item["PK"], item["SK"]), await self._entry(item)) for item in items]

    async def append(self, key: RegionKey, number: int, entry: JournalEntry) -> bool:
        """Write entry ``number``; False if another copy of the region has written one there."""
        outcomes = await self._payloads.pack(
            "outcomes", dump([outcome.to_json() for outcome in entry.outcomes]), key.instance
        )
        item: Item = {
            "PK": key.partition,
            "SK": _number(number),
            "kind": entry.kind,
            "task_instance": entry.task_instance,
            "generation": entry.generation,
            "version": INTERPRETER_VERSION,
            **outcomes,
        }
        if entry.mode:
            item["mode"] = entry.mode
        if entry.gate:
            item["gate"] = entry.gate
        if entry.dropped:
            item["dropped"] = dump(dict(entry.dropped))
        try:
            await self._store.put(item, NEW)
        except ConditionFailedError:
            return False
        return True

    async def _entry(self, item: Item) -> JournalEntry:
        raw = json.loads(await self._payloads.unpack("outcomes", item) or "[]")
        return JournalEntry(
            kind=item["kind"],
            task_instance=item["task_instance"],
            generation=item["generation"],
            mode=item.get("mode", ""),
            gate=item.get("gate", 0),
            dropped=json.loads(item.get("dropped", "{}")),
            outcomes=tuple(Outcome.from_json(outcome) for outcome in raw),
        )
