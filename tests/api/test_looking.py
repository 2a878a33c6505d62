"""Looking at workflows and instances through Airflow's app."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cch.api.document import document
from cch.runtime.retention import expire
from tests.airflow_home import ROOT
from tests.api.conftest import Office
from tests.api.test_access import is_problem


@pytest.mark.parametrize(
    "path", ["/workflows", "/workflows/open_ask", "/instances", "/tasks", "/messages", "/health", "/me"]
)
async def test_every_list_answers(office: Office, path: str) -> None:
    """Also when there is nothing yet."""
    answer = await office.get(path)

    assert answer.status_code == 200


def test_the_document_is_current() -> None:
    """`make openapi` has been run: the dashboard's types are made from the file."""
    assert (ROOT / "docs" / "openapi.json").read_text() == document()


async def test_the_description_has_a_page(office: Office) -> None:
    """With addresses that are relative, for base URLs with a path."""
    page = await office.client.get("/cch/docs")
    described = await office.client.get("/cch/openapi.json")

    assert "'openapi.json'" in page.text
    assert described.json()["info"]["title"] == "CCH"


async def test_an_unknown_address_is_a_problem_too(office: Office) -> None:
    """Routing's own errors have the same form."""
    assert is_problem(await office.get("/nothing"), 404, "not_found")
    assert is_problem(await office.call("DELETE", "/instances"), 405, "method_not_allowed")


async def test_a_workflow_has_its_text_graph_and_form(office: Office) -> None:
    """With positions, regions, loops and the schema of what a start must bring."""
    found = (await office.get("/workflows/open_ask")).json()

    assert found["text"].lstrip().startswith("workflow_id: open_ask")
    assert found["start_schema"]["properties"]["bl"]["title"] == "Bill of lading"
    assert found["start_schema"]["required"] == ["bl"]
    nodes = {node["name"]: node for node in found["graph"]["nodes"]}
    assert nodes["Ask"]["capability"] == "authority#ask"
    assert nodes["Ask"]["line"] == found["text"].split("  Ask:")[0].count("\n") + 1
    assert {"source": "Check", "label": "again", "target": "Ask", "implied": False, "closing": True} in found["graph"][
        "edges"
    ]
    assert [region["cyclic"] for region in found["graph"]["regions"] if region["head"] == "Ask"] == [True]
    assert found["can_start"] is True


async def test_nodes_of_a_map_say_whose_body_they_are(office: Office) -> None:
    """So that they can be drawn inside it."""
    graph = (await office.get("/workflows/open_map")).json()["graph"]

    assert {node["name"]: node["map"] for node in graph["nodes"]} == {
        "Fan": None, "Submit": "Fan", "Pack_Done": "Fan", "All": None, "Done": None,
    }  # fmt: skip


async def test_a_broken_definition_shows_its_problems(office: Office) -> None:
    """Its text and where it is wrong; it cannot be started."""
    found = (await office.get("/workflows/open_broken")).json()

    assert found["usable"] is found["can_start"] is False
    assert found["graph"] is None
    assert found["problem_list"][0]["line"] == 4
    assert "Nowhere" in found["problem_list"][0]["message"]


async def test_workflows_count_their_instances(office: Office) -> None:
    """By state."""
    before = await counts(office)
    await office.start(context={"bl": "B"})
    cancelled = await office.start(context={"bl": "B"})
    await office.post(f"/instances/{cancelled}/cancel")

    after = await counts(office)

    assert after["PENDING"] == before["PENDING"] + 1
    assert after["CANCELLED"] == 1


async def counts(office: Office) -> dict[str, int]:
    items = (await office.get("/workflows")).json()["items"]
    found: dict[str, int] = next(one["counts"] for one in items if one["workflow_id"] == "open_ask")
    return found


