"""What moving and mending instances needs of Airflow, whose tables they change (:mod:`cch.api.run_tasks`)."""

from __future__ import annotations

import functools

from cch.scheduling.probing import Hook, Need, has_columns, takes
from cch.settings import Settings


def _tasks_can_be_opened() -> bool:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415 - only an API server needs Airflow's models
    from airflow.models.taskinstance import TaskInstance, clear_task_instances  # noqa: PLC0415

    return (
        takes(clear_task_instances, "tis", "session", "dag_run_state")
        and takes(DagRun.schedule_tis, "schedulable_tis", "session")
        and has_columns(TaskInstance, "trigger_id", "state", "start_date", "end_date")
        and has_columns(DagRun, "last_scheduling_decision", "clear_number", "end_date")
    )


def _decisions_can_be_written() -> bool:
    from airflow.models.xcom import XComModel  # noqa: PLC0415

    return takes(XComModel.set, "key", "value", "task_id", "dag_id", "run_id", "map_index", "session")


def _triggers_can_be_replaced() -> bool:
    from airflow.models.trigger import Trigger  # noqa: PLC0415

    return takes(Trigger.__init__, "classpath", "kwargs", "queue") and isinstance(Trigger.kwargs, property)


def _tasks_can_be_renamed() -> bool:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields  # noqa: PLC0415

    return has_columns(RenderedTaskInstanceFields, "dag_id", "run_id", "task_id")


HOOK = Hook(
    name="run changes",
    without="instances cannot be moved or mended",
    needs=(
        Need("a task cannot be opened or scheduled", _tasks_can_be_opened),
        Need("a task's decision cannot be written", _decisions_can_be_written),
        Need("a trigger cannot be replaced", _triggers_can_be_replaced),
        Need("a task cannot be renamed", _tasks_can_be_renamed),
    ),
)


@functools.cache
def reason_against() -> str:
    """Why Airflow's tables cannot be changed here; "" if they can."""
    return HOOK.reason_against(Settings())
