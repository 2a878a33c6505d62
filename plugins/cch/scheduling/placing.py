"""In the scheduler: every run of ours is on its version, before it begins and for as long as it lives.

Airflow pins a run when it creates it (:mod:`cch.scheduling.marking`). Here runs from before that are adopted, a run
that names a version is put on it, and a run that somebody moved with *clear with the latest version* is put back: its
instance would go on by a graph that knows nothing of its tokens. Airflow's two methods that choose the runs of a round
stay as they are; what they return is looked at before the scheduler sees it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cch.definition.names import TAG
from cch.definition.version import Version, parse_version
from cch.errors import WrongUseError
from cch.runtime.run_conf import CONF_DIGEST, CONF_VERSION
from cch.scheduling.absent import AbsentVersions, Wish
from cch.scheduling.marking import version_of_dag
from cch.scheduling.pinning import may_pin
from cch.scheduling.replacing import replace

if TYPE_CHECKING:
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from cch.settings import Settings

log = logging.getLogger(__name__)

#: Unpinned runs are looked for this often (s): of a release before this one, or made by a process that does not mark.
_ADOPT_EVERY = 60.0
#: Runs that wait for their version are looked at this often (s): there may be thousands while S3 is away.
_LOOK_AGAIN = 2.0
#: Versions whose tasks are remembered.
_REMEMBERED = 512


def install(settings: Settings) -> bool:
    """Let the scheduler of this process look after versions; whether it does. Once is enough."""
    if not may_pin("no run is put on a version"):
        return False
    from airflow.models.dagrun import DagRun  # noqa: PLC0415 - only the scheduler needs Airflow's models

    from cch.scheduling.wishes import finding  # noqa: PLC0415 - loads what compiles definitions

    chosen = partial(_chosen, placing=Placing(AbsentVersions(finding(settings))))
    for method in ("get_queued_dag_runs_to_set_running", "get_running_dag_runs_to_examine"):
        replace(DagRun, method, chosen, mark="_cch_versions")
    return True


def _chosen(original: Callable[..., Iterable[DagRun]], placing: Placing) -> Callable[..., list[DagRun]]:
    def choose(session: Session) -> list[DagRun]:
        return placing.settled(lambda: original(session=session), session)

    return choose


class Placing:
    """What is done with the runs of a scheduler's round."""

    def __init__(self, absent: AbsentVersions, clock: Callable[[], float] = time.monotonic) -> None:
        self._absent = absent
        self._clock = clock
        self._adopted = self._looked = float("-inf")
        #: Runs whose version Airflow does not hold yet; they are left out, so that others get their places.
        self._waiting: set[int] = set()
        self._task_ids: dict[Any, frozenset[str]] = {}

    def settled(self, choose: Callable[[], Iterable[DagRun]], session: Session) -> list[DagRun]:
        """The runs that ``choose`` chooses, without those that are not on their version yet."""
        now = self._clock()
        if now - self._adopted >= _ADOPT_EVERY:
            self._adopted = now
            self._adopt(session)
        if now - self._looked >= _LOOK_AGAIN:
            self._looked = now
            self._waiting = {each for each in self._waiting if not self._settle_waiting(each, session)}
        with _without(self._waiting, session):
            runs = list(choose())
        ours = _ours({run.dag_id for run in runs}, session)
        rows = _rows({run.created_dag_version_id for run in runs if run.dag_id in ours}, session)
        settled = [run for run in runs if run.dag_id not in ours or self._settle(run, session)]
        del rows  # until here the session has had to ask for none of them again
        return settled

    def _adopt(self, session: Session) -> None:
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.utils.state import State  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        loose = select(DagRun).where(
            DagRun.state.in_(State.unfinished_dr_states), DagRun.bundle_version.is_(None), _is_ours(DagRun.dag_id)
        )
        for run in session.scalars(loose.with_for_update(of=DagRun, skip_locked=True)):
            self._settle(run, session)

    def _settle_waiting(self, run_id: int, session: Session) -> bool:
        """Whether a run need not be left out any more."""
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.utils.state import State  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        run = session.scalar(select(DagRun).where(DagRun.id == run_id).with_for_update(of=DagRun, skip_locked=True))
        return run is None or run.state not in State.unfinished_dr_states or self._settle(run, session)

    def _settle(self, run: DagRun, session: Session) -> bool:
        """Put the run on its version; False if it has to wait for that."""
        row = _row(run, session)
        has = _version_of_row(row, session)
        if row is None or has is None:
            return True  # a placeholder, the dispatcher's DAG, or a run without a version of its DAG
        conf = run.conf or {}
        name = str(conf.get(CONF_VERSION) or conf.get(CONF_DIGEST) or has)
        wanted = parse_version(name)
        # A run that began unpinned has been given the tasks that Airflow served since: those are of its structure.
        adopted = run.start_date is not None and run.bundle_version is None
        if adopted or (wanted is not None and wanted.means(has)):
            self._agree(run, row, has, session)
            return True
        target = self._target(run, name, wanted, session)
        if target is None:
            return False
        if run.start_date is not None:
            log.warning("%s of %s is put back on its version: its instance runs by that", run.run_id, run.dag_id)
        place(run, target, session)
        return True

    def _target(self, run: DagRun, name: str, wanted: Version | None, session: Session) -> DagVersion | None:
        """The row of the version that the run names; None if the run has to wait for it, or cannot begin."""
        if wanted is None or (found := _held(run.dag_id, wanted, session)) is None:
            answer = self._absent.take(Wish(run.dag_id, name))
            if answer is not None and answer.refusal and run.start_date is None:
                _refuse(run, answer.refusal)
                return None
            version = answer.version if answer is not None else None
            found = _held(run.dag_id, version, session) if version is not None else None
        if found is None:
            self._waiting.add(run.id)
        return found

    def _agree(self, run: DagRun, row: DagVersion, has: Version, session: Session) -> None:
        """What was read at different moments when the run was created must be of one version."""
        if row.bundle_version is None:
            row.bundle_version = str(has)  # stored before DAGs were marked
        if run.bundle_version is None:
            log.info("%s of %s is pinned to version %s", run.run_id, run.dag_id, row.bundle_version)
        new = (run.conf or {}).get(CONF_VERSION) != row.bundle_version
        if new:
            run.conf = {**(run.conf or {}), CONF_VERSION: row.bundle_version}
        if run.bundle_version != row.bundle_version:
            run.bundle_version = row.bundle_version
        if new and run.start_date is None and self._has_other_tasks(run, row, session):
            place(run, row, session)

    def _has_other_tasks(self, run: DagRun, row: DagVersion, session: Session) -> bool:
        """Whether another version made the tasks of a run that has not begun."""
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        of_run = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        found = session.execute(select(TaskInstance.task_id, TaskInstance.dag_version_id).where(*of_run)).all()
        return {version for _, version in found} != {row.id} or {task for task, _ in found} != self._tasks(row, session)

    def _tasks(self, row: DagVersion, session: Session) -> frozenset[str]:
        """The tasks of a version that has runs: they never change."""
        if row.id not in self._task_ids:
            dag = _dag(row, session)
            self._task_ids[row.id] = frozenset(dag.task_ids if dag else ())
            while len(self._task_ids) > _REMEMBERED:
                self._task_ids.pop(next(iter(self._task_ids)))
        return self._task_ids[row.id]


