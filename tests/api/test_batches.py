"""Batches over HTTP: previews, confirmation, permissions, steering, results; and that the server carries them out."""

from __future__ import annotations

from typing import Any

import pytest

from cch.api import batch_hands
from cch.ledger.batches import Batch
from tests.api.conftest import Office
from tests.api.test_access import is_problem
from tests.api.test_moving import Tables
from tests.api.test_versions import publish

HOLD: dict[str, Any] = {"kind": "hold"}
ALL_ASK = {"workflow_id": "open_ask"}


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> type[Tables]:
    """Stands in for Airflow's tables (tests/airflow/test_run_tasks.py has the real ones)."""

    class Patient(Tables):
        pass

    monkeypatch.setattr(batch_hands, "_PatientTasks", Patient)
    return Patient


async def previewed(office: Office, search: dict[str, Any], action: dict[str, Any], user: str = "ada") -> Any:
    answer = await office.post("/batches/preview", {"search": search, "action": action}, user)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def begun(
    office: Office, search: dict[str, Any], action: dict[str, Any], expected: int, user: str = "ada", **more: Any
) -> Any:
    body = {"search": search, "action": action, "expected": expected, "rate": 1000, **more}
    answer = await office.post("/batches", body, user)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ended(office: Office, batch_id: str) -> Any:
    async def look() -> Any:
        found = (await office.get(f"/batches/{batch_id}")).json()
        return found if found["state"] in ("done", "stopped") else None

    return await office.until(look)


async def results(office: Office, batch_id: str, **query: Any) -> dict[str, str]:
    page = (await office.get(f"/batches/{batch_id}/results", **query)).json()
    return {each["instance_id"]: each["result"] for each in page["items"]}


async def test_a_preview_changes_nothing_and_the_server_does_what_was_confirmed(office: Office) -> None:
    """Counts and examples first; then each instance is held, says the batch, and has a result."""
    ids = [await office.start(correlation_id=f"MEDU{number}") for number in range(7)]
    await office.start("open_map", context={"packs": []})

    seen = await previewed(office, ALL_ASK, HOLD)
    before = [(await office.get(f"/instances/{each}")).json()["gates"] for each in ids]
    batch = await begun(office, ALL_ASK, HOLD, seen["count"], reason="customs is down")
    done = await ended(office, batch["id"])
    detail = (await office.get(f"/instances/{ids[0]}")).json()

    assert (seen["count"], seen["not_allowed"], seen["workflows"]) == (7, 0, {"open_ask": 7})
    assert len(seen["examples"]) == 5
    assert all(each["possible"] for each in seen["examples"])
    assert before == [[]] * 7
    assert (done["state"], done["done"], done["left"], done["by"]) == ("done", 7, 0, "ada")
    assert (done["action"], done["search"]) == (HOLD, ALL_ASK)
    assert await results(office, batch["id"]) == dict.fromkeys(ids, "done")
    assert detail["gates"][0]["reason"] == "customs is down"
    assert detail["actions"][0]["batch"] == batch["id"]
    assert any(batch["id"] in each["text"] for each in detail["timeline"] if each["kind"] == "action")


