"""What Airflow's own database knows and does: runs, their tasks, and the audit log. Blocking: call from a thread."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cch.definition.names import TAG
from cch.definition.version import parse_version
from cch.runtime.dispatch import RunRefused, RunState, StartRun
from cch.scheduling.pinning import reason_against
from cch.scheduling.probing import airflow_version
from cch.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One DAG run of ours."""

    dag_id: str
    dag_name: str
    run_id: str
    state: str
    conf: Mapping[str, Any]
    started: datetime
    ended: datetime | None
    deferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """One DAG of ours."""

    dag_id: str
    name: str
    description: str
    paused: bool
    owner: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One task instance of a run."""

    task_id: str
    state: str
    started: datetime | None
    ended: datetime | None


def root_path() -> str:
    """Path of Airflow's root, without the slash at its end: "" or, for example, ``/airflow``."""
    from airflow.api_fastapi.app import API_ROOT_PATH  # noqa: PLC0415

    path: str = API_ROOT_PATH
    return path.rstrip("/")


def dags(readable: Collection[str]) -> list[Dag]:
    """The workflows' DAGs among ``readable``."""
    from airflow.models.dag import DagModel, DagTag  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    wanted = (
        select(DagModel)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == TAG, DagModel.is_stale.is_(False))
    )
    with create_session() as session:
        return [
            Dag(
                dag_id=dag.dag_id,
                name=dag.dag_display_name or dag.dag_id,
                description=dag.description or "",
                paused=bool(dag.is_paused),
                owner=dag.owners or "",
                tags=tuple(sorted(tag.name for tag in dag.tags if tag.name != TAG)),
            )
            for dag in session.scalars(wanted)
            if dag.dag_id in readable and dag.dag_id != "cch_commands"
        ]


def _deferred_runs() -> Any:
    """Runs that have a task in the triggerer."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    return (
        select(TaskInstance.dag_id, TaskInstance.run_id).where(TaskInstance.state == "deferred").distinct().subquery()
    )


def counts(dag_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Runs by DAG and by state of instance (RUNNING, WAITING, SUCCEEDED, FAILED)."""
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import and_, func, select  # noqa: PLC0415

    deferred = _deferred_runs()
    waits = deferred.c.run_id.is_not(None)
    query = (
        select(DagRun.dag_id, DagRun.state, waits, func.count())
        .join(deferred, and_(deferred.c.dag_id == DagRun.dag_id, deferred.c.run_id == DagRun.run_id), isouter=True)
        .where(DagRun.dag_id.in_(dag_ids))
        .group_by(DagRun.dag_id, DagRun.state, waits)
    )
    found: dict[str, dict[str, int]] = {}
    with create_session() as session:
        for dag_id, state, waiting, number in session.execute(query):
            name = instance_state(str(state), deferred=bool(waiting))
            states = found.setdefault(dag_id, {})
            states[name] = states.get(name, 0) + number
    return found


def instance_state(state: str, *, deferred: bool) -> str:
    """The instance's state as far as Airflow's run tells it."""
    match state:
        case "success":
            return "SUCCEEDED"
        case "failed":
            return "FAILED"
        case "queued":
            return "PENDING"
        case _:
            return "WAITING" if deferred else "RUNNING"


def runs(
    dag_ids: Collection[str], *, limit: int, offset: int = 0, correlation: str = "", run_id: str = ""
) -> list[Run]:
    """Runs of these DAGs, newest first; ``correlation``: the beginning of the business key."""
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import String, and_, cast, select  # noqa: PLC0415

    deferred = _deferred_runs()
    query = (
        select(DagRun, deferred.c.run_id, DagModel.dag_display_name)
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .join(deferred, and_(deferred.c.dag_id == DagRun.dag_id, deferred.c.run_id == DagRun.run_id), isouter=True)
        .where(DagRun.dag_id.in_(dag_ids))
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
    )
    if run_id:
        query = query.where(DagRun.run_id == run_id)
    if correlation:
        # The text of the JSON column narrows it down in the database; the exact look is below.
        query = query.where(cast(DagRun.conf, String).contains(json.dumps(correlation)[1:-1], autoescape=True))
    with create_session() as session:
        rows = session.execute(query.limit(limit).offset(offset)).all()
        return [
            Run(
                dag_id=run.dag_id,
                dag_name=name or run.dag_id,
                run_id=run.run_id,
                state=str(run.state),
                conf=dict(run.conf or {}),
                started=run.queued_at or run.run_after,
                ended=run.end_date,
                deferred=waiting is not None,
            )
            for run, waiting, name in rows
        ]


