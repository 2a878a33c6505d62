"""What a batch needs of Airflow, in the API server's own process. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cch.api import airflow_runs
from cch.api.run_tasks import DatabaseTasks
from cch.runtime.task_wishes import RunBusyError

if TYPE_CHECKING:
    from cch.ledger.records import Instance
    from cch.runtime.task_wishes import RunTasks, RunWish


class _PatientTasks(DatabaseTasks):
    """A database that is locked, or away for a moment, is as good as a step on a worker: it is tried again."""

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish], *, revive: bool = False) -> None:
        from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - slow to load

        try:
            super().change(dag_id, run_id, work, revive=revive)
        except OperationalError as error:
            raise RunBusyError(f"Airflow's database does not take the change: {error.orig}") from None


class DatabaseHands:
    """:class:`~cch.runtime.batch_actions.Hands` in Airflow's database."""

    def __init__(self) -> None:
        self.tasks: RunTasks = _PatientTasks()

    def fail_run(self, dag_id: str, run_id: str) -> None:
        airflow_runs.fail_run(dag_id, run_id)

    def audit(self, by: str, event: str, instance: Instance, facts: Mapping[str, Any]) -> None:
        airflow_runs.audit(by, event, dag_id=instance.workflow_id, run_id=instance.run_id, facts=facts)