@pytest.mark.parametrize(
    ("search", "action", "status", "code"),
    [
        ({}, HOLD, 422, "search_empty"),
        ({"workflow_id": "nothing_v1"}, HOLD, 404, "workflow_not_found"),
        ({**ALL_ASK, "version": "77"}, HOLD, 422, "version_unknown"),
        ({"correlation_prefix": "M"}, HOLD, 422, "invalid_request"),
        (ALL_ASK, {"kind": "explode"}, 422, "invalid_request"),
        (ALL_ASK, {"kind": "decide", "node": "Ask"}, 422, "invalid_request"),
        (ALL_ASK, {"kind": "patch", "patch": {}}, 422, "invalid_request"),
        (ALL_ASK, {"kind": "hold", "node": "Ask"}, 422, "invalid_request"),
        (ALL_ASK, {"kind": "retry", "node": "Nobody"}, 422, "node_unknown"),
        (ALL_ASK, {"kind": "decide", "node": "Ask", "verdict": "failed", "edge": "up"}, 422, "edge_unknown"),
        ({"state": ["WAITING"]}, {"kind": "move"}, 422, "workflow_needed"),
        (ALL_ASK, {"kind": "move", "version": "77"}, 422, "version_unknown"),
        (ALL_ASK, {"kind": "patch", "patch": {"a": "x" * 200_000}}, 422, "too_large"),
    ],
)
async def test_what_cannot_be_meant_is_said(
    office: Office, search: dict[str, Any], action: dict[str, Any], status: int, code: str
) -> None:
    """By the preview and by the batch itself, before anything happens."""
    instance = await office.start()
    office.execute(instance, "open_ask", "Ask")
    await office.waiting(instance)
    body = {"search": search, "action": action}

    assert is_problem(await office.post("/batches/preview", body), status, code)
    assert is_problem(await office.post("/batches", {**body, "expected": 1}), status, code)
    assert (await office.get("/batches")).json()["items"] == []


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"expected": 5}, 409, "count_changed"),
        ({"expected": 1, "rate": 0}, 422, "invalid_request"),
        ({"expected": 1, "rate": -3}, 422, "invalid_request"),
        ({"expected": 1, "id": "no id"}, 422, "invalid_request"),
    ],
)
async def test_what_was_not_previewed_is_not_begun(
    office: Office, more: dict[str, Any], status: int, code: str
) -> None:
    """The number of the preview confirms it; a rate is more than nothing."""
    await office.start()
    answer = await office.post("/batches", {"search": ALL_ASK, "action": HOLD, **more})

    assert is_problem(answer, status, code)
    assert (await office.get("/batches")).json()["items"] == []


async def test_every_instance_has_to_be_meant(office: Office) -> None:
    """`all` says so."""
    await office.start()
    assert (await previewed(office, {"all": True}, HOLD))["count"] == 1


async def test_a_repeated_confirmation_begins_nothing_else(office: Office) -> None:
    """The same id: the same batch, whatever matches now. Another user's is not told."""
    await office.start()
    first = await begun(office, ALL_ASK, HOLD, 1, id="mine")
    await ended(office, "mine")
    await office.start()
    body = {"search": ALL_ASK, "action": HOLD, "expected": 1, "id": "mine"}
    again = await office.post("/batches", body)
    other = await office.post("/batches", body, "una")

    assert again.status_code == 200
    assert (again.json()["id"], again.json()["total"]) == (first["id"], 1)
    assert is_problem(other, 409, "batch_id_taken")
    assert len((await office.get("/batches")).json()["items"]) == 1


async def test_what_may_not_be_changed_is_left_out_and_counted(office: Office) -> None:
    """A viewer changes nothing; who may see only some workflows sees and does only those."""
    await office.start()
    await office.start("secret_ask", context={})

    viewer = await previewed(office, {"all": True}, HOLD, "vic")
    some = await previewed(office, {"all": True}, HOLD, "una")
    hidden = await office.post("/batches/preview", {"search": {"workflow_id": "secret_ask"}, "action": HOLD}, "una")
    whole = await begun(office, {"all": True}, HOLD, 2)
    await ended(office, whole["id"])

    assert (viewer["count"], viewer["not_allowed"]) == (0, 2)
    assert (some["count"], some["not_allowed"]) == (1, 0)
    assert is_problem(hidden, 404, "workflow_not_found")
    assert is_problem(await office.get(f"/batches/{whole['id']}", "una"), 404, "batch_not_found")
    assert is_problem(await office.get(f"/batches/{whole['id']}/results", "una"), 404, "batch_not_found")
    assert (await office.get("/batches", "una")).json()["items"] == []
    assert (await office.get(f"/batches/{whole['id']}", "vic")).json()["can_edit"] is False
    assert is_problem(await office.post(f"/batches/{whole['id']}/stop", user="vic"), 403, "not_allowed")


async def test_a_batch_is_paused_resumed_and_stopped(office: Office) -> None:
    """To repeat that changes nothing; what has ended cannot be steered any more."""
    for _ in range(5):
        await office.start()
    batch = await begun(office, ALL_ASK, HOLD, 5, rate=0.5)
    where = f"/batches/{batch['id']}"

    paused = (await office.post(f"{where}/pause")).json()
    again = await office.post(f"{where}/pause")
    resumed = (await office.post(f"{where}/resume")).json()
    stopped = (await office.post(f"{where}/stop")).json()
    late = await office.post(f"{where}/pause")

    assert (paused["state"], again.status_code, again.json()["state"]) == ("paused", 200, "paused")
    assert (resumed["state"], stopped["state"]) == ("running", "stopped")
    assert stopped["ended"] is not None
    assert is_problem(late, 409, "batch_ended")
    assert "stopped" in late.text
    assert is_problem(await office.post("/batches/nobody/pause"), 404, "batch_not_found")
    assert is_problem(await office.get("/batches/nobody"), 404, "batch_not_found")
    assert is_problem(await office.get("/batches/nobody/results"), 404, "batch_not_found")