def task_states(dag_id: str, run_id: str) -> list[TaskState]:
    """The task instances of a run."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    query = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    with create_session() as session:
        return [
            TaskState(task_id=task.task_id, state=str(task.state or ""), started=task.start_date, ended=task.end_date)
            for task in session.scalars(query)
        ]


class DatabaseRuns:
    """:class:`~cch.runtime.dispatch.Runs` in the API server's own process; ``user`` appears at the run."""

    def __init__(self, user: str) -> None:
        self._user = user

    def start(self, run: StartRun) -> RunRefused | None:
        from airflow.api.common.trigger_dag import trigger_dag  # noqa: PLC0415
        from airflow.exceptions import DagNotFound, DagRunAlreadyExists, ParamValidationError  # noqa: PLC0415
        from airflow.utils.types import DagRunTriggeredByType  # noqa: PLC0415
        from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

        try:
            trigger_dag(
                run.dag_id,
                triggered_by=DagRunTriggeredByType.REST_API,
                triggering_user_name=self._user,
                run_id=run.run_id,
                conf=dict(run.conf),
            )
        except (DagRunAlreadyExists, IntegrityError):  # the latter: somebody made it in the same moment
            return None
        except DagNotFound as error:
            return RunRefused(status=404, reason=str(error))
        except (ParamValidationError, ValueError) as error:
            return RunRefused(status=400, reason=str(error))
        return None

    def state(self, dag_id: str, run_id: str) -> RunState:
        found = runs([dag_id], limit=1, run_id=run_id)
        if not found:
            return "missing"
        return "success" if found[0].state == "success" else "failed" if found[0].state == "failed" else "running"

    def reason_against_pinning(self) -> str:
        return reason_against()

    def airflow(self) -> str:
        return airflow_version()

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        from cch.scheduling.hooks import reasons_against  # noqa: PLC0415 - loads the scheduler's and triggerer's code

        return reasons_against(settings)

    def pins(self, dag_id: str) -> bool:
        from airflow.models.dag import DagModel  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        with create_session() as session:
            mark = session.scalar(select(DagModel.bundle_version).where(DagModel.dag_id == dag_id))
        return parse_version(mark) is not None


def fail_run(dag_id: str, run_id: str) -> bool:
    """Set the run and its live tasks to failed, as "Mark as failed" does; False if there is no live run."""
    from airflow.api_fastapi.common.dagbag import create_dag_bag  # noqa: PLC0415
    from airflow.api_fastapi.core_api.datamodels.dag_run import DagRunMutableStates  # noqa: PLC0415
    from airflow.api_fastapi.core_api.services.public.dag_run import patch_dag_run_state  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from airflow.utils.state import State  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None or run.state in State.finished_dr_states:
            return False
        dag = create_dag_bag().get_dag_for_run(run, session=session)
        if dag is None:
            return False
        patch_dag_run_state(dag=dag, dag_run=run, state=DagRunMutableStates.FAILED, session=session)
    return True


def audit(user: str, event: str, *, dag_id: str = "", run_id: str = "", facts: Mapping[str, Any] | None = None) -> None:
    """One line in Airflow's audit log. ``facts`` are ids and states, never payloads."""
    from airflow.models.log import Log  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        session.add(
            Log(
                event=event,
                owner=user,
                owner_display_name=user,
                extra=json.dumps(dict(facts or {})),
                dag_id=dag_id or None,
                run_id=run_id or None,
            )
        )
