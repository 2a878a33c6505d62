"""Instances that are put into a running stack's ledger as they would be after hours of work."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cch.aws.tables import encode_item
from cch.identity import ROOT, ItemStep
from cch.interpreter.outcome import Outcome
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, JournalEntry, RegionKey
from cch.runtime.platform import now_ms
from cch.settings import load_settings
from cch.testing.memory_store import MemoryBlobs, MemoryStore

#: DynamoDB takes no more in one call.
_BATCH = 25


async def _flight(parcels: int, with_journal: int) -> tuple[str, list[dict[str, Any]]]:
    store, identifier, now = MemoryStore(), str(uuid.uuid4()), now_ms()
    ledger = Ledger(store, MemoryBlobs())
    flight = Instance(
        id=identifier, workflow_id="parcel_flight_v1", run_id=identifier, correlation_id=f"FLIGHT-{parcels}",
        status="running", started=now - 60_000, context={"flightNumber": "LX 40"}, start_message=identifier,
    )  # fmt: skip
    await ledger.instances.create(flight)
    await ledger.instances.end(identifier, "completed", now)
    for index in range(parcels):
        branch = f"P-{index + 1:05d}"
        key = RegionKey(instance=identifier, region="Screen_All", scope=ROOT.item(ItemStep("Screen_All", 1, 0, branch)))
        await ledger.maps.put_scope(key, "Screen_All", index, branch)
        if index < parcels - with_journal:
            continue
        screened = [
            Outcome(
                node=node, visit=1, stamp=now - 900 + number, started=now - 1800, label=label, parents=parents,
                targets=targets, patch={"verdict": "CLEAR"} if node == "Screen" else {}, cause={"kind": "instant"},
            )
            for number, (node, label, parents, targets) in enumerate(
                (
                    ("Screen", "on_response", (), ("Is_Clear",)),
                    ("Is_Clear", "CLEAR", ("Screen#1",), ("Parcel_Done",)),
                    ("Parcel_Done", "", ("Is_Clear#1",), ()),
                )
            )
        ]  # fmt: skip
        await ledger.journal.append(key, 0, JournalEntry(kind="try", task_instance="t", generation=0, mode="first"))
        turn = JournalEntry(kind="turn", task_instance="t", generation=0, outcomes=tuple(screened))
        await ledger.journal.append(key, 1, turn)
    return identifier, await store.scan("")


def put_flight(dynamodb: Any, parcels: int, with_journal: int) -> str:
    """An instance of `parcel_flight_v1` that has ended, the last items of its map with all that they did; its id."""
    with ThreadPoolExecutor(1) as thread:  # Playwright runs an event loop in this one
        identifier, items = thread.submit(asyncio.run, _flight(parcels, with_journal)).result()
    table = load_settings().names.table
    for first in range(0, len(items), _BATCH):
        puts = [{"PutRequest": {"Item": encode_item(item)}} for item in items[first : first + _BATCH]]
        dynamodb.batch_write_item(RequestItems={table: puts})
    return identifier
