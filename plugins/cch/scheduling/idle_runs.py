"""Runs that only wait are left out of the scheduler's round.

The scheduler examines every running DagRun in turn, about 12 ms each, also those in which nothing can have changed
(docs/adr/0015). Here the query that chooses the runs of a round gets one more condition. Airflow's method stays as it
is; a run is left out only if it is one of ours, its unfinished tasks all wait in the triggerer or for their
predecessors, and no task of it has changed since it was last examined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import getsource
from typing import TYPE_CHECKING, Any

from cch.definition.names import TAG
from cch.scheduling.probing import Hook, Need, has_columns, mentions, takes, unwrapped
from cch.scheduling.replacing import replace
from cch.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import ORMExecuteState, Session

#: Databases whose arithmetic of times is known here.
_DATABASES = frozenset({"postgresql", "sqlite"})
#: A change may be committed after a run was examined that has an earlier time, and clocks of machines differ: a
#: changed run is examined once more after each of these times (s).
_LOOK_AGAIN = (2, 30)


def _later(column: Any, seconds: int, dialect: str) -> Any:
    """The column's time plus some seconds."""
    from sqlalchemy import Interval, func, literal  # noqa: PLC0415

    if dialect == "sqlite":  # has no intervals; times are texts there, and sort as such
        return func.strftime("%Y-%m-%d %H:%M:%f", column, f"+{seconds} seconds")
    # With a type of its own: by itself it would take the column's, which takes only times.
    return column + literal(timedelta(seconds=seconds), Interval)


def may_have_changed(now: datetime, full_look: timedelta, dialect: str) -> ColumnElement[bool]:
    """Condition on ``DagRun``: the scheduler has to examine it.

    ``full_look``: every run is examined that often whatever this condition says of it.
    """
    from airflow.models.dag import DagTag  # noqa: PLC0415 - only the scheduler needs Airflow's models
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from airflow.utils.state import State, TaskInstanceState  # noqa: PLC0415
    from sqlalchemy import and_, or_, select  # noqa: PLC0415

    looked, state, updated = DagRun.last_scheduling_decision, TaskInstance.state, TaskInstance.updated_at
    parked = (TaskInstanceState.DEFERRED, TaskInstanceState.AWAITING_INPUT)
    quiet = [*parked, *(finished for finished in State.finished if finished is not None)]
    lately = [
        and_(_later(updated, seconds, dialect) >= looked, updated <= now - timedelta(seconds=seconds))
        for seconds in _LOOK_AGAIN
    ]
    of_run = (TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id)
    busy = select(TaskInstance.id).where(
        *of_run, or_(and_(state.is_not(None), state.not_in(quiet)), updated >= looked, *lately)
    )
    waits = select(TaskInstance.id).where(*of_run, state.in_(parked))
    ours = select(DagTag.dag_id).where(DagTag.dag_id == DagRun.dag_id, DagTag.name == TAG)
    # It was a wrong clock that looked in the future: a change would not be seen until then.
    ahead = looked > now + timedelta(seconds=max(_LOOK_AGAIN))
    return or_(looked.is_(None), looked < now - full_look, ahead, ~ours.exists(), busy.exists(), ~waits.exists())


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _narrowed(session: Session, full_look: timedelta) -> Iterator[None]:
    """Within, a query for runs gets the condition too."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from sqlalchemy import event  # noqa: PLC0415

    condition = may_have_changed(_now(), full_look, session.get_bind().dialect.name)

    def narrow(state: ORMExecuteState) -> None:
        if state.is_select and state.bind_mapper is not None and state.bind_mapper.class_ is DagRun:
            statement: Any = state.statement
            state.statement = statement.where(condition)

    event.listen(session, "do_orm_execute", narrow)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", narrow)


def _runs_are_chosen_by_one_query() -> bool:
    """Airflow's method is called, without a database: it asks once, for runs, by way of the session that it gets."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from sqlalchemy import create_engine, event  # noqa: PLC0415
    from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData  # noqa: PLC0415
    from sqlalchemy.orm import Session  # noqa: PLC0415

    asked: list[Any] = []

    def answer(state: ORMExecuteState) -> Any:
        asked.append(state.bind_mapper.class_ if state.is_select and state.bind_mapper else None)
        return IteratorResult(SimpleResultMetaData(["DagRun"]), iter(()))

    with Session(create_engine("sqlite://")) as session:
        event.listen(session, "do_orm_execute", answer)
        found = list(unwrapped(DagRun.get_running_dag_runs_to_examine)(DagRun, session))
    return asked == [DagRun] and not found


def _the_condition_can_be_asked() -> bool:
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415

    for dialect in (postgresql.dialect(), sqlite.dialect()):  # type: ignore[no-untyped-call]
        may_have_changed(datetime.now(UTC), timedelta(minutes=1), dialect.name).compile(dialect=dialect)
    return True


def _changes_leave_their_time() -> bool:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

    updated = TaskInstance.__table__.c.updated_at
    return (
        updated.default is not None
        and updated.onupdate is not None
        and has_columns(DagRun, "last_scheduling_decision")
        and any("last_scheduling_decision" in line for line in getsource(DagRun.update_state).splitlines())
    )


def _the_database_is_known() -> bool:
    from airflow.configuration import conf  # noqa: PLC0415
    from sqlalchemy import make_url  # noqa: PLC0415

    # Whoever asks may have no database, and says nothing against the hook then.
    return make_url(conf.get_mandatory_value("database", "sql_alchemy_conn")).get_backend_name() != "mysql"


def _schedulers_ask_the_class() -> bool:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415

    asked = mentions(SchedulerJobRunner._do_scheduling, "get_running_dag_runs_to_examine")  # noqa: SLF001
    return asked and takes(DagRun.get_running_dag_runs_to_examine, "session")


HOOK = Hook(
    name="idle runs",
    switch="skip_idle_runs",
    without="runs that only wait are examined as ever",
    needs=(
        Need("the scheduler does not choose runs by the method that is changed", _schedulers_ask_the_class),
        Need("runs are not chosen by one query", _runs_are_chosen_by_one_query),
        Need("a table or a state that tells an idle run is another", _the_condition_can_be_asked),
        Need("a task or a run does not note when it changed or was examined", _changes_leave_their_time),
        Need("its database is MySQL, for which nobody has written the condition", _the_database_is_known),
    ),
)


def install(settings: Settings) -> bool:
    """Let the schedulers of this process leave idle runs out; whether they do. Does nothing the second time."""
    if not HOOK.may_be_installed(settings):
        return False
    from airflow.models.dagrun import DagRun  # noqa: PLC0415

    replace(
        DagRun,
        "get_running_dag_runs_to_examine",
        partial(_leaving_out, full_look=timedelta(seconds=settings.full_look_seconds)),
    )
    return True


def _leaving_out(original: Callable[..., Any], full_look: timedelta) -> Callable[..., Any]:
    def examine(session: Session) -> Any:
        if session.get_bind().dialect.name not in _DATABASES:
            return original(session=session)
        with _narrowed(session, full_look):
            return original(session=session)

    return examine
