"""A late reply over HTTP: what it would have answered, and the retry that takes it."""

from __future__ import annotations

import pytest

from cch.api import mending
from tests.api.conftest import Office
from tests.api.test_access import is_problem
from tests.api.test_moving import Tables
from tests.api.test_versions import WORKFLOW, start


@pytest.fixture(autouse=True)
def _tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "DatabaseTasks", Tables)


async def late(office: Office) -> tuple[str, str]:
    """An instance whose first node was skipped, and the message that came afterwards."""
    instance: str = (await start(office))["id"]
    office.execute(instance, WORKFLOW, "Ask")
    request = (await office.waiting(instance))["waits"][0]
    skipped = await office.post(f"/instances/{instance}/decide", {"node": "Ask", "verdict": "skipped"})
    assert skipped.status_code == 200, skipped.json()
    await office.reply(instance, request["id"], {"number": 7})

    async def found() -> list[dict[str, str]]:
        page = (await office.get("/messages?state=late")).json()
        return [each for each in page["items"] if each["instance_id"] == instance]

    return instance, (await office.until(found))[0]["id"]


async def test_a_late_reply_says_what_it_would_have_answered(office: Office) -> None:
    """The preview of the retry with it says what would not count any more; the audit names the message."""
    instance, message = await late(office)

    detail = (await office.get(f"/messages/{message}")).json()
    wish = {"node": "Ask", "adopt": message, "dry_run": True}
    preview = (await office.post(f"/instances/{instance}/retry", wish)).json()
    done = (await office.post(f"/instances/{instance}/retry", {**wish, "dry_run": False})).json()

    assert detail["late_for"] == {"instance_id": instance, "node": "Ask", "visit": 1}
    assert (preview["done"], done["done"]) == (False, True)
    assert preview["set_aside"] == done["set_aside"]
    assert "Ask#1" in done["set_aside"]
    assert (await office.get(f"/messages/{message}")).json()["state"] == "held", "until the node asks"


async def test_a_message_that_is_unknown_or_another_s_is_not_adopted(office: Office) -> None:
    """404 and 409, and nothing changes."""
    instance, message = await late(office)
    other, _ = await late(office)

    unknown = await office.post(f"/instances/{instance}/retry", {"node": "Ask", "adopt": "q:nothing"})
    foreign = await office.post(f"/instances/{other}/retry", {"node": "Ask", "adopt": message})

    assert is_problem(unknown, 404, "message_not_found")
    assert is_problem(foreign, 409, "not_possible")
    assert (await office.get(f"/messages/{message}")).json()["state"] == "late"