def _dag(row: DagVersion, session: Session) -> Any:
    from airflow.models.dagbag import DBDagBag  # noqa: PLC0415

    return DBDagBag(load_op_links=False).get_dag(row.id, session=session)


def is_stored(dag_id: str, version: str, session: Session) -> bool:
    """Whether Airflow holds a version of a DAG: ``version`` as it is stored."""
    wanted = parse_version(version)
    return wanted is not None and _held(dag_id, wanted, session) is not None


def place_run(run: DagRun, version: str, session: Session) -> None:
    """Put a live run on a version that Airflow holds.

    :raises WrongUseError: Airflow does not hold it.
    """
    wanted = parse_version(version)
    row = _held(run.dag_id, wanted, session) if wanted is not None else None
    if row is None:
        raise WrongUseError(f"Airflow does not hold version {version} of {run.dag_id}")
    place(run, row, session)


def place(run: DagRun, row: DagVersion, session: Session) -> None:
    """Put a run on a version of its DAG: tasks that only another version has go, if they have not begun."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from sqlalchemy import delete, update  # noqa: PLC0415

    dag = _dag(row, session)
    if dag is None:
        log.error("version %s of %s has no serialized DAG", row.bundle_version, run.dag_id)
        return
    run.created_dag_version_id, run.bundle_version, run.dag = row.id, row.bundle_version, dag
    run.conf = {**(run.conf or {}), CONF_VERSION: row.bundle_version}
    of_run = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    gone = (TaskInstance.state.is_(None), TaskInstance.task_id.not_in(dag.task_ids))
    session.execute(delete(TaskInstance).where(*of_run, *gone).execution_options(synchronize_session="fetch"))
    session.execute(
        update(TaskInstance).where(*of_run).values(dag_version_id=row.id).execution_options(synchronize_session="fetch")
    )
    session.flush()
    session.expire(run, ["task_instances"])
    run.verify_integrity(session=session, dag_version_id=row.id)
    log.info("%s of %s is on version %s", run.run_id, run.dag_id, row.bundle_version)


def _refuse(run: DagRun, reason: str) -> None:
    from airflow.utils.state import DagRunState  # noqa: PLC0415

    log.warning("%s of %s cannot begin: %s", run.run_id, run.dag_id, reason)
    run.note = f"This run cannot begin: {reason}"[:1000]
    run.state = DagRunState.FAILED


def _is_ours(dag_id: Any) -> Any:
    from airflow.models.dag import DagTag  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    return select(DagTag.dag_id).where(DagTag.dag_id == dag_id, DagTag.name == TAG).exists()


def _ours(dag_ids: set[str], session: Session) -> set[str]:
    from airflow.models.dag import DagTag  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    if not dag_ids:
        return set()
    return set(session.scalars(select(DagTag.dag_id).where(DagTag.dag_id.in_(dag_ids), DagTag.name == TAG)))


def _rows(ids: set[Any], session: Session) -> list[DagVersion]:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    return list(session.scalars(select(DagVersion).where(DagVersion.id.in_(ids)))) if ids else []


def _row(run: DagRun, session: Session) -> DagVersion | None:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415

    return session.get(DagVersion, run.created_dag_version_id) if run.created_dag_version_id else None


def _version_of_row(row: DagVersion | None, session: Session) -> Version | None:
    """The version of a stored DAG: its mark, or what is in it if it was stored before DAGs were marked."""
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    if row is None or row.bundle_version is not None:
        return parse_version(row.bundle_version) if row is not None else None
    stored = session.scalar(select(SerializedDagModel).where(SerializedDagModel.dag_version_id == row.id))
    return version_of_dag(stored.data) if stored is not None else None


def _held(dag_id: str, version: Version, session: Session) -> DagVersion | None:
    """The newest row that Airflow holds of a version."""
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415
    from sqlalchemy import or_, select  # noqa: PLC0415

    mark = DagVersion.bundle_version
    fits = mark == str(version)
    if not version.reading_rules:
        fits = or_(fits, mark.startswith(f"{version.digest}."))
    query = select(DagVersion).where(DagVersion.dag_id == dag_id, fits)
    return session.scalar(query.order_by(DagVersion.version_number.desc()).limit(1))


@contextmanager
def _without(run_ids: set[int], session: Session) -> Iterator[None]:
    """Within, a query for runs does not find these."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from sqlalchemy import event  # noqa: PLC0415

    def narrow(state: Any) -> None:
        if state.is_select and state.bind_mapper is not None and state.bind_mapper.class_ is DagRun:
            state.statement = state.statement.where(DagRun.id.not_in(run_ids))

    if not run_ids:
        yield
        return
    event.listen(session, "do_orm_execute", narrow)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", narrow)