async def test_instances_that_wait_are_told_from_those_that_run(office: Office) -> None:
    """And moved to the version that was named when the batch was confirmed."""
    waits, runs = await office.start(), await office.start()
    office.execute(waits, "open_ask", "Ask")
    await office.waiting(waits)
    publish(office, "Query")
    move = {"kind": "move", "renames": {"Ask": "Query"}}

    seen = await previewed(office, {**ALL_ASK, "state": ["WAITING"]}, move)
    batch = await begun(office, {**ALL_ASK, "state": ["WAITING"]}, move, 1)
    publish(office, "Other")
    await ended(office, batch["id"])

    assert [each["id"] for each in seen["examples"]] == [waits]
    assert (seen["examples"][0]["before"], seen["examples"][0]["after"]) == (["Ask"], ["Query"])
    assert await results(office, batch["id"]) == {waits: "done"}
    assert (await office.get(f"/instances/{waits}")).json()["version"] == 2
    assert (await office.get(f"/instances/{runs}")).json()["version"] == 1


async def test_pages_of_batches_and_of_results(office: Office) -> None:
    """Each is found once, in order, whatever the size of the page; results by what has become of them."""
    ids = [await office.start() for _ in range(5)]
    await office.post(f"/instances/{ids[2]}/hold")
    batches = [await begun(office, ALL_ASK, HOLD, 5)]
    await ended(office, batches[0]["id"])
    batches += [await begun(office, ALL_ASK, {"kind": "release"}, 5, rate=0.01) for _ in range(4)]

    async def pages(path: str, **query: Any) -> list[Any]:
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await office.get(path, limit=2, **query, **cursor)).json()
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = {"cursor": page["next_cursor"]}

    where = f"/batches/{batches[0]['id']}/results"
    assert [each["id"] for each in await pages("/batches")] == [each["id"] for each in reversed(batches)]
    assert sorted(each["instance_id"] for each in await pages(where)) == sorted(ids)
    (refused,) = await pages(where, result="refused")
    assert refused["instance_id"] == ids[2]
    assert "held already" in refused["reason"]
    assert is_problem(await office.get("/batches", cursor="bm8"), 422)
    assert is_problem(await office.get(where, cursor="bm8"), 422)


async def test_a_cancelled_instance_names_the_batch(office: Office) -> None:
    """Its reason says who, why, and which batch."""
    instance = await office.start()
    batch = await begun(office, ALL_ASK, {"kind": "cancel"}, 1, reason="not wanted")
    await ended(office, batch["id"])

    found = (await office.get(f"/instances/{instance}")).json()
    assert (found["state"], found["reason"]) == ("CANCELLED", f"cancelled by ada: not wanted (batch {batch['id']})")


async def test_while_the_table_is_away_nothing_is_begun(office: Office, broken_aws: Any) -> None:
    """503, and the same request can be sent again."""
    await office.start()
    broken_aws(True)
    answer = await office.post("/batches", {"search": ALL_ASK, "action": HOLD, "expected": 1, "id": "b"})
    broken_aws(False)

    assert is_problem(answer, 503)
    assert (await begun(office, ALL_ASK, HOLD, 1, id="b"))["id"] == "b"


async def test_the_server_goes_on_with_a_batch_by_itself(office: Office) -> None:
    """What another server has left is found when the platform is opened."""
    instance = await office.start()
    batch = Batch(
        id="left", state="running", action=HOLD, search={"asked": {}, "wanted": {}}, by="ada",
        created=office.platform.clock(), total=1, rate=10.0, workflows=("open_ask",),
    )  # fmt: skip
    await office.platform.ledger.batches.create(batch, [instance])
    from cch.api.backend import backend

    (await backend()).call_batches()
    assert (await ended(office, "left"))["done"] == 1
