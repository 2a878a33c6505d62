"""Versions of workflows over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.api import definitions as texts
from tests.api.conftest import Office

WORKFLOW = "open_ask"


def publish(office: Office, name: str) -> None:
    """The workflow with another name for its first node."""
    folder: Path = office.platform.catalogue._source._folder  # type: ignore[attr-defined]
    (folder / f"{WORKFLOW}.yaml").write_text(texts.ASK.replace("Ask", name))


async def start(office: Office, **body: Any) -> dict[str, Any]:
    answer = await office.post("/instances", {"workflow_id": WORKFLOW, "context": {"bl": "M"}, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_every_instance_says_its_version_and_a_start_may_name_one(office: Office) -> None:
    """By number, also after another one was published; lists can be narrowed down to one version."""
    old = await start(office)
    publish(office, "Query")
    new = await start(office)
    again = await start(office, version="1")

    listed = (await office.get("/instances", workflow_id=WORKFLOW, version="1")).json()["items"]
    detail = (await office.get(f"/instances/{new['id']}")).json()

    assert [each["version"] for each in (old, new, again)] == [1, 2, 1]
    assert old["definition_digest"] == again["definition_digest"] != new["definition_digest"]
    assert {each["id"] for each in listed} == {old["id"], again["id"]}
    assert (detail["version"], detail["definition_digest"]) == (2, new["definition_digest"])


async def test_versions_are_listed_with_who_runs_them(office: Office) -> None:
    """The newest first, with what differs between two of them."""
    publish(office, "Ask")
    await start(office)
    publish(office, "Query")
    await start(office)

    listed = (await office.get(f"/workflows/{WORKFLOW}/versions")).json()
    differs = (await office.get(f"/workflows/{WORKFLOW}/versions/1/difference")).json()

    assert [(each["number"], each["current"], each["live"]) for each in listed["items"]] == [
        (2, True, 1),
        (1, False, 1),
    ]
    assert listed["complete"] is True
    assert (differs["added"], differs["removed"], differs["entry_changed"]) == (["Query"], ["Ask"], True)
    assert {"Query", "Ask"} <= {node["name"] for node in differs["graph"]["nodes"]}
    assert {"Query", "Ask"} <= {edge["source"] for edge in differs["graph"]["edges"]}


async def test_a_version_that_there_is_not_is_said(office: Office) -> None:
    """422 where a field names it, 404 where the address does; nothing is started."""
    publish(office, "Ask")

    refused = await office.post("/instances", {"workflow_id": WORKFLOW, "context": {"bl": "M"}, "version": "@gone"})
    search = await office.get("/instances", workflow_id=WORKFLOW, version="9")
    alone = await office.get("/instances", version="1")
    nowhere = await office.get(f"/workflows/{WORKFLOW}/versions/9/difference")
    unknown = await office.get("/workflows/nothing/versions")

    assert (refused.status_code, refused.json()["code"]) == (422, "version_unknown")
    assert "no label @gone" in refused.text
    assert (search.status_code, alone.status_code) == (422, 422)
    assert "workflow_id" in alone.text
    assert (nowhere.status_code, unknown.status_code) == (404, 404)
