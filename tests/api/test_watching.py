"""Pages are told of what they show: what they may see, as soon as it changes, and not more pages than may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cch.api import watching
from tests.api.conftest import API, Office


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PAUSE", 0.01)
    monkeypatch.setattr(watching, "_HEARTBEAT", 0.2)
    monkeypatch.setattr("cch.api.conditional._SHARED", 0.0)


class Page:
    """An open page: what it is told, read from the app itself, because httpx's transport waits for whole answers."""

    def __init__(self, office: Office, app: Any, user: str, looks: tuple[str, ...]) -> None:
        query = "&".join(f"look={look}" for look in looks)
        self._app = app
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "server": ("test", 80), "client": ("test", 1), "root_path": "", "path": f"{API}/watch",
            "raw_path": f"{API}/watch".encode(), "query_string": query.encode(),
            "headers": [(b"authorization", f"Bearer {office.tokens[user]}".encode()), (b"host", b"test")],
        }  # fmt: skip
        self.status = 0
        self.events: list[tuple[str, Any]] = []
        self._gone = asyncio.Event()

    async def open(self) -> None:
        async def receive() -> dict[str, Any]:
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            for part in message.get("body", b"").decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)
                if "event" in fields:
                    self.events.append((fields["event"], json.loads(fields["data"])))

        await self._app(self._scope, receive, send)

    async def until(self, name: str, times: int = 1) -> None:
        while [event for event, _ in self.events].count(name) < times:
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        self._gone.set()


@asynccontextmanager
async def page(office: Office, app: Any, *looks: str, user: str = "ada") -> AsyncIterator[Page]:
    opened = Page(office, app, user, looks)
    task = asyncio.create_task(opened.open())
    try:
        yield opened
    finally:
        opened.leave()
        await asyncio.wait([task], timeout=5)
        task.cancel()


async def begun(office: Office) -> str:
    answer = await office.post("/instances", {"workflow_id": "secret_ask"})
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


async def test_a_page_is_told_what_has_changed(office: Office, airflow_app: Any) -> None:
    """Of the routes that it shows, and as long as nothing changes only that it is still told."""
    instance = await begun(office)
    async with page(office, airflow_app, f"/instances/{instance}", "/workflows") as told:
        await told.until("alive", 2)
        assert {name for name, _ in told.events} == {"hello", "alive"}

        await office.post(f"/instances/{instance}/cancel", {"reason": "no"})
        await told.until("changed")

    assert told.status == 200
    assert ("changed", {"look": f"/instances/{instance}"}) in told.events
    assert len(watching.crowd()) == 0


async def test_nothing_is_told_of_what_a_user_may_not_see(office: Office, airflow_app: Any) -> None:
    """A route that he gets no answer of is not told of: to him it is not there, whatever happens to it."""
    instance = await begun(office)
    async with page(office, airflow_app, f"/instances/{instance}", user="una") as told:
        await told.until("hello")
        await office.post(f"/instances/{instance}/cancel")
        await told.until("alive")

    assert "changed" not in [name for name, _ in told.events]


async def test_connections_are_bounded(office: Office, airflow_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page beyond the bound polls; when another leaves, there is room."""
    monkeypatch.setattr(watching, "load_settings", lambda: SimpleNamespace(push_connections=1))
    async with page(office, airflow_app, "/workflows") as first:
        await first.until("hello")
        refused = await office.get("/watch", look="/workflows")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_told")
    async with page(office, airflow_app, "/workflows") as second:
        await second.until("hello")


async def test_a_page_that_has_gone_before_the_first_word_leaves_its_place(office: Office, airflow_app: Any) -> None:
    """Or pages that come and go would use up the bound."""
    gone = Page(office, airflow_app, "ada", ("/workflows",))

    async def send(message: Any) -> None:
        raise OSError("the connection is closed")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with contextlib.suppress(Exception):
        await airflow_app(gone._scope, receive, send)

    assert len(watching.crowd()) == 0


@pytest.mark.parametrize(
    "look",
    ["workflows", "/watch?look=/workflows", "/%77atch?look=/workflows", "/%2e%2e/x", "/../api/v2/dags", "http://x/"],
)
async def test_what_is_no_route_cannot_be_watched(office: Office, look: str) -> None:
    """Only what is below the API's own prefix."""
    assert (await office.get("/watch", look=look)).status_code == 422


async def test_who_is_not_logged_in_is_told_nothing(office: Office) -> None:
    """As everywhere."""
    assert (await office.client.get(f"{API}/watch", params={"look": "/workflows"})).status_code == 401


def test_many_pages_are_looked_at_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them together cost what is bounded."""
    monkeypatch.setattr(watching, "_PAUSE", 1.0)
    crowd = watching.Crowd()
    pages = [crowd.enter(1, 100) for _ in range(20)]
    assert crowd.pause == 1.0
    pages += [crowd.enter(2, 100) for _ in range(40)]
    assert crowd.pause == 2.0
    for each in pages:
        crowd.leave(each)
    assert (len(crowd), crowd.pause) == (0, 1.0)
