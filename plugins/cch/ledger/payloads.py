"""JSON text of any size in an item: in place up to 32 KB, else in the blob store, below its instance, by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cch.ledger.store import BlobStore

#: Larger texts go to the blob store. An item may have 400 KB (DynamoDB quota), but every write of it costs its size.
INLINE_BYTES = 32_768
#: Where texts are that belong to no instance: bodies of messages that cannot be read.
UNADDRESSED = "unaddressed/"


def payload_folder(instance_id: str) -> str:
    """Below which the blobs of an instance are; they go when it expires."""
    return f"payloads/{instance_id}/"


def dump(value: Any) -> str:
    """JSON text, compact, keys sorted: the same value gives the same text and so the same hash."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Payloads:
    """Writes and reads the attribute pair ``<name>`` (text) or ``<name>_at`` (name of a blob)."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def pack(self, name: str, text: str, instance_id: str) -> dict[str, str]:
        """The attributes that hold ``text``. The blob is written before anything can point to it.

        ``instance_id``: whose it is; "" if it is nobody's. Earlier releases wrote ``payloads/<hash>.json``, which
        instances may share: :meth:`unpack` reads those too, and nothing deletes them.
        """
        if len(text.encode("utf-8")) <= INLINE_BYTES:
            return {name: text}
        where = f"{payload_folder(instance_id) if instance_id else UNADDRESSED}{sha256(text)}.json"
        await self._blobs.write(where, text)
        return {f"{name}_at": where}

    async def unpack(self, name: str, item: Mapping[str, Any]) -> str:
        """The text that :meth:`pack` stored; "" if the item has none."""
        if where := item.get(f"{name}_at"):
            return await self._blobs.read(where)
        return str(item.get(name, ""))
