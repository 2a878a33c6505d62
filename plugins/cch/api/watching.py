"""Tells open pages that something they show has changed, over server-sent events. Pages that are not told ask.

A page names the routes that it shows; the server asks them as the page would (same user, same permissions, same
ETag), and says which have another answer. So everything that can be polled can be watched, whatever the ledger can
tell of itself. Of an instance two reads mostly show that nothing has changed; the whole is asked for every few looks.
Connections are bounded, and so are the looks of all of them together.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cch.api.access import AccessDep
from cch.api.backend import backend
from cch.api.problems import ApiError, responses
from cch.errors import ServiceUnavailableError
from cch.settings import load_settings

router = APIRouter(tags=["watching"])

#: Seconds between two looks at a page, if there are few; looks a second at all pages of the process together.
_PAUSE, _LOOKS_A_SECOND = 1.0, 50.0
#: A route whose two reads show no change is asked for every so many looks all the same: not every change shows there.
_WHOLE_EVERY = 5
#: What is read of what an instance waits for.
_MOST_OPEN = 100
_INSTANCE = re.compile(r"/instances/([A-Za-z0-9_.~:+-]{1,200})")
#: Seconds after which something is said, so that a page knows that it is still told; and after which a stream ends,
#: because a login may have ended.
_HEARTBEAT, _LONGEST = 10.0, 600.0
#: Routes that one page may name, and characters of each.
_MOST, _LONGEST_PATH = 8, 1000
#: Headers by which the user is known.
_IDENTITY = (b"cookie", b"authorization")


class Crowd:
    """The pages that are told in one process."""

    def __init__(self) -> None:
        self._looks: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self._looks)

    def enter(self, looks: int, most: int) -> object:
        """:raises ApiError: 503, as many are told already as may be."""
        if len(self._looks) >= most:
            raise ApiError(503, "not_told", f"{most} pages are told of changes already: ask instead.")
        page = object()
        self._looks[page] = looks
        return page

    def leave(self, page: object) -> None:
        self._looks.pop(page, None)

    @property
    def pause(self) -> float:
        """Seconds between two looks at the same page."""
        return max(_PAUSE, sum(self._looks.values()) / _LOOKS_A_SECOND)


_crowds: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Crowd] = weakref.WeakKeyDictionary()


def crowd() -> Crowd:
    """The pages of this event loop."""
    return _crowds.setdefault(asyncio.get_running_loop(), Crowd())


async def _tag(request: Request, look: str) -> tuple[int, str]:
    """(status, ETag) that the page would get for a route now."""
    path, _, query = look.partition("?")
    own = request.scope["path"].removesuffix("/watch")
    scope = {
        "type": "http", "asgi": request.scope["asgi"], "http_version": "1.1", "method": "GET",
        "scheme": request.scope["scheme"], "server": request.scope.get("server"),
        "client": request.scope.get("client"), "root_path": request.scope.get("root_path", ""),
        "path": own + unquote(path), "raw_path": (own + path).encode(), "query_string": query.encode(),
        "headers": [pair for pair in request.scope["headers"] if pair[0] in _IDENTITY], "state": {},
    }  # fmt: skip
    answer: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.update(message)

    await request.app(scope, receive, send)
    tag = next((value for name, value in answer["headers"] if name == b"etag"), b"")
    return answer["status"], tag.decode()


async def _stamp(instance_id: str) -> str:
    """Something that nearly every change of an instance changes; "" if nobody can tell."""
    try:
        async with (await backend()).reading() as platform:
            view, open_ = await asyncio.gather(
                platform.ledger.instances.view(instance_id),
                platform.ledger.waiting.of_instance(instance_id, _MOST_OPEN),
            )
    except ServiceUnavailableError:
        return ""
    if view is None:
        return ""
    one = view.instance
    left = sorted((each.region, each.generation, each.task_instance) for each in view.exits)
    return repr((one.status, one.run_id, one.ended, one.reason, left, sorted(wait.id for wait in open_)))


class _Look:
    """One route that a page shows."""

    def __init__(self, request: Request, path: str) -> None:
        self.path = path
        self._request = request
        named = _INSTANCE.fullmatch(path)
        self._instance = named[1] if named else ""
        self._stamp = ""
        self._tag: str | None = None
        self._rounds = 0

    async def has_changed(self) -> bool:
        """Whether the answer is another than at the look before; of the first look nothing is said."""
        if self._tag == "":
            return False  # it is not there any more
        self._rounds += 1
        if self._instance:
            stamp, before = await _stamp(self._instance), self._stamp
            self._stamp = stamp
            if stamp and stamp == before and self._rounds % _WHOLE_EVERY:
                return False
        status, tag = await _tag(self._request, self.path)
        before_tag, self._tag = self._tag, tag if status == 200 else ""  # else the page asks, and is told
        return before_tag is not None and before_tag != self._tag


def _event(name: str, **data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also if the page has gone before the first word."""

    media_type = "text/event-stream"

    def __init__(self, told: AsyncIterator[str], page: object, *, headers: Mapping[str, str]) -> None:
        super().__init__(told, headers=headers)
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            crowd().leave(self._page)


async def _told(request: Request, looks: Sequence[str]) -> AsyncIterator[str]:
    begun = said = time.monotonic()
    shown = [_Look(request, look) for look in looks]
    yield f"retry: 5000\n\n{_event('hello', heartbeat=_HEARTBEAT)}"
    while time.monotonic() - begun < _LONGEST:
        for look in shown:
            if await look.has_changed():
                said = time.monotonic()
                yield _event("changed", look=look.path)
        if time.monotonic() - said >= _HEARTBEAT:
            said = time.monotonic()
            yield _event("alive")
        await asyncio.sleep(crowd().pause)


@router.get("/watch", response_class=StreamingResponse, responses=responses(503))
async def watch(
    request: Request,
    access: AccessDep,  # noqa: ARG001 - a user must be logged in
    look: Annotated[list[str], Query(min_length=1, max_length=_MOST, description="A route below `/api/v1`.")],
) -> StreamingResponse:
    """Server-sent events: `changed` with the `look` whose answer has another ETag than before, `hello` at once,
    `alive` every ten seconds.

    Nothing is told of what the user may not see: each `look` is answered as if he had asked it. A stream ends after
    ten minutes; 503 (`not_told`) means that as many pages are told as may be, and that this one has to poll.
    """
    for each in look:
        path = unquote(each.partition("?")[0])
        if not path.startswith("/") or path.startswith("/watch") or len(each) > _LONGEST_PATH or ".." in path:
            raise ApiError(422, "invalid_request", f"{each[:100]!r} is no route that can be watched.")
    page = crowd().enter(len(look), load_settings().push_connections)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return _Stream(_told(request, look), page, headers=headers)
