"""Holds of whole workflows and capabilities over HTTP: who is held, released and refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Office
from tests.api.test_access import is_problem
from tests.api.test_batches import ended, tables

__all__ = ["tables"]

CUSTOMS = {"kind": "capability", "name": "authority#ask"}
ASK = {"kind": "workflow", "name": "open_ask"}


async def held(office: Office, instance: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await office.get(f"/instances/{instance}")).json()["gates"]
    return found


async def waiting(office: Office) -> str:
    instance: str = await office.start()
    office.execute(instance, "open_ask", "Ask")
    await office.waiting(instance)
    return instance


@pytest.mark.parametrize("what", [CUSTOMS, ASK], ids=["capability", "workflow"])
async def test_those_that_wait_are_held_and_released_at_a_rate(office: Office, what: dict[str, str]) -> None:
    """By batches; to repeat the hold changes nothing, and it is gone when nobody is held for it."""
    ids = [await waiting(office) for _ in range(3)]

    made = await office.post("/holds", {**what, "reason": "customs is down"})
    await ended(office, made.json()["batch"])
    again = await office.post("/holds", what)
    listed = (await office.get("/holds")).json()["items"]

    assert (made.status_code, again.status_code, again.json()["batch"]) == (201, 200, "")
    assert [(each["kind"], each["name"], each["held"]) for each in listed] == [(what["kind"], what["name"], 3)]
    assert listed[0]["released"] is None
    assert {(await held(office, each))[0]["reason"] for each in ids} == {
        f"{what['kind']} {what['name']} is held: customs is down"
    }

    let_go = await office.post("/holds/release", {**what, "rate": 1000})
    assert is_problem(await office.post("/holds", what), 409, "conflict")
    await ended(office, let_go.json()["batch"])
    await office.post("/holds/release", {**what, "rate": 1000})

    assert [await held(office, each) for each in ids] == [[]] * 3
    assert (await office.get("/holds")).json()["items"] == []


async def test_what_nobody_knows_cannot_be_held(office: Office) -> None:
    """404 for a workflow, a capability that no workflow asks, and a hold that is not there; 422 for other kinds."""
    assert is_problem(await office.post("/holds", {"kind": "workflow", "name": "no"}), 404, "workflow_not_found")
    assert is_problem(await office.post("/holds", {"kind": "capability", "name": "no"}), 404, "capability_not_found")
    assert is_problem(await office.post("/holds/release", CUSTOMS), 404, "hold_not_found")
    assert is_problem(await office.post("/holds", {"kind": "node", "name": "Ask"}), 422)
    assert is_problem(await office.post("/holds/release", {**CUSTOMS, "rate": 0}), 422)


@pytest.mark.parametrize("user", ["una", "vic"])
async def test_who_may_not_edit_all_of_its_workflows_holds_nothing(office: Office, user: str) -> None:
    """A secret workflow asks the same capability; a viewer may edit none."""
    answer = await office.post("/holds", CUSTOMS, user)

    assert is_problem(answer, 403, "not_allowed")
    assert (await office.get("/holds")).json()["items"] == []
