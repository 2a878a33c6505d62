"""Answers triggers that ask which tasks of a run are still to come (:mod:`cch.triggers.coming`, docs/adr/0041)."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cch.scheduling.probing import Hook, Need, has_columns, mentions
from cch.scheduling.replacing import replace
from cch.triggers.coming import Question, question_of

if TYPE_CHECKING:
    from cch.settings import Settings

log = logging.getLogger(__name__)


def to_come(asked: Question) -> Mapping[str, str]:
    """Task → id of its task instance.

    None are to come of a run that does not run, while its DAG is paused, or if a task before them was cleared.
    """
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from airflow.utils.state import DagRunState  # noqa: PLC0415
    from sqlalchemy import and_, select  # noqa: PLC0415

    rests_on = dict(asked.rests_on)
    of_run = and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id)
    query = (
        select(TaskInstance.task_id, TaskInstance.id, TaskInstance.state)
        .join(DagRun, of_run)
        .join(DagModel, DagModel.dag_id == TaskInstance.dag_id)
        .where(
            TaskInstance.dag_id == asked.dag_id,
            TaskInstance.run_id == asked.run_id,
            TaskInstance.task_id.in_([*asked.task_ids, *rests_on]),
            TaskInstance.map_index == -1,
            DagRun.state == DagRunState.RUNNING,
            DagModel.is_paused.is_(False),
        )
    )
    with create_session() as session:
        found = {task_id: (str(task_instance), state) for task_id, task_instance, state in session.execute(query)}
    if any(found.get(task_id, ("",))[0] != left for task_id, left in rests_on.items()):
        return {}
    wanted = ((task_id, found[task_id]) for task_id in asked.task_ids if task_id in found)
    return {task_id: task_instance for task_id, (task_instance, state) in wanted if state is None}


def install(settings: Settings) -> bool:
    """Let the triggerer of this process answer; whether it does. Once is enough."""
    if not HOOK.may_be_installed(settings):
        return False
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415

    replace(TriggerRunnerSupervisor, "_handle_request", _answering)
    return True


def _answering(original: Callable[..., None]) -> Callable[..., None]:
    def handle(self: Any, msg: Any, log: Any, req_id: int) -> None:
        asked = question_of(msg)
        if asked is None:
            original(self, msg, log, req_id)
        else:
            self.send_msg(_answer(msg.key, asked), request_id=req_id, error=None)

    return handle


def _answer(key: str, asked: Question) -> Any:
    from airflow.sdk.execution_time.comms import VariableResult  # noqa: PLC0415

    try:
        found = to_come(asked)
    except Exception:
        log.exception("cannot read which tasks are to come")  # the triggerer serves all others
        found = {}
    return VariableResult(key=key, value=json.dumps(found))


def _messages_are_handled_one_by_one() -> bool:
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415

    handle = TriggerRunnerSupervisor._handle_request  # noqa: SLF001
    return list(inspect.signature(handle).parameters) == ["self", "msg", "log", "req_id"] and mentions(
        handle, "GetVariable", "send_msg"
    )


def _triggers_ask_for_variables() -> bool:
    from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import GetVariable, VariableResult  # noqa: PLC0415

    GetVariable(key="probe")
    VariableResult(key="probe", value="{}")
    return inspect.iscoroutinefunction(TriggerCommsDecoder.asend)


def _tasks_to_come_can_be_told() -> bool:
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

    return (
        has_columns(TaskInstance, "id", "dag_id", "run_id", "task_id", "map_index", "state")
        and has_columns(DagRun, "dag_id", "run_id", "state")
        and has_columns(DagModel, "dag_id", "is_paused")
    )


HOOK = Hook(
    name="tasks to come",
    switch="run_ahead",
    without="a region begins when Airflow lets its task begin, some seconds after the region before has left",
    needs=(
        Need("the messages of triggers are handled otherwise", _messages_are_handled_one_by_one),
        Need("triggers ask for Variables otherwise", _triggers_ask_for_variables),
        Need("tasks to come cannot be told from others", _tasks_to_come_can_be_told),
    ),
)
