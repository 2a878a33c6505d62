"""The tasks that execute regions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.triggers.base import StartTriggerArgs

from cch.errors import CchError
from cch.operators.decision import DECISION_KEY, decision
from cch.runtime.region_task import RegionRef, RegionTask
from cch.triggers import REGION_TRIGGER

if TYPE_CHECKING:
    from cch.runtime.platform import Platform

T = TypeVar("T")

#: Characters of a branch key that Airflow is given to map over.
_LONGEST_KEY = 250


def _here(work: Callable[[Platform], Awaitable[T]]) -> T:
    """Run the work in this process, with a platform and a router of its own.

    :raises TaskDeferred: the instance is held; the task goes on where it was when it is released.
    """
    from cch.runtime.gating import HeldError  # noqa: PLC0415 - as below
    from cch.runtime.platform import open_platform  # noqa: PLC0415
    from cch.triggers.held import HeldTrigger  # noqa: PLC0415

    async def run() -> T:
        async with open_platform() as platform:
            platform.yields = not _runs_in_process()
            try:
                return await work(platform)
            finally:
                await platform.router.stop()

    try:
        return asyncio.run(run())
    except HeldError as held:
        raise TaskDeferred(trigger=HeldTrigger(instance=held.instance), method_name="go_on") from None


def _runs_in_process() -> bool:
    """Whether this is ``airflow dags test``, where no triggerer is needed (or there)."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms  # noqa: PLC0415

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), InProcessSupervisorComms)


class _RegionOperator(BaseOperator):
    """What all tasks of regions have.

    ``ref``: the arguments of a :class:`RegionRef`; plain values, because Airflow stores those of mapped tasks.
    """

    #: What Airflow shows as the kind of task; of a mapped one the class's.
    custom_operator_name = "item"

    def __init__(self, *, ref: Mapping[str, Any], shows: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ref = RegionRef(**ref)
        self.custom_operator_name = shows

    def _task(self, context: Any) -> RegionTask:
        ti, run = context["ti"], context["dag_run"]
        return RegionTask(
            **self.ref.arguments(), run_id=run.run_id, task_instance=str(ti.id), conf=dict(run.conf or {})
        )

    def _run_here(self, context: Any) -> None:
        from cch.runtime.execution import execute_region  # noqa: PLC0415 - not for who only parses the DAG file

        task = self._task(context)
        end = _here(lambda platform: execute_region(task, platform))
        if end.state == "failed":
            raise AirflowFailException(end.reason)
        if end.state == "skipped":
            raise AirflowSkipException(end.reason)
        if end.followed is not None:
            context["ti"].xcom_push(key=DECISION_KEY, value=decision(end.followed))

    def _defer(self, context: Any) -> None:
        """Defer to the trigger that ends the task; in ``airflow dags test`` do its work in place."""
        if _runs_in_process():
            self._run_here(context)
            return
        from cch.triggers.region import RegionTrigger  # noqa: PLC0415 - as above

        run = context["dag_run"]
        trigger = RegionTrigger(**self.ref.arguments(), run_id=run.run_id, conf=dict(run.conf or {}))
        raise TaskDeferred(trigger=trigger, method_name="execute_complete")

    def go_on(self, context: Any, event: Any = None) -> Any:  # noqa: ARG002 - it only says that it is time
        """Execute the task that was deferred because its instance was held."""
        return self.execute(context)

    def execute_complete(self, context: Any, event: Any = None) -> None:  # noqa: ARG002
        """Never reached by an item: the trigger ends it. Airflow wants the name of a method to resume at."""
        raise AirflowFailException(f"{self.task_id} was resumed on a worker, which it never asks for: {event!r}")


class CallOperator(_RegionOperator):
    """Executes a region that calls somebody's code, on a worker."""

    #: Airflow skips the tasks after this one that its decision does not name.
    inherits_from_skipmixin = True
    ui_color = "#dfe9fb"

    def execute(self, context: Any) -> None:
        """Run the region here and now.

        :raises AirflowFailException: a node failed and nothing handles it.
        :raises AirflowSkipException: nothing recorded leads here.
        """
        self._run_here(context)


class WaitOperator(_RegionOperator):
    """Executes a region that waits: starts in the triggerer and ends there, without any worker."""

    inherits_from_skipmixin = True
    start_from_trigger = True
    ui_color = "#fff3d6"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=REGION_TRIGGER,
            trigger_kwargs=self.ref.arguments(),
            next_method="execute_complete",
        )

    def execute(self, context: Any) -> None:
        """Only where Airflow cannot start from the trigger."""
        self._defer(context)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Execute the region here: the trigger has found that only a worker may (:mod:`cch.runtime.worker_calls`)."""
        self.log.info("not in the triggerer: %s", event)
        self._run_here(context)


class ListOperator(_RegionOperator):
    """Names the items of a map, over which Airflow maps the tasks that run them."""

    ui_color = "#dfe9fb"

    def execute(self, context: Any) -> list[str]:
        """The branch keys of the items.

        None are named if Airflow could not map them: the map's region then runs all items itself.

        :raises AirflowFailException: the instance or its definition is not as this task needs it.
        :raises AirflowSkipException: nothing recorded leads here.
        """
        from cch.runtime.execution import list_items  # noqa: PLC0415 - as above

        task = self._task(context)
        try:
            keys = _here(lambda platform: list_items(task, platform))
        except CchError as error:
            raise AirflowFailException(str(error)) from error
        if keys is None:
            raise AirflowSkipException("no recorded outcome of a predecessor chose this node")
        most = conf.getint("core", "max_map_length")
        if len(keys) > most:
            self.log.info("%d items are more than [core] max_map_length (%d): they run in one task", len(keys), most)
        elif not all(map(_is_plain, keys)):
            self.log.info("a branch key is no short, printable text: the items run in one task")
        else:
            return keys
        return []


def _is_plain(key: str) -> bool:
    """Whether every store and channel of Airflow's can hold the key."""
    return key.isprintable() and 0 < len(key) <= _LONGEST_KEY


class ItemOperator(_RegionOperator):
    """Runs the item of a map that has the branch key ``item``.

    Airflow starts no mapped task from its trigger, so a worker defers one that ``waits``; other items are done there.
    """

    ui_color = "#fff3d6"

    def __init__(self, *, item: str, waits: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item = item
        self.ref = replace(self.ref, item=item)
        self.waits = waits

    def execute(self, context: Any) -> None:
        """Run the item.

        :raises AirflowFailException: a node of the item failed and nothing handles it.
        """
        if self.waits:
            self._defer(context)
        else:
            self._run_here(context)
