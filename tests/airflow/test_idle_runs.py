"""Which runs the scheduler examines when idle ones are left out: Airflow's tables and query, one condition more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import insert, select, update

from cch.scheduling import idle_runs, probing
from cch.settings import Settings

pytestmark = pytest.mark.hooks

NOW = datetime.now(UTC)
LOOKED = NOW - timedelta(minutes=2)
BEFORE = LOOKED - timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _installed(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from airflow.models.dag import DagModel

    monkeypatch.setattr(DagRun, "get_running_dag_runs_to_examine", DagRun.__dict__["get_running_dag_runs_to_examine"])
    monkeypatch.setattr(DagRun, "DEFAULT_DAGRUNS_TO_EXAMINE", 1000)
    # These tests may begin half an hour after this file was read.
    monkeypatch.setattr(idle_runs, "_now", lambda: NOW)
    assert idle_runs.install(Settings())
    yield
    with create_session() as session:
        for model in (TaskInstance, DagRun, DagModel):
            session.query(model).filter(model.dag_id.like("idle-%")).delete(synchronize_session=False)


def made(
    *states: str | None,
    looked: datetime | None = LOOKED,
    updated: datetime = BEFORE,
    tag: str = "cch",
    run_state: str = "running",
) -> str:
    """A run whose tasks are in these states; its id."""
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    name = f"idle-{uuid.uuid4().hex[:8]}"
    with create_session() as session:
        if session.get(DagBundleModel, "dags-folder") is None:
            session.add(DagBundleModel(name="dags-folder"))
            session.flush()
        session.add(DagModel(dag_id=name, bundle_name="dags-folder", is_paused=False, is_stale=False))
        session.flush()
        if tag:
            session.add(DagTag(name=tag, dag_id=name))
        run = DagRun(dag_id=name, run_id=name, run_type=DagRunType.MANUAL, run_after=BEFORE, state=run_state,
                     triggered_by=DagRunTriggeredByType.TEST)  # fmt: skip
        session.add(run)
        session.flush()
        session.execute(update(DagRun).where(DagRun.id == run.id).values(last_scheduling_decision=looked))
        for number, state in enumerate(states):
            values: dict[str, Any] = {
                "id": uuid.uuid4(), "task_id": f"t{number}", "dag_id": name, "run_id": name, "map_index": -1,
                "state": state, "updated_at": updated, "pool": "default_pool", "pool_slots": 1, "try_number": 1,
                "max_tries": 0, "priority_weight": 1, "queue": "default", "custom_operator_name": "",
                "executor_config": {},
            }  # fmt: skip
            session.execute(insert(TaskInstance).values(**values))
    return name


def examined() -> set[str]:
    with create_session() as session:
        return {run.run_id for run in DagRun.get_running_dag_runs_to_examine(session=session)}


def test_a_run_that_only_waits_is_left_out() -> None:
    """Its tasks are done, deferred, or have not begun, and none has changed since it was examined."""
    waiting = made("success", "skipped", "deferred", None)
    asking = made("success", "awaiting_input", None)

    assert not {waiting, asking} & examined()


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "up_for_retry", "up_for_reschedule", "restarting"])
def test_a_run_with_anything_else_under_way_is_examined(state: str) -> None:
    """A retry or a reschedule falls due without any change."""
    assert made("deferred", state) in examined()


def test_a_run_that_waits_for_nothing_is_examined() -> None:
    """It must end, or something in it must begin."""
    assert {made("success", None), made("success", "success"), made()} <= examined()


def test_a_run_that_was_never_examined_is_examined() -> None:
    """A new one, and one that somebody cleared."""
    assert made("deferred", looked=None) in examined()


def test_a_change_is_seen_at_once() -> None:
    """The trigger has ended its task, or a person has marked one."""
    assert made("success", "deferred", updated=LOOKED + timedelta(milliseconds=5)) in examined()


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_change_that_seems_older_than_the_look_is_looked_at_again(seconds: int) -> None:
    """It was committed late, or the clocks of two machines differ."""
    assert made("success", "deferred", updated=LOOKED - timedelta(seconds=seconds)) in examined()


def test_a_run_is_not_examined_over_and_over_because_it_changed() -> None:
    """Between the looks that make sure, it costs nothing."""
    assert made("success", "deferred", looked=NOW, updated=NOW - timedelta(seconds=10)) not in examined()


def test_every_run_is_examined_within_the_period_of_the_full_look() -> None:
    """The limit for a whole run, and whatever this condition does not know of."""
    assert made("deferred", looked=NOW - timedelta(minutes=11), updated=BEFORE - timedelta(hours=1)) in examined()


def test_a_look_in_the_future_does_not_count() -> None:
    """A scheduler's clock was wrong for a while; a few seconds are nothing."""
    assert made("deferred", looked=NOW + timedelta(hours=1)) in examined()
    assert made("deferred", looked=NOW + timedelta(seconds=5)) not in examined()


