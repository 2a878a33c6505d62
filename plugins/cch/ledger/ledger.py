"""The ledger: all repositories over one table and one blob store."""

from __future__ import annotations

import asyncio

from cch.identity import Box
from cch.ledger.actions import Actions
from cch.ledger.batches import Batches
from cch.ledger.endings import Endings
from cch.ledger.expiry import Expiry
from cch.ledger.failures import Failures
from cch.ledger.gates import Gates
from cch.ledger.holds import Holds
from cch.ledger.instances import Instances
from cch.ledger.journal import Journal
from cch.ledger.listing import Listing
from cch.ledger.mailboxes import Mailboxes
from cch.ledger.map_items import MapItems
from cch.ledger.messages import Messages
from cch.ledger.payloads import Payloads
from cch.ledger.records import Instance, RequestRecord
from cch.ledger.requests import Requests
from cch.ledger.rollups import Rollups
from cch.ledger.store import BlobStore, ItemStore
from cch.ledger.versions import Versions
from cch.ledger.waiting import Waiting
from cch.ledger.waits import Waits

_DAY = 86_400


class Ledger:
    """Everything the platform remembers. ``retention_days`` 0 keeps finished instances for ever."""

    def __init__(self, store: ItemStore, blobs: BlobStore, retention_days: int = 0) -> None:
        payloads = Payloads(blobs)
        self.store = store
        self.actions = Actions(store)
        self.batches = Batches(store)
        self.endings = Endings(store)
        self.gates = Gates(store)
        self.holds = Holds(store)
        self.blobs = blobs
        self.instances = Instances(store, payloads)
        self.listing = Listing(store, self.instances)
        self.journal = Journal(store, payloads)
        self.requests = Requests(store, payloads)
        self.messages = Messages(store, payloads, retention_days * _DAY)
        self.waits = Waits(store)
        self.waiting = Waiting(store)
        self.mailboxes = Mailboxes(store)
        self.maps = MapItems(store)
        self.versions = Versions(store)
        self.rollups = Rollups(store, self.instances)
        self.failures = Failures(store, self.instances)
        self.expiry = Expiry(store, retention_days * _DAY * 1000)

    async def boxes(self, instance: Instance, most_items: int | None = None) -> list[Box]:
        """The boxes of an instance, its own first; of its maps those of the first ``most_items`` items (None: all)."""
        known = [] if most_items == 0 else await self.maps.branches(instance.id, most_items)
        return [instance.box(branch) for branch in ("", *known)]

    async def requests_of(self, instance: Instance, most_items: int | None = None) -> list[RequestRecord]:
        """Requests of an instance and of the items of its maps (of the first ``most_items``), oldest first."""
        boxes = await self.boxes(instance, most_items)
        found = await asyncio.gather(*map(self.requests.of_box, boxes))
        return sorted(
            (record for records in found for record in records), key=lambda record: (record.created, record.attempt)
        )
