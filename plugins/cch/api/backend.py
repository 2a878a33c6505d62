"""The platform as the API server uses it: opened when it is first needed, never consuming from a queue.

The server must start, and answer what Airflow's database knows, while AWS is away.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cch.api.conditional import Shared
from cch.errors import CchError, ServiceUnavailableError
from cch.pauses import Pauses
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform, open_platform

if TYPE_CHECKING:
    from cch.runtime.batching import BatchRunner

log = logging.getLogger(__name__)

#: Seconds after which a look at the ledger is given up: a person waits.
_PATIENCE = 6.0
#: Seconds between two looks for changes that were interrupted.
_LOOK_FOR_CHANGES = 30.0
#: Seconds for which an outage is believed before the ledger is asked again, so that polling does not wait each time.
_OUTAGE = 3.0


@functools.cache
def _leave_heap_alone() -> None:
    """Take what Airflow has loaded out of garbage collections, once a process, as its executors do for theirs.

    A full collection walks all of it, and stops every request of the server meanwhile (0.4 to 0.7 s were measured).
    """
    gc.freeze()


async def _finish_changes(platform: Platform) -> None:
    """Finish what an API server that died has left half done: the instances stand still meanwhile."""
    from cch.api.run_tasks import DatabaseTasks  # noqa: PLC0415 - a look at lists needs none of this
    from cch.runtime.changing import finish_interrupted  # noqa: PLC0415
    from cch.runtime.holding import go_on_releasing  # noqa: PLC0415

    while True:
        try:
            await finish_interrupted(platform, DatabaseTasks())
            await go_on_releasing(platform)
        except Exception:
            log.exception("interrupted changes cannot be looked for")
        await asyncio.sleep(_LOOK_FOR_CHANGES)


def _batch_runner(platform: Platform) -> BatchRunner:
    from cch.api.batch_hands import DatabaseHands  # noqa: PLC0415 - a look at lists needs none of this
    from cch.runtime.batching import BatchRunner  # noqa: PLC0415

    return BatchRunner(platform, DatabaseHands())


class Backend:
    """One for each event loop of an API server."""

    def __init__(self) -> None:
        self.shared = Shared()
        self._opening: asyncio.Task[Platform] | None = None
        self._manager: AbstractAsyncContextManager[Platform] | None = None
        self._inspector: Inspector | None = None
        self._batches: BatchRunner | None = None
        #: What the server does by itself.
        self._works: list[asyncio.Task[None]] = []
        self._away_until = 0.0
        self._reason = ""

    async def platform(self) -> Platform:
        """:raises ServiceUnavailableError: AWS's clients cannot be made."""
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            # An empty context: it outlives the request that was the first.
            self._opening = asyncio.get_running_loop().create_task(self._open(), context=contextvars.Context())
        return await asyncio.shield(self._opening)

    async def _open(self) -> Platform:
        self._manager = open_platform()
        try:
            platform = await self._manager.__aenter__()
        except ServiceUnavailableError:
            raise
        except Exception as error:
            raise ServiceUnavailableError(f"AWS cannot be used: {type(error).__name__}: {error}") from error
        _leave_heap_alone()
        self._batches = _batch_runner(platform)
        loop = asyncio.get_running_loop()
        self._works = [loop.create_task(_finish_changes(platform)), loop.create_task(self._batches.run())]
        return platform

    def call_batches(self) -> None:
        """There is something to do with a batch."""
        if self._batches is not None:
            self._batches.call()

    async def inspector(self) -> Inspector:
        if self._inspector is None:
            self._inspector = Inspector(await self.platform())
        return self._inspector

    async def close(self) -> None:
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        self._works, self._batches = [], None
        if self._manager is not None and self._opening is not None and self._opening.done():
            await self._manager.__aexit__(None, None, None)
        self._manager = self._opening = self._inspector = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Platform]:
        """The platform for a look that may be given up.

        :raises ServiceUnavailableError: the ledger does not answer, or did not a moment ago.
        """
        if time.monotonic() < self._away_until:
            raise ServiceUnavailableError(self._reason)
        try:
            async with asyncio.timeout(_PATIENCE):
                yield await self.platform()
        except (ServiceUnavailableError, TimeoutError) as error:
            self._reason = str(error) or f"the ledger did not answer within {_PATIENCE:g} s"
            self._away_until = time.monotonic() + _OUTAGE
            log.warning("the ledger is away: %s", self._reason)
            raise ServiceUnavailableError(self._reason) from None


_backends: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Backend] = weakref.WeakKeyDictionary()


async def backend() -> Backend:
    """The backend of this event loop."""
    return _backends.setdefault(asyncio.get_running_loop(), Backend())


async def close_backend() -> None:
    found = _backends.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


async def _open_sometime() -> None:
    """Open the backend of this event loop; not before AWS can be used."""
    pauses = Pauses(first=1.0, longest=60.0)
    while True:
        try:
            await (await backend()).platform()
        except ServiceUnavailableError as away:
            log.warning("the server's own work waits: %s", away)
        except CchError as error:  # a wrong setting: everything else says it, too
            log.warning("the server does nothing by itself: %s", error)
            return
        else:
            return
        await asyncio.sleep(pauses.next())


@asynccontextmanager
async def at_work() -> AsyncIterator[None]:
    """For as long as the server runs: it does what it does by itself."""
    opening = asyncio.create_task(_open_sometime())
    try:
        yield
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await close_backend()


class SeenAtOnce:
    """Forgets shared answers before the answer to a request that may have changed something is given."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def forgetting(message: Message) -> None:
            if message["type"] == "http.response.start" and scope.get("method") not in ("GET", "HEAD"):
                (await backend()).shared.clear()
            await send(message)

        await self._app(scope, receive, forgetting)


BackendDep = Annotated[Backend, Depends(backend)]
