"""A triggerer is told only of the task that waits, not of its whole DAG.

For every task that begins in a triggerer Airflow reads the serialised DAG from its database and sends it, with all its
tasks, to the process where triggers run: 105 KB of memory in either process for a DAG of 40 tasks, for every waiter,
until the trigger has begun (docs/adr/0018). When a triggerer with thousands of waiters starts, all of that is there
at once. Here the DAG is read once for each batch of triggers, and what is sent has the one task. Airflow's method
stays as it is, and triggers that are not ours are sent as ever.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cch.scheduling.tested import is_tested
from cch.triggers import REGION_TRIGGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cch.settings import Settings


def only(task_id: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The serialised DAG with this task alone; as it was, if its form is not the one that is known here."""
    try:
        dag = data["dag"]
        (task,) = (each for each in dag["tasks"] if each["__var"].get("task_id") == task_id)
        alone = {**task, "__var": {**task["__var"], "downstream_task_ids": []}}
        children = {name: child for name, child in dag["task_group"]["children"].items() if name == task_id}
        group = {**dag["task_group"], "children": children}
        kept = {name: value for name, value in dag.items() if name not in ("doc_md", "edge_info")}
    except (AttributeError, KeyError, TypeError, ValueError):
        return data
    return {**data, "dag": {**kept, "tasks": [alone], "task_group": group}}


class _Batch:
    """The DAGs of one batch of triggers: read once, and cut once for each task."""

    def __init__(self) -> None:
        #: A session forgets what nobody holds, and would read it again.
        self._held: dict[Any, Any] = {}
        self._alone: dict[tuple[Any, str], Mapping[str, Any]] = {}

    def hold(self, version: Any, session: Any) -> None:
        from airflow.models.dag_version import DagVersion  # noqa: PLC0415 - only a triggerer has Airflow's models
        from sqlalchemy.orm import joinedload  # noqa: PLC0415

        if version is not None and version not in self._held:
            options = [joinedload(DagVersion.serialized_dag)]
            self._held[version] = session.get(DagVersion, version, options=options)

    def alone(self, version: Any, task_id: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        key = (version, task_id)
        if key not in self._alone:
            self._alone[key] = only(task_id, data)
        return self._alone[key]


def install(settings: Settings) -> bool:
    """Let the triggerer of this process send less; whether it does. Does nothing the second time."""
    if not settings.lean_waiters or not is_tested("a triggerer's waiters take as much memory as ever"):
        return False
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415

    original = TriggerRunnerSupervisor._create_workload  # noqa: SLF001
    if getattr(original, "_cch", False):
        return True

    @functools.wraps(original)
    def create(self: Any, trigger: Any, dag_bag: Any, render_log_fname: Any, session: Any) -> Any:
        waiting = trigger.task_instance
        if waiting is None or trigger.classpath != REGION_TRIGGER:
            return original(self, trigger, dag_bag, render_log_fname, session)
        # Airflow makes a bag for each batch.
        batch: _Batch = vars(dag_bag).setdefault("_cch_batch", _Batch())
        version = waiting.dag_version_id
        batch.hold(version, session)
        workload = original(self, trigger, dag_bag, render_log_fname, session)
        if workload is not None and workload.dag_data:
            workload.dag_data = batch.alone(version, waiting.task_id, workload.dag_data)
        return workload

    create._cch = True  # type: ignore[attr-defined]  # noqa: SLF001
    TriggerRunnerSupervisor._create_workload = create  # noqa: SLF001
    return True
