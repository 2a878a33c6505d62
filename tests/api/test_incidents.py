"""What needs a person, through Airflow's app."""

from __future__ import annotations

from cch.runtime.rollups import count_ended
from tests.api.conftest import Office
from tests.api.test_access import is_problem


async def failed(office: Office, workflow_id: str = "open_ask", reason: str = "bill MEDU7710042 is unknown") -> str:
    """An instance that has failed, and is counted."""
    context = {"bl": "B"} if workflow_id == "open_ask" else {}
    instance = await office.start(workflow_id, context=context)
    await office.platform.ledger.instances.end(instance, "failed", office.platform.clock(), reason)
    await count_ended(office.platform)
    return instance


async def test_a_group_leads_to_its_instances(office: Office) -> None:
    """With its number, when it began, and a search that finds exactly its members."""
    ids = {await failed(office), await failed(office, reason="bill HLCU2209130 is unknown")}
    other = await failed(office, reason="something else")

    items = (await office.get("/incidents")).json()["items"]

    (group,) = [one for one in items if one["count"] == 2]
    assert (group["kind"], group["workflow_id"], group["pattern"]) == ("failed", "open_ask", "bill <id> is unknown")
    assert set(group["examples"]) == ids
    assert group["days"][-1] == 2
    listed = (await office.get("/instances", incident=group["id"], state="FAILED")).json()["items"]
    assert {one["id"] for one in listed} == ids
    assert other not in {one["id"] for one in listed}


async def test_definitions_with_errors_are_incidents(office: Office) -> None:
    """With the first problem."""
    items = (await office.get("/incidents")).json()["items"]

    (broken,) = [one for one in items if one["kind"] == "definition"]
    assert broken["workflow_id"] == "open_broken"
    assert broken["code"].startswith("CCH-")


async def test_incidents_of_secret_workflows_are_invisible(office: Office) -> None:
    """Also their messages."""
    await failed(office, "secret_ask", "a secret broke")

    assert "a secret broke" in (await office.get("/incidents")).text
    assert "secret" not in (await office.get("/incidents", "una")).text


async def test_a_wrong_question_is_told_where(office: Office) -> None:
    """No days at all."""
    assert is_problem(await office.get("/incidents", days=0), 422, "invalid_request")
