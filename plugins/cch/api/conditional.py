"""Answers that a poller need not fetch again: ETags over what is answered, and one computation for many askers.

Browsers poll every few seconds, or are told when to (:mod:`cch.api.watching`). ``If-None-Match`` saves the transfer
and the drawing; that many browsers ask at the same time is met by sharing an answer for a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable

from fastapi import Request
from fastapi.responses import Response

from cch.api.models import View

#: Seconds for which an answer may be given to others who ask the same.
_SHARED = 1.0
#: Answers that are kept at the most.
_MOST = 256


def _matches(header: str, tag: str) -> bool:
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return tag in given or "*" in given


def conditional(request: Request, view: View) -> Response:
    """``view`` as JSON with its ETag; 304 without a body if the asker has it."""
    body = view.model_dump_json().encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # Private: it depends on the user. no-cache: ask each time, with the ETag.
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class Shared:
    """Work that several askers want at the same time is done once; its result serves for a second."""

    def __init__(self, seconds: float = _SHARED, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._running: dict[Hashable, tuple[float, asyncio.Task[View]]] = {}

    async def get(self, key: Hashable, work: Callable[[], Awaitable[View]]) -> View:
        now = self._clock()
        known = self._running.get(key)
        if known is None or now >= known[0] or (known[1].done() and known[1].cancelled()):
            self._drop(now)
            task = asyncio.ensure_future(_awaited(work))
            known = self._running[key] = (now + self._seconds, task)
        return await asyncio.shield(known[1])

    def clear(self) -> None:
        """Something was changed here: who asks next must see it."""
        self._running.clear()

    def _drop(self, now: float) -> None:
        for key in [key for key, (until, task) in self._running.items() if now >= until and task.done()]:
            del self._running[key]
        while len(self._running) >= _MOST:
            del self._running[next(iter(self._running))]


async def _awaited(work: Callable[[], Awaitable[View]]) -> View:
    return await work()
