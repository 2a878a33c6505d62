"""Workflows over all their instances, through Airflow's app."""

from __future__ import annotations

import csv
import io

import pytest

from cch.runtime.rollups import count_ended
from tests.api.conftest import Office
from tests.api.test_access import is_problem


async def finished(office: Office, decision: str = "release") -> str:
    """An instance of ``open_ask`` that has asked, and for which somebody has decided."""
    instance = await office.start(context={"bl": "B"})
    running = office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]["id"]
    await office.reply(instance, request, {"ok": True})
    await office.until(lambda: office.wait_of(instance, "event"))
    await office.post(f"/instances/{instance}/events", {"payload": {"decision": decision}})
    await running
    return instance


async def test_what_instances_did_is_counted(office: Office) -> None:
    """Visits, ways, lengths of time, ends by day, and the capability that was asked."""
    for _ in range(3):
        await finished(office)
    await count_ended(office.platform)

    found = (await office.get("/workflows/open_ask/statistics", days=7)).json()

    nodes = {node["name"]: node for node in found["nodes"]}
    assert found["ends"]["completed"] == 3
    assert found["ends"]["median_seconds"] > 0
    assert {name: node["visits"] for name, node in nodes.items()} == {
        "Ask": 3, "Decide": 3, "Check": 3, "Failed": 0, "Done": 3,
    }  # fmt: skip
    assert nodes["Ask"]["capability"] == "authority#ask"
    assert nodes["Ask"]["p95_seconds"] >= nodes["Ask"]["median_seconds"] > 0
    assert nodes["Check"]["median_seconds"] is None
    taken = {(edge["source"], edge["label"]): edge["taken"] for edge in found["edges"]}
    assert taken["Check", "_default"] == 3
    assert taken["Check", "again"] == 0
    assert len(found["days"]) == 7
    assert sum(day["completed"] for day in found["days"]) == 3
    assert [(one["capability"], one["visits"], one["nodes"]) for one in found["capabilities"]] == [
        ("authority#ask", 3, ["Ask"])
    ]
    assert [node["name"] for node in found["graph"]["nodes"]] == list(nodes)
    assert [one["ended"] for one in found["versions"]] == [3]


async def test_of_one_version(office: Office) -> None:
    """By its digest; one that nobody knows is an error that says so."""
    instance = await finished(office)
    await count_ended(office.platform)
    digest = (await office.platform.ledger.instances.many([instance]))[0].definition_digest

    known = await office.get("/workflows/open_ask/statistics", version=digest[:12])
    unknown = await office.get("/workflows/open_ask/statistics", version="9")

    assert known.status_code in (200, 422)  # only published versions have names
    assert is_problem(unknown, 422, "version_unknown")


async def test_a_workflow_without_figures_has_empty_ones(office: Office) -> None:
    """With its graph and every day."""
    found = (await office.get("/workflows/open_map/statistics")).json()

    assert found["ends"]["completed"] == 0
    assert len(found["days"]) == 30
    assert {node["visits"] for node in found["nodes"]} == {0}


@pytest.mark.parametrize(("table", "first"), [("nodes", "Ask"), ("edges", "Ask"), ("capabilities", "authority#ask")])
async def test_the_tables_are_there_as_csv(office: Office, table: str, first: str) -> None:
    """With a line of names, for spreadsheets."""
    await finished(office)
    await count_ended(office.platform)

    answer = await office.get("/workflows/open_ask/statistics.csv", table=table)

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="open_ask-{table}.csv"'
    assert next(iter(row.get("name") or row.get("source") or row.get("capability") for row in rows)) == first


async def test_where_instances_are_now(office: Office) -> None:
    """At which node they wait, and how many wait for nobody."""
    waits = await office.start(context={"bl": "B"})
    office.execute(waits, "open_ask", "Ask")
    await office.waiting(waits)
    working = await office.start(context={"bl": "B"})
    await office.platform.ledger.instances.dispatched(working, working)

    found = (await office.get("/workflows/open_ask/places")).json()

    assert (found["running"], found["working"], found["complete"]) == (2, 1, True)
    assert [(place["node"], place["instances"]) for place in found["nodes"]] == [("Ask", 1)]


async def test_a_secret_workflow_has_no_statistics(office: Office) -> None:
    """Who may not read its DAG cannot tell it from one that does not exist."""
    for path in ("statistics", "statistics.csv", "places"):
        assert is_problem(await office.get(f"/workflows/secret_ask/{path}", "una"), 404)


async def test_wrong_questions_are_told_where(office: Office) -> None:
    """Too many days, a table that there is not."""
    assert is_problem(await office.get("/workflows/open_ask/statistics", days=0), 422, "invalid_request")
    assert is_problem(await office.get("/workflows/open_ask/statistics", days=401), 422, "invalid_request")
    assert is_problem(await office.get("/workflows/open_ask/statistics.csv", table="x"), 422, "invalid_request")
