"""Who may do what: Airflow's users, Airflow's permissions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import API, Office

EVERY_GET = (
    "/workflows", "/workflows/open_ask", "/instances", "/instances/x", "/instances/x/requests/c",
    "/instances/x/items?node=Fan", "/instances/x/items/0?node=Fan", "/tasks", "/messages", "/messages/q:m", "/health",
    "/me", "/workflows/open_ask/statistics", "/workflows/open_ask/statistics.csv", "/workflows/open_ask/places",
    "/incidents", "/batches", "/batches/b", "/batches/b/results",
)  # fmt: skip
EVERY_POST = (
    "/instances", "/instances/x/events", "/instances/x/cancel", "/instances/x/requests/c/resend",
    "/messages/q:m/attach", "/batches", "/batches/preview", "/batches/b/pause", "/batches/b/resume", "/batches/b/stop",
)  # fmt: skip


def is_problem(answer: httpx.Response, status: int, code: str = "") -> bool:
    """Whether it is the problem document of this status, with nothing of the inside in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert "Traceback" not in answer.text
    return code in ("", problem["code"])


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in EVERY_GET), *(("POST", path) for path in EVERY_POST)]
)
async def test_nobody_gets_in_without_a_login(office: Office, method: str, path: str) -> None:
    """401 for every route, before anything else is looked at."""
    answer = await office.client.request(method, f"{API}{path}", json={}, headers={"X-CCH-Request": "1"})

    assert is_problem(answer, 401, "not_authenticated")


async def test_a_forged_token_is_refused(office: Office) -> None:
    """Airflow's own check of the signature."""
    answer = await office.client.get(f"{API}/me", headers={"Authorization": "Bearer e30.e30.e30"})

    assert is_problem(answer, 403)


async def test_the_cookie_of_airflows_pages_counts(office: Office) -> None:
    """The dashboard has no token, only what the browser sends."""
    answer = await office.client.get(f"{API}/me", headers={"Cookie": f"_token={office.tokens['vic']}"})

    assert answer.json()["name"] == "vic"


@pytest.mark.parametrize("path", EVERY_POST)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CCH-Request": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-CCH-Request": "1", "Sec-Fetch-Site": "same-site"},
    ],
    ids=["no header", "another site", "a sibling domain"],
)
async def test_another_site_cannot_act(office: Office, path: str, headers: dict[str, str]) -> None:
    """The cookie alone changes nothing; nor does a header that a listed origin may send."""
    cookie = {"Cookie": f"_token={office.tokens['ada']}"}

    answer = await office.client.post(f"{API}{path}", json={}, headers={**cookie, **headers})

    assert is_problem(answer, 403, "cross_site")


async def test_our_page_can_act_with_the_cookie(office: Office) -> None:
    """It sets the header, from the same origin."""
    headers = {"Cookie": f"_token={office.tokens['uma']}", "X-CCH-Request": "1", "Sec-Fetch-Site": "same-origin"}
    body = {"workflow_id": "open_ask", "context": {"bl": "B"}}

    answer = await office.client.post(f"{API}/instances", json=body, headers=headers)

    assert answer.status_code == 201


async def test_instances_of_secret_workflows_are_invisible(office: Office) -> None:
    """In lists, in details, in counts and to every action: like one that does not exist."""
    shown = await office.start("open_ask")
    secret = await office.start("secret_ask", context={})

    assert [one["id"] for one in (await office.get("/instances", "una")).json()["items"]] == [shown]
    assert [one["id"] for one in (await office.get("/instances?correlation_id=" + secret, "una")).json()["items"]] == []
    assert {one["workflow_id"] for one in (await office.get("/workflows", "una")).json()["items"]} >= {"open_ask"}
    assert "secret_ask" not in (await office.get("/workflows", "una")).text
    for path in (f"/instances/{secret}", f"/instances/{secret}/items?node=Fan", "/workflows/secret_ask"):
        assert is_problem(await office.get(path, "una"), 404), path
    for path in ("events", "cancel", "requests/c/resend"):
        assert is_problem(await office.post(f"/instances/{secret}/{path}", user="una"), 404, "instance_not_found")
    body = {"workflow_id": "secret_ask"}
    assert is_problem(await office.post("/instances", body, user="una"), 404, "workflow_not_found")
    assert (await office.get("/instances", "nil")).json()["items"] == []


async def test_a_viewer_may_look_but_not_touch(office: Office) -> None:
    """Read the DAG: yes. Create or edit its runs: no."""
    instance = await office.start("open_ask")

    assert (await office.get(f"/instances/{instance}", "vic")).json()["allowed"] == []
    assert (await office.get(f"/instances/{instance}", "uma")).json()["allowed"] == ["event", "cancel"]
    for path in ("events", "cancel", "requests/c/resend"):
        assert is_problem(await office.post(f"/instances/{instance}/{path}", user="vic"), 403, "not_allowed")
    body = {"workflow_id": "open_ask", "context": {"bl": "B"}}
    assert is_problem(await office.post("/instances", body, user="vic"), 403, "not_allowed")


async def test_messages_of_nobody_are_for_who_may_see_everything(office: Office) -> None:
    """An orphan of an unknown instance has no workflow to ask permission of."""
    await office.orphan(instance="unknown")

    assert len((await office.get("/messages", "vic")).json()["items"]) == 1
    assert (await office.get("/messages", "una")).json()["items"] == []
    assert (await office.get("/me", "una")).json()["can_see_everything"] is False
    assert (await office.get("/me", "vic")).json()["can_see_everything"] is True


def entries() -> list[Any]:
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(Log).where(Log.event.startswith("cch_")).order_by(Log.id))
        return [(one.event, one.owner, one.dag_id, one.extra) for one in found]


async def test_actions_are_in_airflows_audit_log(office: Office) -> None:
    """With the user and ids, without payloads."""
    before = len(entries())
    instance = await office.start("open_ask", "uma", context={"bl": "hidden-payload"})
    await office.post(f"/instances/{instance}/events", {"payload": {"decision": "hidden-payload"}}, "uma")
    await office.post(f"/instances/{instance}/cancel", {"reason": "hidden-payload"}, "uma")

    logged = entries()[before:]

    assert [(event, owner, dag) for event, owner, dag, _ in logged] == [
        ("cch_start", "uma", "open_ask"),
        ("cch_event", "uma", "open_ask"),
        ("cch_cancel", "uma", "open_ask"),
    ]
    assert all(instance in extra and "hidden-payload" not in extra for *_, extra in logged)
