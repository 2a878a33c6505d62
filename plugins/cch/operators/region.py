"""The tasks that execute regions."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.triggers.base import StartTriggerArgs

from cch.runtime.execution import RegionEnd, RegionTask, execute_region
from cch.runtime.platform import open_platform

#: Key under which Airflow looks for a branching decision (airflow.ti_deps.deps.not_previously_skipped_dep).
DECISION_KEY = "skipmixin_key"
_TRIGGER = "cch.triggers.region.RegionTrigger"


async def _execute_here(task: RegionTask) -> RegionEnd:
    async with open_platform() as platform:
        try:
            return await execute_region(task, platform)
        finally:
            await platform.router.stop()


def _runs_in_process() -> bool:
    """Whether this is ``airflow dags test``, where no triggerer is needed (or there)."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms  # noqa: PLC0415

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), InProcessSupervisorComms)


class CallOperator(BaseOperator):
    """Executes a region that calls somebody's code, on a worker."""

    #: Airflow skips the tasks after this one that its decision does not name.
    inherits_from_skipmixin = True
    ui_color = "#dfe9fb"

    def __init__(
        self,
        *,
        workflow_id: str,
        region: str,
        definition_digest: str,
        structure_digest: str,
        shows: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow_id = workflow_id
        self.region = region
        self.definition_digest = definition_digest
        self.structure_digest = structure_digest
        self.shows = shows

    @property
    def custom_operator_name(self) -> str:
        return self.shows

    def region_task(self, context: Any) -> RegionTask:
        ti, run = context["ti"], context["dag_run"]
        return RegionTask(
            workflow_id=self.workflow_id,
            region=self.region,
            run_id=run.run_id,
            task_instance=str(ti.id),
            definition_digest=self.definition_digest,
            structure_digest=self.structure_digest,
            conf=dict(run.conf or {}),
        )

    def execute(self, context: Any) -> None:
        """Run the region here and now.

        :raises AirflowFailException: a node failed and nothing handles it.
        :raises AirflowSkipException: nothing recorded leads here.
        """
        end = asyncio.run(_execute_here(self.region_task(context)))
        if end.state == "failed":
            raise AirflowFailException(end.reason)
        if end.state == "skipped":
            raise AirflowSkipException(end.reason)
        context["ti"].xcom_push(key=DECISION_KEY, value={"followed": list(end.followed)})


class WaitOperator(CallOperator):
    """Executes a region that waits: starts in the triggerer and ends there, without any worker."""

    start_from_trigger = True
    ui_color = "#fff3d6"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=_TRIGGER,
            trigger_kwargs=self._trigger_kwargs(),
            next_method="execute_complete",
        )

    def _trigger_kwargs(self) -> dict[str, Any]:
        return {
            "workflow_id": self.workflow_id,
            "region": self.region,
            "definition_digest": self.definition_digest,
            "structure_digest": self.structure_digest,
        }

    def execute(self, context: Any) -> None:
        """Defer to the trigger that ends the task; in ``airflow dags test`` do its work in place."""
        if _runs_in_process():
            super().execute(context)
            return
        from cch.triggers.region import RegionTrigger  # noqa: PLC0415 - the trigger's module needs none of this one's

        run = context["dag_run"]
        trigger = RegionTrigger(**self._trigger_kwargs(), run_id=run.run_id, conf=dict(run.conf or {}))
        raise TaskDeferred(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Any, event: Any = None) -> None:  # noqa: ARG002
        """Never reached: the trigger ends the task. Airflow wants the name of a method to resume at."""
        raise AirflowFailException(f"{self.task_id} was resumed on a worker, which it never asks for: {event!r}")
