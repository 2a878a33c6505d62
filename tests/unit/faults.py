"""A table that fails at a chosen call, before or after it has done its work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cch.errors import ServiceUnavailableError
from cch.testing.memory_store import MemoryStore

_OPERATIONS = ("get", "get_many", "put", "update", "delete", "query", "listed", "scan")


class Died(Exception):  # noqa: N818 - what happened to the process, not an error of its own
    """The process is gone: nothing it would have done afterwards happens."""


class FragileStore(MemoryStore):
    """Counts its calls; call number ``dies_at`` raises, after its work was done if ``lost``.

    ``broken`` makes every call fail, as an outage does. ``shared`` is another view of the same items. ``death``: what
    it raises, for code that takes an exception for one of many failures.
    """

    def __init__(self, shared: MemoryStore | None = None) -> None:
        super().__init__()
        if shared is not None:
            self._items = shared._items
        self.count = 0
        self.dies_at = 0
        self.lost = False
        self.broken = False
        self.death: type[BaseException] = Died

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _OPERATIONS:
            return found

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.broken:
                raise ServiceUnavailableError("the table does not answer")
            if self.count == self.dies_at and not self.lost:
                raise self.death("before the call")
            answer = await found(*args, **kwargs)
            if self.count == self.dies_at:
                raise self.death("after the call")
            return answer

        return counted

    def arm(self, at: int, *, lost: bool) -> None:
        """Die at the ``at``-th call from now."""
        self.count, self.dies_at, self.lost = 0, at, lost

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.broken = True
        try:
            yield
        finally:
            self.broken = False

    def content(self, *ignored: str) -> dict[tuple[str, str], dict[str, Any]]:
        """All items by key, without those of partitions that begin with one of ``ignored``."""
        every = {(item["PK"], item["SK"]): dict(item) for item in self._items}
        return {key: every[key] for key in sorted(every) if not key[0].startswith(ignored or ("\0",))}


class JostlingStore(FragileStore):
    """Before each call others may go first, as the random source decides: what happens at the same moment."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _OPERATIONS:
            return found

        async def jostled(*args: Any, **kwargs: Any) -> Any:
            for _ in range(self._random.randint(0, 4)):
                await asyncio.sleep(0)
            return await found(*args, **kwargs)

        return jostled
