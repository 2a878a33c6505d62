"""The trigger that executes a waiting region from its first to its last moment."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from cch.runtime.ahead import MOST, Copies
from cch.runtime.execution import execute_region
from cch.runtime.platform import Ahead, Platform, shared_platform
from cch.runtime.region_task import RegionEnd, RegionRef, RegionTask
from cch.triggers import REGION_TRIGGER
from cch.triggers.coming import tasks_to_come
from cch.triggers.ending import end_task
from cch.triggers.pulse import quicken

log = logging.getLogger(__name__)

#: What Airflow's task instance has of the DAG and of the run; it stays in memory for as long as the trigger waits.
_LET_GO = ("task", "_ti_context_from_server")


class RegionTrigger(BaseTrigger):
    """Runs one region, or one item of its map, and ends its task; ``ref`` has the fields of a :class:`RegionRef`.

    A task that starts from its trigger gets ``run_id`` and ``conf`` from the run when Airflow renders templates;
    one that was deferred by a worker brings them.
    """

    def __init__(self, *, run_id: str = "", conf: Mapping[str, Any] | None = None, **ref: Any) -> None:
        super().__init__()
        self.ref = RegionRef(**ref)
        self.run_id = run_id
        self.conf = dict(conf or {})

    def serialize(self) -> tuple[str, dict[str, Any]]:
        run = {"run_id": self.run_id, "conf": self.conf} if self.run_id else {}
        return REGION_TRIGGER, {**self.ref.arguments(), **run}

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
        for part in _LET_GO:
            if hasattr(self.task_instance, part):
                setattr(self.task_instance, part, None)
        try:
            task = RegionTask(**self.ref.arguments(), run_id=self.run_id, task_instance=task_instance, conf=self.conf)
            platform = await shared_platform()
            end = await self._ahead(platform).taken_over(task_instance) or await execute_region(task, platform)
        except Exception as error:  # an exception would cost a worker process to fail the task
            log.exception("region could not be executed")
            end = RegionEnd(state="failed", reason=f"{type(error).__name__}: {error}")
        quicken()
        yield end_task(end)

    @staticmethod
    def _ahead(platform: Platform) -> Ahead:
        """What lets regions begin before their tasks, in the one process of a triggerer where triggers run."""
        if platform.ahead is None:
            platform.ahead = Copies(tasks_to_come, most=MOST if platform.settings.run_ahead else 0)
        return platform.ahead