async def everything(office: Office, path: str, **query: Any) -> list[list[str]]:
    """The ids of all pages."""
    pages, cursor = [], None
    while True:
        answer = await office.get(path, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append([item["id"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


async def test_pages_show_everything_once(office: Office) -> None:
    """Newest first, over instances in several states, also when many begin in the same millisecond."""
    ids = [await office.start(context={"bl": "B"}) for _ in range(12)]
    for identifier in ids[::3]:
        await office.platform.ledger.instances.end(identifier, "completed", 99)
    for identifier in ids[1::3]:
        await office.platform.ledger.instances.end(identifier, "failed", 99)

    pages = await everything(office, "/instances", limit=5)
    one_workflow = await everything(office, "/instances", limit=5, workflow_id="open_ask")

    shown = [identifier for page in pages for identifier in page]
    assert sorted(shown) == sorted(ids)
    assert sorted(identifier for page in one_workflow for identifier in page) == sorted(ids)
    listed = (await office.get("/instances", limit=200)).json()["items"]
    # As times: a whole second is written without its fraction.
    started = [datetime.fromisoformat(one["started"]) for one in listed]
    assert started == sorted(started, reverse=True)


async def test_instances_are_found_by_what_people_know(office: Office) -> None:
    """Key, its beginning, state, workflow, time, and the capability that is waited for."""
    one = await office.start(context={"bl": "B"}, correlation_id="MEDU0001")
    two = await office.start(context={"bl": "B"}, correlation_id="MEDU0002")
    other = await office.start(context={"bl": "B"}, correlation_id="MAEU0001")
    office.execute(two, "open_ask", "Ask")
    await office.waiting(two)
    await office.platform.ledger.instances.end(other, "failed", 99)

    async def found(**query: Any) -> set[str]:
        return {item["id"] for item in (await office.get("/instances", **query)).json()["items"]}

    assert await found(correlation_id="MEDU0001") == {one}
    assert await found(correlation_prefix="MEDU") == {one, two}
    assert await found(correlation_prefix="ME", state="WAITING") == {two}
    assert await found(state="WAITING") == {two}
    assert await found(state="RUNNING") == {one}
    assert await found(state=["RUNNING", "FAILED"]) == {one, other}
    assert await found(waiting_for="authority#ask") == {two}
    assert await found(waiting_for="event") == set()
    assert await found(workflow_id="open_map") == set()
    assert await found(started_before="2020-01-01T00:00:00Z") == set()
    assert await found(started_after="2020-01-01T00:00:00Z") == {one, two, other}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 201}, {"state": "SLEEPING"}, {"cursor": "???"}, {"cursor": "e30x"},
        {"cursor": "eyJydW5uaW5nIjpbMSwyLDNdfQ"}, {"cursor": "eyJ4IjpudWxsfQ"}, {"cursor": "NQ"},
        {"correlation_prefix": "M"}, {"started_after": "yesterday"}, {"correlation_id": "x" * 201},
    ],
)  # fmt: skip
async def test_a_wrong_question_is_told_where(office: Office, query: dict[str, Any]) -> None:
    """422 with the place."""
    answer = await office.get("/instances", **query)

    assert is_problem(answer, 422, "invalid_request")
    assert answer.json()["errors"][0]["location"].startswith("query.")


async def test_an_expired_instance_is_gone(office: Office) -> None:
    """410, so that a program can tell it from one that never was; who may not see it gets 404 as ever."""
    instance = await office.start(context={"bl": "B"})
    await office.platform.ledger.instances.end(instance, "failed", 99)
    await expire(office.platform, (await office.platform.ledger.instances.many([instance]))[0])

    for path in ("", "/graph", "/items?node=Ask"):
        assert is_problem(await office.get(f"/instances/{instance}{path}"), 410, "expired")
    assert is_problem(await office.post(f"/instances/{instance}/cancel"), 410, "expired")
    assert is_problem(await office.get("/instances/never-was"), 404)


@pytest.mark.parametrize("path", ["/instances", "/instances/{}", "/workflows", "/tasks", "/messages"])
async def test_what_has_not_changed_is_not_sent_again(office: Office, path: str) -> None:
    """ETag and 304; another answer after a change."""
    instance = await office.start(context={"bl": "B"})
    where = path.format(instance)
    first = await office.get(where)
    tag = {"If-None-Match": first.headers["etag"]}

    same = await office.call("GET", where, headers=tag)
    assert (same.status_code, same.content) == (304, b"")
    assert first.headers["cache-control"] == "private, no-cache"

    if "instances" in path:
        await office.platform.ledger.instances.end(instance, "failed", 99, "it broke")
        changed = await office.call("GET", where, headers=tag)
        assert changed.status_code == 200
        assert "it broke" in changed.text


async def test_the_items_of_a_map_are_paged(office: Office) -> None:
    """By index, each with its state; the detail has what one item did."""
    packs = [{"id": f"P{number}"} for number in range(7)]
    instance = await office.start("open_map", context={"packs": packs})
    office.execute(instance, "open_map", "Fan")
    queue = await office.fallback_queue()
    await office.until(lambda: len(queue.messages) == 7)
    shown = (await office.get(f"/instances/{instance}")).json()
    first = next(wait for wait in shown["waits"] if wait["branch"] == "P0")
    await office.reply(instance, first["id"], {"seal": "S"})

    async def answered() -> Any:
        page = (await office.get(f"/instances/{instance}/items", node="Fan", limit=3)).json()
        return page if page["items"][0]["state"] == "SUCCEEDED" else None

    page = await office.until(answered)
    rest = (await office.get(f"/instances/{instance}/items", node="Fan", cursor=page["next_cursor"])).json()
    inside = (await office.get(f"/instances/{instance}/items", node="Fan", first=5)).json()
    item = (await office.get(f"/instances/{instance}/items/0", node="Fan")).json()
    other = (await office.get(f"/instances/{instance}/items/3", node="Fan")).json()

    assert shown["state"] == "WAITING"
    assert [(one["node"], one["visit"], one["items"]) for one in shown["maps"]] == [("Fan", 1, 7)]
    assert [one["index"] for one in inside["items"]] == [5, 6]
    assert [one["index"] for one in page["items"] + rest["items"]] == list(range(7))
    assert [one["state"] for one in page["items"]] == ["SUCCEEDED", "WAITING", "WAITING"]
    assert (page["total"], rest["next_cursor"]) == (7, None)
    assert item["context"]["seal"] == "S"
    assert [visit["node"] for visit in item["visits"]] == ["Submit", "Pack_Done"]
    assert [wait["branch"] for wait in other["waits"]] == ["P3"]
    body = await office.get(f"/instances/{instance}/requests/{other['waits'][0]['id']}")
    assert body.json()["body"]["header"]["routingHint"] == {"branchKey": "P3"}
    assert is_problem(await office.get(f"/instances/{instance}/items", node="Done"), 404, "map_not_found")
    assert is_problem(await office.get(f"/instances/{instance}/items/7", node="Fan"), 404, "item_not_found")


async def test_airflow_tells_what_it_knows_while_the_ledger_is_away(office: Office, broken_aws: Any) -> None:
    """Lists and details from its runs, with a reason for the banner; what needs the ledger says so."""
    instance = await office.start(context={"bl": "B"}, correlation_id="AWAY-1")
    broken_aws(True)
    page = (await office.get("/instances", correlation_prefix="AWAY")).json()
    detail = (await office.get(f"/instances/{instance}")).json()
    hidden = await office.get(f"/instances/{instance}", "nil")
    workflows = (await office.get("/workflows")).json()
    health = (await office.get("/health")).json()
    tasks = await office.get("/tasks")
    broken_aws(False)

    assert (page["degraded"], page["degraded_reason"]) == (True, "the table: nothing answers")
    assert [(one["id"], one["state"], one["correlation_id"]) for one in page["items"]] == [
        (instance, "PENDING", "AWAY-1")
    ]
    assert detail["degraded"] is True
    assert {node["task_id"] for node in detail["nodes"]} >= {"Ask", "Done"}
    assert is_problem(hidden, 503)
    assert workflows["degraded"] is True
    assert {one["workflow_id"] for one in workflows["items"]} >= {"open_ask"}
    assert health["status"] == "degraded"
    assert {check["name"]: check["ok"] for check in health["checks"]}["table"] is False
    assert is_problem(tasks, 503, "service_unavailable")


async def test_health_says_who_lives(office: Office) -> None:
    """A router that has reported and takes commands; a start that waits too long."""
    ledger, now = office.platform.ledger, office.platform.clock()
    before = {check["name"]: check for check in (await office.get("/health")).json()["checks"]}
    await ledger.mailboxes.count("r1", {"waiters": 3, "commands": 1}, now)
    await ledger.mailboxes.count("dead", {"waiters": 3, "commands": 1}, now - 200_000)
    await ledger.mailboxes.enqueue_start("slow", "open_ask", now - 400_000)

    view = (await office.get("/health")).json()

    assert before["router"]["ok"] is False
    checks = {check["name"]: check for check in view["checks"]}
    assert [router["id"] for router in view["routers"]] == ["r1", "dead"]
    assert checks["router"]["ok"] is True
    assert checks["table"]["ok"] is checks["command_queue"]["ok"] is checks["definitions"]["ok"] is True
    assert checks["dispatcher"]["ok"] is False
    assert view["pending_starts"] == 1
    assert 390 < view["oldest_command_seconds"] < 500


async def test_askers_at_the_same_time_share_an_answer() -> None:
    """One computation; a second later another one."""
    from cch.api.conditional import Shared
    from cch.api.models import UserView

    now, computed = 0.0, []

    async def work() -> UserView:
        computed.append(1)
        await asyncio.sleep(0.01)
        return UserView(name="x", can_see_everything=True)

    shared = Shared(1.0, lambda: now)
    await asyncio.gather(*(shared.get("a", work) for _ in range(10)))
    assert len(computed) == 1
    now = 1.5
    await shared.get("a", work)
    assert len(computed) == 2
    shared.clear()
    await shared.get("a", work)
    assert len(computed) == 3


def test_the_plugin_loads_the_api_only_where_it_is_served() -> None:
    """Every process of Airflow reads the plugin; tasks must not load FastAPI for it."""
    import subprocess
    import sys

    code = (
        "import sys, cch.plugin\n"
        "print([name for name in ('fastapi', 'cch.api', 'cch.aws', 'cch.runtime') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(ROOT))

    assert answer.stdout.splitlines()[-1] == "[]"
