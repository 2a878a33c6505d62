"""A triggerer tells the process where triggers run which tasks of a run are still to come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, VariableResult
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select, update

from cch.scheduling import coming
from cch.scheduling.coming import install, to_come
from cch.settings import Settings
from cch.triggers.coming import Question, question_of, tasks_to_come
from tests.airflow.test_pinning import Desk, desk  # noqa: F401 - a fixture
from tests.airflow.test_run_tasks import look, set_state

pytestmark = [pytest.mark.hooks, pytest.mark.usefixtures("airflow_database")]


@pytest.fixture
def run_id(desk: Desk) -> Iterator[str]:  # noqa: F811 - the fixture
    """A run of A → B → E that runs."""
    desk.publish("A", "B")
    made = desk.run()
    assert desk.round() == [made]
    yield made
    _change(DagModel, DagModel.dag_id == "pinned", is_paused=False)


@pytest.fixture
def supervisor() -> Iterator[type[TriggerRunnerSupervisor]]:
    """Airflow's class, as it was before."""
    original = TriggerRunnerSupervisor._handle_request
    yield TriggerRunnerSupervisor
    TriggerRunnerSupervisor._handle_request = original  # type: ignore[method-assign]


def _change(model: Any, where: Any, **values: Any) -> None:
    with create_session() as session:
        session.execute(update(model).where(where).values(**values))


def clear(run_id: str, task_id: str) -> None:
    """As a person does in Airflow's UI."""
    with create_session() as session:
        where = (TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
        clear_task_instances(list(session.scalars(select(TaskInstance).where(*where))), session)


def test_a_task_that_airflow_has_not_touched_is_to_come(run_id: str) -> None:
    """Under the id that it will have; not one that was not asked for, nor one that is unknown."""
    found = to_come(Question("pinned", run_id, ("A", "B", "Nobody")))

    assert found == {name: look(run_id)[name].id for name in ("A", "B")}


@pytest.mark.parametrize("state", ["scheduled", "deferred", "success", "skipped", "failed", "removed"])
def test_a_task_with_a_state_is_not_to_come(run_id: str, state: str) -> None:
    """It has begun or ended, or a person has marked it."""
    set_state(run_id, "A", state)

    assert list(to_come(Question("pinned", run_id, ("A", "B")))) == ["B"]


@pytest.mark.parametrize("state", [DagRunState.QUEUED, DagRunState.SUCCESS, DagRunState.FAILED])
def test_of_a_run_that_does_not_run_nothing_is_to_come(run_id: str, state: DagRunState) -> None:
    """Airflow lets none of its tasks begin."""
    _change(DagRun, DagRun.run_id == run_id, state=state)

    assert to_come(Question("pinned", run_id, ("A", "B"))) == {}


def test_while_its_dag_is_paused_nothing_is_to_come(run_id: str) -> None:
    """A pause binds what runs ahead as it binds tasks."""
    _change(DagModel, DagModel.dag_id == "pinned", is_paused=True)

    assert to_come(Question("pinned", run_id, ("A", "B"))) == {}


def test_behind_a_task_that_was_cleared_nothing_is_to_come(run_id: str) -> None:
    """Clearing gives it another id, under which it has not left."""
    left = look(run_id)["A"].id
    set_state(run_id, "A", "success")
    asked = Question("pinned", run_id, ("B",), (("A", left),))
    assert list(to_come(asked)) == ["B"]

    clear(run_id, "A")

    assert look(run_id)["A"].id != left
    assert to_come(asked) == {}


def test_behind_a_task_that_the_run_does_not_have_nothing_is_to_come(run_id: str) -> None:
    """The instance was moved since: what its earlier tasks left says nothing about this run's."""
    assert to_come(Question("pinned", run_id, ("B",), (("Gone", "1"),))) == {}


def test_a_question_goes_through_a_variable_and_other_variables_stay_airflow_s(
    supervisor: type[TriggerRunnerSupervisor], run_id: str
) -> None:
    """Installed twice it answers once; what is not a question is Airflow's own."""
    passed: list[Any] = []
    supervisor._handle_request = lambda self, msg, log, req_id: passed.append(msg)  # type: ignore[method-assign]
    original = supervisor._handle_request
    supervisor._handle_request = coming._answering(original)  # type: ignore[method-assign]
    sent: list[Any] = []
    own = SimpleNamespace(send_msg=lambda answer, request_id, error: sent.append((answer, request_id, error)))

    for message in (GetVariable(key="colour"), GetVariable(key=Question("pinned", run_id, ("A",)).key)):
        supervisor._handle_request(own, message, None, 7)  # type: ignore[arg-type]

    assert [each.key for each in passed] == ["colour"]
    ((answer, request, error),) = sent
    assert (json.loads(answer.value), request, error) == ({"A": look(run_id)["A"].id}, 7, None)


def test_the_hook_is_installed_once(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """Also in a process where the plugin is loaded twice; a switch leaves it out."""
    assert install(Settings(run_ahead=False)) is False
    assert install(Settings()) is True
    installed = supervisor._handle_request
    assert install(Settings()) is True

    assert supervisor._handle_request is installed
    assert coming.HOOK.reason_against(Settings()) == ""


def test_a_database_that_fails_ends_no_triggerer(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is to come then, and the triggerer goes on with everybody else."""

    def fail(_: Question) -> Any:
        raise OSError("the database is gone")

    monkeypatch.setattr(coming, "to_come", fail)
    sent: list[Any] = []
    own = SimpleNamespace(send_msg=lambda answer, **_: sent.append(answer))

    coming._answering(supervisor._handle_request)(own, GetVariable(key=Question("d", "r", ("A",)).key), None, 1)

    assert [each.value for each in sent] == ["{}"]


@pytest.mark.parametrize("key", ["", "colour", "cch", "cch/tasks"])
def test_other_keys_are_no_questions(key: str) -> None:
    """Nor are messages without a key."""
    assert question_of(GetVariable(key=key)) is None
    assert question_of(SimpleNamespace()) is None


def test_a_question_survives_the_key() -> None:
    """Whatever characters a run's id has."""
    asked = Question("d", 'manual__2026/"ü"', ("A", "B__x"), (("Before", "0199-ü"),))

    assert question_of(GetVariable(key=asked.key)) == asked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (VariableResult(key="k", value='{"A": "1"}'), {"A": "1"}),
        (VariableResult(key="k", value="{}"), {}),
        (VariableResult(key="k", value=None), None),
        (ErrorResponse(), None),
    ],
)
def test_a_triggerer_that_answers_nothing_is_told_from_one_where_nothing_is_to_come(
    monkeypatch: pytest.MonkeyPatch, answer: Any, expected: dict[str, str] | None
) -> None:
    """Without the hook it looks for a Variable of that name, and finds none."""

    async def asend(message: Any) -> Any:
        assert question_of(message) == Question("d", "r", ("A",), (("B", "1"), ("C", "2")))
        return answer

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(asend=asend), raising=False)

    assert asyncio.run(tasks_to_come("d", "r", ["A"], {"C": "2", "B": "1"})) == expected