def test_dags_of_others_are_none_of_our_business() -> None:
    """Also if they wait in the triggerer."""
    assert {made("deferred", tag=""), made("deferred", tag="finance")} <= examined()


def test_airflow_s_own_conditions_hold() -> None:
    """Only running runs, in Airflow's order, no more than it asks for."""
    queued = made("scheduled", run_state="queued")
    late, early = made("scheduled", looked=LOOKED), made("scheduled", looked=BEFORE)
    with create_session() as session:
        found = [run.run_id for run in DagRun.get_running_dag_runs_to_examine(session=session)]

    assert queued not in found
    assert found.index(early) < found.index(late)


def test_other_queries_for_runs_are_left_alone() -> None:
    """The condition is there only while the scheduler asks."""
    waiting = made("success", "deferred")
    examined()

    with create_session() as session:
        assert session.query(DagRun).filter(DagRun.run_id == waiting).one()


def test_postgresql_takes_the_condition() -> None:
    """Airflow's type for times refuses anything else; the condition adds seconds to one."""
    from sqlalchemy.dialects import postgresql

    condition = idle_runs.may_have_changed(NOW, timedelta(minutes=10), "postgresql")
    compiled = condition.compile(dialect=postgresql.dialect(), compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()

    for name, process in compiled._bind_processors.items():
        if name in values:
            process(values[name])
    assert {timedelta(seconds=seconds) for seconds in idle_runs._LOOK_AGAIN} <= {
        value for value in values.values() if isinstance(value, timedelta)
    }


def test_a_database_that_is_not_known_is_asked_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that MySQL cannot compute would stop every scheduler."""
    monkeypatch.setattr(idle_runs, "_DATABASES", frozenset({"postgresql"}))

    assert made("deferred") in examined()


def test_an_airflow_that_nobody_tested_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number decides nothing: it has what is needed."""
    monkeypatch.setattr("airflow.__version__", "3.9.0")

    assert idle_runs.install(Settings())


@pytest.mark.parametrize(
    ("path", "other", "words"),
    [
        ("airflow.models.dagrun.DagRun.get_running_dag_runs_to_examine",
         classmethod(lambda cls, session: session.scalars(select(TaskInstance))), "not chosen by one query"),
        ("airflow.models.dagrun.DagRun.get_running_dag_runs_to_examine",
         classmethod(lambda cls, session: [session.scalars(select(DagRun)) for _ in "ab"]), "not chosen by one query"),
        ("airflow.models.dagrun.DagRun.get_running_dag_runs_to_examine",
         classmethod(lambda cls, session, team: session.scalars(select(DagRun))), "by the method that is changed"),
        ("airflow.jobs.scheduler_job_runner.SchedulerJobRunner._do_scheduling",
         lambda self, session: 0, "by the method that is changed"),
        ("airflow.models.taskinstance.TaskInstance.updated_at", None, "tells an idle run is another"),
        ("airflow.models.dagrun.DagRun.update_state", lambda self: None, "does not note when"),
    ],
)  # fmt: skip
def test_an_airflow_that_works_otherwise_is_left_alone(
    path: str, other: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its number; a sentence in the log says what is missing."""
    said: list[str] = []
    monkeypatch.setattr(path, other)
    monkeypatch.setattr(probing.log, "warning", lambda text, *values: said.append(text % values))

    assert not idle_runs.install(Settings())
    assert "runs that only wait are examined as ever" in said[0]
    assert words in said[0]


def test_a_database_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cch doctor` must not call something active that would change nothing."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "mysql+mysqldb://airflow@localhost/airflow")

    assert "its database is MySQL" in idle_runs.HOOK.reason_against(Settings())


def test_it_can_be_switched_off() -> None:
    """Then nothing is changed."""
    assert not idle_runs.install(Settings(skip_idle_runs=False))


def test_the_condition_can_be_sent_to_postgresql() -> None:
    """What SQLite takes as text is a time and an interval there: every value binds as its type."""
    from sqlalchemy import select
    from sqlalchemy.dialects import postgresql

    condition = idle_runs.may_have_changed(NOW, timedelta(minutes=10), "postgresql")
    query = select(DagRun.id).where(condition)

    text = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))

    assert "task_instance.updated_at + make_interval(secs=>2.0) >= dag_run.last_scheduling_decision" in text
