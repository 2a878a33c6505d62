"""What needs no process is settled in the round that finds it, as Airflow would have settled it in several."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import delete, event, select

from cch.compiler.factory import DefinitionWarning, workflow_dags
from cch.operators.decision import DECISION_KEY, decision
from cch.scheduling import whole_rounds
from cch.scheduling.whole_rounds import MOST_LEVELS
from cch.settings import Settings
from tests.airflow.stored import store

pytestmark = pytest.mark.hooks

NODES = """entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: x#y, on_response: Check, on_failure: Log}
  Check: {type: condition, condition_on_key: status, branches: {SUCCESS: Mark, _default: Log}}
  Mark: {type: set_state, static_outputs: {stage: enriched}, on_success: Note}
  Note: {type: set_state, static_outputs: {more: 1}, on_success: Again}
  Again: {type: async_request, capability_id: x#y, on_response: Done, error_reply: failure}
  Log: {type: log_error, default_error_code: A, default_message: B, on_success: Failed}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
#: What each region says is followed after it.
GOES_ON = {"Ask": ["Check", "Mark"], "Again": ["Done"]}
GIVES_UP = {"Ask": ["Log"]}
AT_WORK = (TaskInstanceState.DEFERRED, TaskInstanceState.SCHEDULED)


def long_chain(nodes: int) -> str:
    """A wait, and so many instant nodes after it."""
    chain = "".join(
        f"  S{n}: {{type: set_state, static_outputs: {{a: 1}}, on_success: S{n + 1}}}\n" for n in range(nodes)
    )
    return (
        "entry_point: Ask\nnodes:\n  Ask: {type: async_request, capability_id: x#y, on_response: S0, error_reply:"
        f" failure}}\n{chain}  S{nodes}: {{type: end}}\n"
    )


@dataclass
class Scheduler:
    """The part of Airflow's scheduler that examines one run, called by hand."""

    dag_id: str
    run_id: str

    def round(self) -> None:
        with create_session() as session:
            run = self._run(session)
            run.dag = serialized(self.dag_id)
            tasks, _ = run.update_state(session=session, execute_callbacks=False)
            run.schedule_tis(tasks, session=session)

    def work(self, followed: Mapping[str, Sequence[str]]) -> None:
        """Triggerers and workers end what they have, and say what follows."""
        with create_session() as session:
            for task in session.scalars(select(TaskInstance).where(TaskInstance.run_id == self.run_id)):
                if task.state in AT_WORK:
                    task.state, task.trigger_id = TaskInstanceState.SUCCESS, None
                    value = decision(followed.get(task.task_id, ()))
                    XComModel.set(DECISION_KEY, value, dag_id=self.dag_id, task_id=task.task_id, run_id=self.run_id,
                                  session=session)  # fmt: skip

    def states(self) -> dict[str, str | None]:
        with create_session() as session:
            rows = session.scalars(select(TaskInstance).where(TaskInstance.run_id == self.run_id)).all()
            return {each.task_id: each.state and str(each.state) for each in rows}

    def state(self) -> str:
        with create_session() as session:
            return str(self._run(session).state)

    def _run(self, session: Any) -> DagRun:
        found = session.scalar(select(DagRun).where(DagRun.run_id == self.run_id))
        assert isinstance(found, DagRun)
        return found


def serialized(dag_id: str) -> Any:
    from airflow.models.serialized_dag import SerializedDagModel

    dag = SerializedDagModel.get_dag(dag_id)
    assert dag is not None
    return dag


Begin = Callable[..., Scheduler]


@pytest.fixture
def begin(airflow_database: None, definitions: Path) -> Iterator[Begin]:
    """Publishes a definition and begins a run of it."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    made: list[str] = []

    def start(nodes: str = NODES, *, tags: set[str] | None = None) -> Scheduler:
        workflow = f"rounds_{uuid.uuid4().hex[:8]}"
        made.append(workflow)
        (definitions / f"{workflow}.yaml").write_text(f"workflow_id: {workflow}\nworkflow_name: Rounds\n{nodes}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DefinitionWarning)
            dags = [dag for dag in workflow_dags() if dag.dag_id == workflow]
        for dag in dags:
            dag.tags = dag.tags if tags is None else tags
        store(dags)
        run_id = f"r-{uuid.uuid4().hex[:8]}"
        trigger_dag(workflow, triggered_by=DagRunTriggeredByType.UI, run_id=run_id)
        with create_session() as session:
            run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
            run.state, run.start_date = DagRunState.RUNNING, datetime.now(UTC)
        return Scheduler(workflow, run_id)

    yield start
    with create_session() as session:
        for model in (TaskInstance, DagRun, DagModel):
            session.execute(delete(model).where(model.dag_id.in_(made)))


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's method is there again afterwards."""
    name = "task_instance_scheduling_decisions"
    monkeypatch.setattr(DagRun, name, DagRun.__dict__[name])


def asked_by(act: Callable[[], None]) -> int:
    """How many statements the database gets."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        asked.append(text)

    with create_session() as session:
        engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(asked)


def rounds_to_the_end(scheduler: Scheduler, followed: Mapping[str, Sequence[str]]) -> int:
    """How many rounds the run takes until it has ended, if every task ends as soon as it has begun."""
    for number in range(1, 60):
        scheduler.round()
        if scheduler.state() != "running":
            return number
        scheduler.work(followed)
    raise AssertionError(scheduler.states())


@pytest.mark.parametrize(("followed", "most"), [(GOES_ON, 3), (GIVES_UP, 3)])
def test_a_run_ends_as_in_airflow_s_own_rounds(begin: Begin, followed: Mapping[str, Sequence[str]], most: int) -> None:
    """Every task has the state that it would have, also on the ways that are not taken; only the rounds are fewer."""
    by_itself = begin()
    usual = rounds_to_the_end(by_itself, followed)

    assert whole_rounds.install(Settings())
    ours = begin()
    rounds = rounds_to_the_end(ours, followed)

    assert ours.states() == by_itself.states()
    assert ours.state() == by_itself.state() == "success"
    assert rounds <= most < usual


def test_the_next_wait_begins_in_the_round_after_the_last(begin: Begin) -> None:
    """All that stands between the two is settled by then, and what is not taken is skipped."""
    assert whole_rounds.install(Settings())
    scheduler = begin()
    scheduler.round()
    first = scheduler.states()
    scheduler.work(GOES_ON)
    scheduler.round()

    assert {name for name, state in first.items() if state} == {"Ask"}
    states = scheduler.states()
    assert {states[name] for name in ("Ask", "Check", "Mark", "Note")} == {"success"}
    assert states["Log"] == "skipped"
    assert states["Again"] in {str(state) for state in AT_WORK}


def test_a_long_chain_takes_several_rounds(begin: Begin) -> None:
    """No run keeps the others waiting for longer than some levels take; Airflow itself settles one more."""
    assert whole_rounds.install(Settings())
    scheduler = begin(long_chain(3 * MOST_LEVELS))
    scheduler.round()
    scheduler.work({"Ask": ["S0"]})
    done = []
    for _ in range(4):
        scheduler.round()
        done.append(sum(state == "success" for name, state in scheduler.states().items() if name != "Ask"))

    a_round = MOST_LEVELS + 1
    assert done == [a_round, 2 * a_round, 3 * MOST_LEVELS + 1, 3 * MOST_LEVELS + 1]


def test_dags_of_others_are_none_of_our_business(begin: Begin) -> None:
    """What has not our tag is examined level by level, as ever."""
    assert whole_rounds.install(Settings())
    scheduler = begin(tags={"finance"})
    scheduler.round()
    scheduler.work(GOES_ON)
    scheduler.round()

    assert scheduler.states()["Mark"] is None


def test_a_wait_costs_no_second_look(begin: Begin) -> None:
    """Where nothing can be settled, a round asks the database what it asks without this."""
    scheduler = begin()
    scheduler.round()
    usual = asked_by(scheduler.round)

    assert whole_rounds.install(Settings())

    assert asked_by(scheduler.round) == usual


def test_it_is_switched_off_with_running_ahead() -> None:
    """One setting makes Airflow follow as fast as it does by itself."""
    assert not whole_rounds.install(Settings(run_ahead=False))


def test_an_airflow_that_decides_otherwise_keeps_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever operates it reads what is missing."""
    monkeypatch.setattr("airflow.models.dagrun.TISchedulingDecision._fields", ("tis",))

    assert "decides otherwise which tasks of a run are next" in whole_rounds.HOOK.reason_against(Settings())
    assert not whole_rounds.install(Settings())
