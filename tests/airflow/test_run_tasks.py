"""Airflow's tables after a run was made what the ledger says: versions, task instances, triggers, decisions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select

from cch.api.run_tasks import DatabaseTasks
from cch.errors import WrongUseError
from cch.operators.decision import DECISION_KEY
from cch.runtime.task_wishes import RunBusyError, RunGoneError, RunWish, TaskWish
from cch.triggers import REGION_TRIGGER
from tests.airflow.test_pinning import Desk, desk, digest_of_mark  # noqa: F401 - a fixture

pytestmark = [pytest.mark.hooks, pytest.mark.usefixtures("airflow_database")]


def set_state(run_id: str, task_id: str, state: str, **trigger: Any) -> str:
    """Let a task be in a state, with a trigger that has these arguments; the id of its task instance."""
    with create_session() as session:
        where = (TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
        ti = session.scalars(select(TaskInstance).where(*where)).one()
        ti.state = TaskInstanceState(state)
        if trigger:
            row = Trigger(REGION_TRIGGER, trigger)
            session.add(row)
            session.flush()
            ti.trigger_id = row.id
        return str(ti.id)


def look(run_id: str) -> dict[str, SimpleNamespace]:
    with create_session() as session:
        found = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id)).all()
        return {
            ti.task_id: SimpleNamespace(
                id=str(ti.id),
                state=str(ti.state) if ti.state else "",
                arguments=session.get(Trigger, ti.trigger_id).kwargs if ti.trigger_id else {},
            )
            for ti in found
        }


def decision(run_id: str, task_id: str) -> Any:
    with create_session() as session:
        where = (XComModel.run_id == run_id, XComModel.task_id == task_id, XComModel.key == DECISION_KEY)
        row = session.scalars(select(XComModel).where(*where)).one_or_none()
        return None if row is None else XComModel.deserialize_value(row)


@pytest.fixture
def waiting(desk: Desk) -> tuple[Desk, str, str]:  # noqa: F811 - the fixture
    """A run of A → B, whose A waits; the desk, the run, and the mark of the version before."""
    before = desk.publish("A", "B")
    run_id = desk.run()
    assert desk.round() == [run_id]
    return desk, run_id, before


def wish(mark: str, run_id: str, tasks: dict[str, TaskWish], **given: Any) -> RunWish:
    regions = {name: name for name in tasks}
    arguments = {"workflow_id": "pinned", "definition_digest": digest_of_mark(mark), "structure_digest": "s"}
    return RunWish(
        dag_id="pinned", run_id=run_id, version=mark, tasks=tasks, regions=regions, arguments=arguments, **given
    )


def test_what_waits_keeps_its_task_instance_and_gets_another_trigger(waiting: tuple[Desk, str, str]) -> None:
    """Tasks of the version appear, tasks that it has not go, and the scheduler goes on with it."""
    desk, run_id, _ = waiting  # noqa: F811
    was = set_state(run_id, "A", "deferred", region="A", definition_digest="old", conf={"k": 1})
    after = desk.publish("A", "New")
    tasks = {"A": TaskWish("run"), "New": TaskWish("open"), "E": TaskWish("open")}

    for _ in range(2):  # to repeat it changes nothing more
        DatabaseTasks().change("pinned", run_id, lambda: wish(after, run_id, tasks))

        found = look(run_id)
        assert found["A"].id == was
        assert found["A"].state == "deferred"
        assert found["A"].arguments["definition_digest"] == digest_of_mark(after)
        assert found["A"].arguments["conf"] == {"k": 1}
        assert (found["New"].state, "B" in found) == ("", False)
        assert desk.stand(run_id).mark == after
        assert desk.look() == [run_id]
        assert desk.stand(run_id).mark == after, "the scheduler leaves it there"


def test_a_task_that_waits_goes_on_under_another_id(waiting: tuple[Desk, str, str]) -> None:
    """The ledger knows by its task instance who has asked."""
    desk, run_id, _ = waiting  # noqa: F811
    was = set_state(run_id, "A", "deferred", region="A")
    after = desk.publish("Renamed", "B")
    tasks = {"Renamed": TaskWish("run"), "B": TaskWish("open"), "E": TaskWish("open")}

    DatabaseTasks().change("pinned", run_id, lambda: wish(after, run_id, tasks, renamed={"A": "Renamed"}))

    found = look(run_id)
    assert (found["Renamed"].id, found["Renamed"].state) == (was, "deferred")
    assert found["Renamed"].arguments["region"] == "Renamed"
    assert "A" not in found


def test_a_task_that_has_something_to_do_again_begins(waiting: tuple[Desk, str, str]) -> None:
    """It had succeeded; it begins with a new task instance, and those behind it are the scheduler's again."""
    desk, run_id, _ = waiting  # noqa: F811
    was = set_state(run_id, "A", "success")
    set_state(run_id, "B", "skipped")
    after = desk.publish("A", "B", "C")
    tasks = {"A": TaskWish("run"), "B": TaskWish("open"), "C": TaskWish("open"), "E": TaskWish("open")}

    DatabaseTasks().change("pinned", run_id, lambda: wish(after, run_id, tasks))

    found = look(run_id)
    assert found["A"].state == "deferred"
    assert found["A"].id > was
    assert found["B"].state == found["C"].state == ""


