"""The trigger that executes a waiting region from its first to its last moment."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from cch.runtime.execution import RegionEnd, RegionTask, execute_region
from cch.runtime.platform import shared_platform
from cch.triggers import REGION_TRIGGER
from cch.triggers.ending import end_task

log = logging.getLogger(__name__)


class RegionTrigger(BaseTrigger):
    """Runs one region, or one item of its map, and ends its task.

    A task that starts from its trigger gets ``run_id`` and ``conf`` from the run when Airflow renders templates;
    one that was deferred by a worker brings them.
    """

    def __init__(
        self,
        *,
        workflow_id: str,
        region: str,
        definition_digest: str,
        structure_digest: str,
        run_id: str = "",
        conf: Mapping[str, Any] | None = None,
        item: str | None = None,
    ) -> None:
        super().__init__()
        self.workflow_id = workflow_id
        self.region = region
        self.definition_digest = definition_digest
        self.structure_digest = structure_digest
        self.run_id = run_id
        self.conf = dict(conf or {})
        self.item = item

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs: dict[str, Any] = {
            "workflow_id": self.workflow_id,
            "region": self.region,
            "definition_digest": self.definition_digest,
            "structure_digest": self.structure_digest,
        }
        if self.run_id:
            kwargs |= {"run_id": self.run_id, "conf": self.conf}
        if self.item is not None:
            kwargs["item"] = self.item
        return REGION_TRIGGER, kwargs

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:  # noqa: ARG002
        """Take what is needed of the run, and let go of the rest.

        There is nothing to render. The context and the task's copy of the whole DAG would otherwise stay in memory
        for as long as the trigger waits.
        """
        run = context["dag_run"]
        self.run_id = run.run_id
        self.conf = dict(run.conf or {})
        context.clear()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        task_instance = str(getattr(self.task_instance, "id", ""))
        if self.task_instance is not None and hasattr(self.task_instance, "task"):
            self.task_instance.task = None  # see render_template_fields
        try:
            platform = await shared_platform()
            end = await execute_region(
                RegionTask(
                    workflow_id=self.workflow_id,
                    region=self.region,
                    run_id=self.run_id,
                    task_instance=task_instance,
                    definition_digest=self.definition_digest,
                    structure_digest=self.structure_digest,
                    conf=self.conf,
                    item=self.item,
                ),
                platform,
            )
        except Exception as error:  # an exception would cost a worker process to fail the task
            log.exception("region could not be executed")
            end = RegionEnd(state="failed", reason=f"{type(error).__name__}: {error}")
        yield end_task(end)
