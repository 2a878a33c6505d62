"""Makes an Airflow run what the ledger says: one transaction, in which the run is locked. Blocking.

A task that waits keeps its task instance, because the ledger knows by it who has asked; its trigger begins anew, with
the arguments of the new version. Whatever has nothing to do is left to the scheduler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cch.errors import WrongUseError
from cch.operators.decision import DECISION_KEY, decision
from cch.runtime.task_wishes import RunBusyError, RunGoneError, RunWish, TaskWish
from cch.scheduling import rewriting
from cch.scheduling.absent import Wish
from cch.scheduling.pinning import reason_against
from cch.scheduling.placing import is_stored, place_run
from cch.scheduling.wishes import finding
from cch.settings import load_settings
from cch.triggers import REGION_TRIGGER

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: States of tasks that a worker has, or is about to get.
_BUSY = frozenset({"scheduled", "queued", "running", "restarting"})


class DatabaseTasks:
    """:class:`~cch.runtime.task_wishes.RunTasks` in Airflow's database."""

    def prepare(self, dag_id: str, version: str) -> None:
        from airflow.utils.session import create_session  # noqa: PLC0415 - Airflow's models are slow to load

        if reason := reason_against():
            raise WrongUseError(f"this Airflow does not keep runs on their versions: {reason}")
        if reason := rewriting.reason_against():
            raise WrongUseError(f"this Airflow's runs cannot be changed: {reason}")
        with create_session() as session:
            if is_stored(dag_id, version, session):  # as for all but the first of those that go there
                return
        finding(load_settings())(Wish(dag_id, version))

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish], *, revive: bool = False) -> None:
        from airflow.utils.session import create_session  # noqa: PLC0415 - Airflow's models are slow to load

        with create_session() as session:
            run = _locked(dag_id, run_id, session, ended=revive)
            busy = sorted(ti.task_id for ti in _tasks(run, session) if ti.state in _BUSY)
            if busy:
                raise RunBusyError(f"{', '.join(busy)} of {run_id} is on a worker: try again when it has ended")
            _Change(run, work(), session).make()


def _locked(dag_id: str, run_id: str, session: Session, *, ended: bool) -> DagRun:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.utils.state import State  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    query = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).with_for_update(of=DagRun)
    run = session.scalar(query)
    if run is None or (run.state not in State.unfinished_dr_states and not ended):
        raise RunGoneError(f"Airflow has no live run {run_id} of {dag_id}" + (f": it is {run.state}" if run else ""))
    return run


def _tasks(run: DagRun, session: Session) -> list[TaskInstance]:
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    of_run = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    return list(session.scalars(select(TaskInstance).where(*of_run).with_for_update(of=TaskInstance)))


class _Change:
    """One change of one run."""

    def __init__(self, run: DagRun, wish: RunWish, session: Session) -> None:
        self._run = run
        self._wish = wish
        self._session = session

    def make(self) -> None:
        self._rename()
        place_run(self._run, self._wish.version, self._session)
        dag = self._run.get_dag()
        scheduled: list[TaskInstance] = []
        for ti in _tasks(self._run, self._session):
            wish = self._wish.tasks.get(ti.task_id)
            if (ti.task_id, ti.map_index) in self._wish.items:
                self._run_item(ti)
            elif wish is None:
                self._set(ti, "removed")
            elif wish.wish == "done":
                self._done(ti, wish)
            elif wish.wish == "open":
                self._open(ti)
            elif wish.wish == "run":
                if ti.state != "deferred":
                    self._open(ti)
                    ti.task = dag.get_task(ti.task_id)
                    scheduled.append(ti)
                else:
                    self._begin_anew(ti)
        self._session.flush()
        if scheduled:
            self._run.schedule_tis(scheduled, session=self._session)
        self._run.last_scheduling_decision = None
        self._revive()

    def _revive(self) -> None:
        """A run that has ended goes on."""
        from airflow.utils.state import DagRunState, State  # noqa: PLC0415

        if self._run.state not in State.unfinished_dr_states:
            self._run.state = DagRunState.RUNNING
            self._run.end_date = None
            self._run.clear_number += 1

    def _rename(self) -> None:
        """Let tasks that wait go on under their new ids; they have left nothing behind that is named by the old one."""
        for ti in _tasks(self._run, self._session):
            if ti.state == "deferred" and (task_id := self._wish.renamed.get(ti.task_id)):
                self._forget(ti)
                ti.task_id = task_id
        self._session.flush()

    def _forget(self, ti: TaskInstance) -> None:
        from airflow.models.renderedtifields import RenderedTaskInstanceFields as Rendered  # noqa: PLC0415
        from sqlalchemy import delete  # noqa: PLC0415

        of_task = (Rendered.dag_id == ti.dag_id, Rendered.run_id == ti.run_id, Rendered.task_id == ti.task_id)
        self._session.execute(delete(Rendered).where(*of_task))

    def _set(self, ti: TaskInstance, state: str | None) -> None:
        from airflow.utils.state import TaskInstanceState  # noqa: PLC0415

        ti.trigger_id = None
        ti.state = TaskInstanceState(state) if state else None

    def _done(self, ti: TaskInstance, wish: TaskWish) -> None:
        from airflow.models.xcom import XComModel  # noqa: PLC0415

        if ti.state != "success":
            self._set(ti, "success")
            ti.start_date = ti.start_date or self._now()
            ti.end_date = self._now()
            ti.note = self._wish.note[:1000] or None
        if wish.followed is not None:
            XComModel.set(
                key=DECISION_KEY, value=decision(wish.followed), task_id=ti.task_id, dag_id=ti.dag_id,
                run_id=ti.run_id, map_index=ti.map_index, session=self._session,
            )  # fmt: skip

    def _run_item(self, ti: TaskInstance) -> None:
        """The item's task has something to do again; one that waits begins its trigger anew, with what it has."""
        if ti.state == "deferred" and (before := self._trigger(ti)) is not None:
            self._replace(ti, before, before.kwargs)
        else:
            self._open(ti)

    def _open(self, ti: TaskInstance) -> None:
        """The task has not run, as far as the scheduler can tell."""
        from airflow.models.taskinstance import clear_task_instances  # noqa: PLC0415

        if ti.state is not None:
            ti.trigger_id = None
            clear_task_instances([ti], self._session, dag_run_state=False)

    def _begin_anew(self, ti: TaskInstance) -> None:
        """A trigger with the arguments of the new version, for the same task instance."""
        before = self._trigger(ti)
        if before is None or before.classpath != REGION_TRIGGER:  # else it only waits for the end of a hold
            return
        region = {"region": self._wish.regions[ti.task_id]}
        self._replace(ti, before, {**before.kwargs, **self._wish.arguments, **region})

    def _trigger(self, ti: TaskInstance) -> Trigger | None:
        from airflow.models.trigger import Trigger  # noqa: PLC0415

        return self._session.get(Trigger, ti.trigger_id)

    def _replace(self, ti: TaskInstance, before: Trigger, arguments: Mapping[str, Any]) -> None:
        """Another trigger of the same kind, which a triggerer begins."""
        from airflow.models.trigger import Trigger  # noqa: PLC0415

        after = Trigger(before.classpath, dict(arguments), queue=before.queue)
        self._session.add(after)
        self._session.flush()
        ti.trigger_id = after.id

    @staticmethod
    def _now() -> datetime:
        return datetime.now(UTC)