def test_what_is_over_is_told_to_airflow_with_its_decision(waiting: tuple[Desk, str, str]) -> None:
    """Also what another task had done before; Airflow skips what the decision does not name."""
    desk, run_id, _ = waiting  # noqa: F811
    set_state(run_id, "A", "success")
    set_state(run_id, "B", "deferred", region="B")
    after = desk.publish("A", "Between", "B")
    tasks = {
        "A": TaskWish("done", ()), "Between": TaskWish("done", ("B",)), "B": TaskWish("run"), "E": TaskWish("open"),
    }  # fmt: skip

    DatabaseTasks().change("pinned", run_id, lambda: wish(after, run_id, tasks))

    found = look(run_id)
    assert [found[name].state for name in ("A", "Between", "B")] == ["success", "success", "deferred"]
    assert decision(run_id, "A") == {"followed": []}
    assert decision(run_id, "Between") == {"followed": ["B"]}


def test_a_task_that_is_gone_and_has_a_history_is_shown_as_removed(waiting: tuple[Desk, str, str]) -> None:
    """Its log can be read on; its trigger is not needed any more."""
    desk, run_id, _ = waiting  # noqa: F811
    set_state(run_id, "A", "success")
    set_state(run_id, "B", "deferred", region="B")
    after = desk.publish("A", "C")
    tasks = {"A": TaskWish("done", ("C",)), "C": TaskWish("run"), "E": TaskWish("open")}

    DatabaseTasks().change("pinned", run_id, lambda: wish(after, run_id, tasks))

    found = look(run_id)
    assert (found["B"].state, found["B"].arguments) == ("removed", {})
    assert found["C"].state == "deferred"


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "restarting"])
def test_a_run_with_a_task_on_a_worker_is_left_alone(waiting: tuple[Desk, str, str], state: str) -> None:
    """Nobody is asked what it is to be."""
    _, run_id, _ = waiting
    set_state(run_id, "A", state)
    with pytest.raises(RunBusyError, match="A of"):
        DatabaseTasks().change("pinned", run_id, lambda: pytest.fail("it was asked"))


def test_what_fails_in_between_leaves_the_run_as_it_was(waiting: tuple[Desk, str, str]) -> None:
    """The ledger did not answer, or the version is not held."""
    _, run_id, before = waiting

    def refuse() -> RunWish:
        raise WrongUseError("not now")

    with pytest.raises(WrongUseError):
        DatabaseTasks().change("pinned", run_id, refuse)
    assert Desk.stand(run_id).mark == before
    with pytest.raises(WrongUseError, match="does not hold"):
        DatabaseTasks().change("pinned", run_id, lambda: wish("0" * 64, run_id, {}))


def test_a_run_that_has_ended_or_never_was_is_refused(waiting: tuple[Desk, str, str]) -> None:
    """With its state, if it has one."""
    _, run_id, _ = waiting
    with create_session() as session:
        session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one().state = DagRunState.FAILED
    with pytest.raises(RunGoneError, match="it is failed"):
        DatabaseTasks().change("pinned", run_id, lambda: None)
    with pytest.raises(RunGoneError, match="no live run nobody"):
        DatabaseTasks().change("pinned", "nobody", lambda: None)


def test_a_version_that_airflow_does_not_hold_is_stored_before(waiting: tuple[Desk, str, str]) -> None:
    """It was served, and no run has used it: then Airflow has forgotten it."""
    desk, run_id, before = waiting  # noqa: F811
    unused = desk.publish("A", "Unused")
    desk.publish("A", "Newest")
    set_state(run_id, "A", "deferred", region="A")

    DatabaseTasks().prepare("pinned", unused)
    tasks = {"A": TaskWish("run"), "Unused": TaskWish("open"), "E": TaskWish("open")}
    DatabaseTasks().change("pinned", run_id, lambda: wish(unused, run_id, tasks))

    assert desk.stand(run_id).mark == unused != before
    assert "Unused" in desk.stand(run_id).graph


def test_a_version_that_airflow_holds_is_not_compiled_again(
    waiting: tuple[Desk, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of instances are moved to it, one after the other."""
    _, _, before = waiting
    monkeypatch.setattr("cch.api.run_tasks.finding", lambda _: pytest.fail("it was looked for"))

    DatabaseTasks().prepare("pinned", before)


def test_where_airflow_does_not_pin_nothing_is_moved(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The reason is that of the probe."""
    mark = desk.publish("A")
    monkeypatch.setattr("cch.api.run_tasks.reason_against", lambda: "it is as it is")
    with pytest.raises(WrongUseError, match="it is as it is"):
        DatabaseTasks().prepare("pinned", mark)
