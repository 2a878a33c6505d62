"""The first implementation's paths without a login: as one user, for listed origins, without cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cch.api import actions
from cch.api.open_access import open_app
from cch.checkup.findings import Findings
from cch.checkup.open_access import look_at_open_access
from cch.settings import Settings
from tests.api.conftest import Office
from tests.api.test_access import is_problem

HERE = "https://dashboard.example.org"


async def client_of(user: str) -> AsyncIterator[httpx.AsyncClient]:
    app = open_app(Settings(open_api_user=user, open_api_origins=(HERE, "*")))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://open.test") as opened:
        yield opened


@pytest.fixture
async def client(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async for each in client_of("una"):
        yield each


START = {"workflowId": "open_ask", "correlationId": "MEDU1", "payload": {"bl": "MEDU1"}, "more": 1}


async def test_a_workflow_is_started_and_looked_at(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its tasks and its graph, and an entry in the audit log under the user's name."""
    entries: list[tuple[Any, ...]] = []
    monkeypatch.setattr(actions.airflow_runs, "audit", lambda name, event, **_: entries.append((name, event)))

    made = await client.post("/workflows", json=START)
    seen = (await client.get(f"/workflows/{made.json()['id']}")).json()

    assert (made.status_code, made.json()["workflowId"]) == (201, "open_ask"), made.text
    assert (seen["correlationId"], seen["status"]) == ("MEDU1", made.json()["status"])
    assert {task["id"] for task in seen["tasks"]} == {node["id"] for node in seen["graph"]["nodes"]}
    assert {"source": "Ask", "target": "Decide", "label": "on_response"} in seen["graph"]["edges"]
    assert entries == [("una", "cch_start")]


async def test_the_user_s_permissions_count(client: httpx.AsyncClient, office: Office) -> None:
    """What he may not see is not there; what he may not do is refused."""
    secret = await office.start("secret_ask", context={})
    is_problem(await client.get(f"/workflows/{secret}"), 404, "instance_not_found")
    is_problem(await client.post("/workflows", json={"workflowId": "secret_ask"}), 404, "workflow_not_found")
    async for viewer in client_of("vic"):
        is_problem(await viewer.post("/workflows", json=START), 403, "not_allowed")


async def test_only_listed_origins_may_ask(client: httpx.AsyncClient) -> None:
    """Also what browsers send to anybody without asking first; a star is no origin."""
    asked = {"Origin": HERE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = await client.options("/workflows", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == HERE
    assert "access-control-allow-credentials" not in allowed.headers

    answer = await client.post("/workflows", json=START, headers={"Origin": HERE})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (201, HERE)
    is_problem(
        await client.post("/workflows", json=START, headers={"Origin": "https://evil.example"}),
        403,
        "origin_not_listed",
    )
    form = await client.post("/workflows", content=b"{}", headers={"Content-Type": "text/plain"})
    is_problem(form, 415, "json_only")


async def test_a_cookie_gives_nobody_s_rights(client: httpx.AsyncClient, office: Office) -> None:
    """An administrator's browser acts as the configured user, too."""
    secret = await office.start("secret_ask", context={})
    answer = await client.get(f"/workflows/{secret}", cookies={"_token": office.tokens["ada"]})

    assert answer.status_code == 404


async def test_a_user_that_airflow_does_not_know_is_said(office: Office) -> None:
    """Nobody acts as nobody."""
    async for client in client_of("nobody"):
        is_problem(await client.post("/workflows", json=START), 503, "no_open_user")


async def test_the_paths_are_not_there_without_the_setting(office: Office) -> None:
    """As nobody has asked for them."""
    assert (await office.client.post("/cch/open/workflows", json=START)).status_code == 404


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        (Settings(), ["ok"]),
        (Settings(open_api_user="una"), ["warning"]),
        (Settings(open_api_user="una", open_api_origins=("*",)), ["warning", "error"]),
    ],
)
def test_doctor_says_who_may_act(settings: Settings, levels: list[str]) -> None:
    """It is meant to end some day."""
    found = Findings()
    look_at_open_access(settings, found)
    assert [finding.level for finding in found.all] == levels
