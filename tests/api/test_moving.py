"""Moving instances over HTTP: previews, refusals, permissions, and the move itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cch.api import moving
from cch.runtime.task_wishes import RunBusyError, RunWish
from tests.api.conftest import Office
from tests.api.test_versions import WORKFLOW, publish, start


class Tables:
    """Stands in for Airflow's tables (tests/airflow/test_run_tasks.py has the real ones)."""

    busy = False

    def prepare(self, dag_id: str, version: str) -> None:
        pass

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish], *, revive: bool = False) -> None:
        if type(self).busy:
            raise RunBusyError("Ask is on a worker")
        work()


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> type[Tables]:
    monkeypatch.setattr(moving, "DatabaseTasks", Tables)
    monkeypatch.setattr(Tables, "busy", False)
    return Tables


async def waiting(office: Office) -> str:
    """An instance that waits for the reply to its first request."""
    instance: str = (await start(office))["id"]
    office.execute(instance, WORKFLOW, "Ask")
    await office.waiting(instance)
    return instance


async def moved(office: Office, instance: str, user: str = "ada", **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await office.post(f"/instances/{instance}/move", body, user)
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


async def test_a_preview_and_a_move(office: Office, tables: type[Tables]) -> None:
    """The preview says the same and changes nothing; the instance says its version and how it came there."""
    instance = await waiting(office)
    publish(office, "Query")

    _, preview = await moved(office, instance, dry_run=True, renames={"Ask": "Query"})
    before = (await office.get(f"/instances/{instance}")).json()
    status, done = await moved(office, instance, renames={"Ask": "Query"}, reason="a better name")
    detail = (await office.get(f"/instances/{instance}")).json()

    assert status == 200
    assert before["version"] == 1
    assert {**preview, "moved": True} == done
    assert (done["before"], done["after"]) == (["Ask"], ["Query"])
    assert [each.partition(":")[0] for each in done["kept"]] == ["Ask"]
    assert detail["definition_digest"] == done["to_digest"]
    (record,) = detail["actions"]
    assert (record["by"], record["reason"], record["from_version"], record["to_version"]) == (
        "ada",
        "a better name",
        1,
        2,
    )


async def test_a_refusal_says_what_may_help(office: Office, tables: type[Tables]) -> None:
    """A version that it runs already, one that nobody has, a wrong name, a likely one."""
    instance = await waiting(office)

    same = await moved(office, instance)
    unknown = await moved(office, instance, version="77")
    publish(office, "Query")
    wrong = await moved(office, instance, renames={"Nobody": "Query"})

    assert (same[0], same[1]["code"]) == (409, "move_refused")
    assert "runs that version already" in same[1]["detail"]
    assert (unknown[0], unknown[1]["code"]) == (422, "version_unknown")
    assert wrong[0] == 409
    assert "Ask may be called Query" in str(wrong[1]["errors"])


async def test_a_step_on_a_worker_comes_first(office: Office, tables: type[Tables]) -> None:
    """It is told so; then it works."""
    instance = await waiting(office)
    publish(office, "Query")
    tables.busy = True
    status, problem = await moved(office, instance, renames={"Ask": "Query"})
    tables.busy = False

    assert (status, problem["code"]) == (409, "busy")
    assert (await moved(office, instance, renames={"Ask": "Query"}))[0] == 200


async def test_who_may_not_edit_may_not_move(office: Office, tables: type[Tables]) -> None:
    """A viewer sees the instance; an instance that nobody knows is not found."""
    instance = await waiting(office)
    publish(office, "Query")

    assert (await moved(office, instance, "vic"))[0] == 403
    assert (await moved(office, "nobody"))[0] == 404
