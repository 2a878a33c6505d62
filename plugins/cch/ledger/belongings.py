"""Everything that the ledger holds of one instance: the one list of it, for what removes it.

What nothing of an instance leads to is not among it: messages that changed nothing expire by themselves
(:mod:`cch.ledger.messages`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cch.identity import ROOT
from cch.ledger.ledger import Ledger
from cch.ledger.map_keys import map_item
from cch.ledger.payloads import payload_folder
from cch.ledger.records import Instance, JournalEntry, MapItem, RegionKey
from cch.ledger.store import Item, Key

T = TypeVar("T")
#: Items that are read or deleted at the same time.
_AT_ONCE = 20


async def _each(work: Iterable[Awaitable[T]]) -> list[T]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(task: Awaitable[T]) -> T:
        async with gate:
            return await task

    return list(await asyncio.gather(*map(one, work)))


@dataclass(slots=True)
class Belongings:
    """Keys, by what they are. What leads to others is removed after them, so that a repetition finds what is left."""

    messages: set[Key] = field(default_factory=set)
    #: Requests that only journals lead to: boxes forget those of a long loop.
    forgotten: set[Key] = field(default_factory=set)
    journals: list[Key] = field(default_factory=list)
    requests: set[Key] = field(default_factory=set)
    boxes: list[Key] = field(default_factory=list)
    maps: list[Key] = field(default_factory=list)
    #: Of the instance itself; without its own item, which goes last.
    own: list[Key] = field(default_factory=list)

    @property
    def in_order(self) -> tuple[Collection[Key], ...]:
        return self.messages, self.forgotten, self.journals, self.requests, self.boxes, self.maps, self.own

    @property
    def number(self) -> int:
        return sum(map(len, self.in_order))


async def belongings(ledger: Ledger, instance: Instance, regions: Collection[str]) -> Belongings:
    """What there is of an instance. ``regions``: heads of those that its definition has, if it is known.

    Costs a query for each region, each item of a map and each box, and a read for each 100 requests.
    """
    found = Belongings()
    own = await ledger.store.query(f"INST#{instance.id}")
    found.own = [_key(item) for item in own if item["SK"] != "META"]
    maps = await ledger.store.query(f"MAP#{instance.id}")
    found.maps = [_key(item) for item in maps]
    boxes = await _each(ledger.store.query(box.key) for box in await ledger.boxes(instance))
    pointed = [item for box in boxes for item in box]
    found.boxes = [_key(item) for item in pointed]
    found.requests = {_request(item["SK"].rpartition("#")[2]) for item in pointed if item["SK"].startswith("REQ#")}
    asked = await ledger.store.get_many(list(found.requests)) if found.requests else {}
    heads = {*regions, *(str(item["region"]) for item in asked.values())}
    heads |= {item["SK"].removeprefix("EXIT#") for item in own if item["SK"].startswith("EXIT#")}
    journals = [_of_root(instance.id, head) for head in sorted(heads)]
    journals += [_of_item(map_item(instance.id, item), item) for item in maps]
    stored = await _each(ledger.journal.stored(journal.partition) for journal in journals)
    for journal, entries in zip(journals, stored, strict=True):
        found.journals += [key for key, _ in entries]
        found.forgotten |= set(_requests(journal, instance, [entry for _, entry in entries]))
    found.forgotten -= found.requests
    others = await ledger.store.get_many(list(found.forgotten)) if found.forgotten else {}
    asked |= others
    found.messages = set(_messages(instance, pointed, asked.values()))
    return found


async def remove(ledger: Ledger, instance_id: str, found: Belongings) -> None:
    """Delete all of it, then what is too large for the table. To repeat it after a crash finishes it."""
    for keys in found.in_order:
        await _each(map(ledger.store.delete, keys))
    await ledger.blobs.delete_below(payload_folder(instance_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Journal:
    """``partition`` is where it is stored, which of an old path that was cut short is not what ``key`` says."""

    key: RegionKey
    partition: str
    branch: str = ""


def _key(item: Item) -> Key:
    return item["PK"], item["SK"]


def _request(command_id: str) -> Key:
    return f"REQ#{command_id}", "-"


def _of_root(instance_id: str, head: str) -> _Journal:
    key = RegionKey(instance=instance_id, region=head, scope=ROOT)
    return _Journal(key=key, partition=key.partition)


def _of_item(item: MapItem, stored: Item) -> _Journal:
    digest = stored["SK"].rpartition("#")[2]
    partition = f"RGN#{item.key.instance}#{digest}#{item.key.region}"
    return _Journal(key=item.key, partition=partition, branch=item.branch)


def _requests(journal: _Journal, instance: Instance, entries: Sequence[JournalEntry]) -> Iterable[Key]:
    """Requests of the visits that a journal has."""
    for entry in entries:
        for outcome in entry.outcomes:
            attempts = int(outcome.cause.get("attempt", 0)) if "command_id" in outcome.cause else 0
            step = journal.key.step(
                instance.scheme, entry.generation, outcome.node, outcome.visit, journal.branch
            )  # fmt: skip
            yield from (_request(step.command_id(attempt)) for attempt in range(1, attempts + 1))
            if attempts:
                yield _request(str(outcome.cause["command_id"]))


def _messages(instance: Instance, pointed: Iterable[Item], requests: Iterable[Item]) -> Iterable[Key]:
    """Its start, and what answered its requests, ended its waits, or is held for it."""
    named = [instance.start_message, *(str(item.get("answered_by", "")) for item in requests)]
    for item in pointed:
        named.append(str(item.get("message", "")))
        if item["SK"].startswith("HELD#"):
            named.append(item["SK"].split("#", 2)[2])
    return ((name, "-") for name in named if name.startswith("MSG#"))
