"""Records of instances that are gone: what releases left that let an instance's own item expire alone, or a crash."""

from __future__ import annotations

from collections.abc import Iterable

from cch.ledger.ledger import Ledger
from cch.ledger.payloads import payload_folder
from cch.ledger.store import Item, Key

#: Partitions that belong to one instance. Messages do not: the instance of one may be still to come.
_OF_INSTANCES = ("INST#", "MAP#", "RGN#", "BOX#", "REQ#")


def instance_of(item: Item) -> str:
    """The instance that a record belongs to; instance ids hold no ``#``."""
    return str(item["instance"]) if item["PK"].startswith("REQ#") else item["PK"].split("#", 2)[1]


async def leftovers(ledger: Ledger) -> dict[str, list[Key]]:
    """Keys of such records, by instance. Reads the whole table.

    An instance that is being created is among them for a moment: only what is found twice counts.
    """
    found: dict[str, list[Key]] = {}
    alive: set[str] = set()
    for prefix in _OF_INSTANCES:
        for item in await ledger.store.scan(prefix):
            if prefix == "INST#" and item["SK"] == "META":
                alive |= set() if "expired" in item else {instance_of(item)}
            else:
                found.setdefault(instance_of(item), []).append((item["PK"], item["SK"]))
    # Messages that came before their start are kept for a day.
    early = {note["instance"] for note in await ledger.store.query("EARLY")}
    found = {instance: keys for instance, keys in found.items() if instance not in alive | early}
    for item in await ledger.store.scan("MSG#"):
        if item.get("fate") == "matched" and item.get("instance") in found:
            found[item["instance"]].append((item["PK"], item["SK"]))
    return found


async def remove_leftovers(ledger: Ledger, found: Iterable[tuple[str, list[Key]]]) -> int:
    """Delete them; how many there were."""
    number = 0
    for instance, keys in found:
        for key in keys:
            await ledger.store.delete(key)
        await ledger.blobs.delete_below(payload_folder(instance))
        number += len(keys)
    return number
