"""JSON text of any size in an item: in place up to 32 KB, else in the blob store under its own hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cch.ledger.store import BlobStore

#: Larger texts go to the blob store. An item may have 400 KB (DynamoDB quota), but every write of it costs its size.
INLINE_BYTES = 32_768


def dump(value: Any) -> str:
    """JSON text, compact, keys sorted: the same value gives the same text and so the same hash."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Payloads:
    """Writes and reads the attribute pair ``<name>`` (text) or ``<name>_at`` (name of a blob)."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def pack(self, name: str, text: str) -> dict[str, str]:
        """The attributes that hold ``text``. The blob is written before anything can point to it."""
        if len(text.encode("utf-8")) <= INLINE_BYTES:
            return {name: text}
        where = f"payloads/{sha256(text)}.json"
        await self._blobs.write(where, text)
        return {f"{name}_at": where}

    async def unpack(self, name: str, item: Mapping[str, Any]) -> str:
        """The text that :meth:`pack` stored; "" if the item has none."""
        if where := item.get(f"{name}_at"):
            return await self._blobs.read(where)
        return str(item.get(name, ""))
