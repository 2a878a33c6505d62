"""What thousands of waiters cost a triggerer: what it receives for each, and what it looks at every second.

For every task that begins in a triggerer Airflow reads the serialised DAG from its database and sends it, with all its
tasks, to the process where triggers run (docs/adr/0018). Here the DAG is read once for each batch of triggers, and what
is sent has the one task. Every second Airflow reads the ids of all triggers and goes through all of them; here only if
one has come, gone or finished. Airflow's methods stay as they are, and triggers that are not ours are sent as ever.
"""

from __future__ import annotations

import functools
import heapq
import time
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cch.scheduling.tested import is_tested
from cch.triggers import REGION_TRIGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cch.settings import Settings

#: Largest number of triggers on their way to the process where they run; others follow a second later.
_AT_ONCE = 250
#: Seconds after which ids are read in any case: another set of ids may have the same count and sum.
_READ_EVERY = 10.0


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
    """A bag of DAGs for one batch of triggers: each is read once, and cut once for each task."""

    def __init__(self, bag: Any) -> None:
        self._bag = bag
        self._models: dict[Any, Any] = {}
        self._alone: dict[tuple[Any, str], Mapping[str, Any]] = {}

    def get_serialized_dag_model(self, version_id: Any, session: Any) -> Any:
        if version_id not in self._models:
            model = self._bag.get_serialized_dag_model(version_id=version_id, session=session)
            # What Airflow's own model makes anew at every look.
            self._models[version_id] = model and SimpleNamespace(dag=model.dag, data=model.data)
        return self._models[version_id]

    def alone(self, version: Any, task_id: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        key = (version, task_id)
        if key not in self._alone:
            self._alone[key] = only(task_id, data)
        return self._alone[key]


def install(settings: Settings) -> bool:
    """Let the triggerer of this process, and the one that it forks, do less; whether it does. Once is enough."""
    if not settings.lean_waiters or not is_tested("a triggerer's waiters take as much memory as ever"):
        return False
    from airflow.jobs import triggerer_job_runner  # noqa: PLC0415
    from airflow.jobs.triggerer_job_runner import TriggerRunner, TriggerRunnerSupervisor  # noqa: PLC0415
    from airflow.models.trigger import Trigger  # noqa: PLC0415

    _replace(TriggerRunnerSupervisor, "_create_workload", _sending_less)
    _replace(TriggerRunnerSupervisor, "build_trigger_workloads", _in_portions)
    _replace(TriggerRunner, "run_trigger", _saying_whose)
    _replace(TriggerRunner, "cleanup_finished_triggers", _looking_at_the_finished)
    _replace(Trigger, "ids_for_triggerer", _reading_changes)
    if not isinstance(triggerer_job_runner.greenback, _Portals):
        triggerer_job_runner.greenback = _Portals(triggerer_job_runner.greenback)
    return True


def _replace(owner: type, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
    original = getattr(owner, name)
    if not getattr(original, "_cch", False):
        replacement = functools.wraps(original)(make(original))
        replacement._cch = True  # type: ignore[attr-defined]  # noqa: SLF001
        of_class = isinstance(vars(owner)[name], classmethod)  # ``original`` is bound already
        setattr(owner, name, staticmethod(replacement) if of_class else replacement)


def _sending_less(original: Callable[..., Any]) -> Any:
    def create(self: Any, trigger: Any, dag_bag: Any, render_log_fname: Any, session: Any) -> Any:
        waiting = trigger.task_instance
        if waiting is None or trigger.classpath != REGION_TRIGGER:
            return original(self, trigger, dag_bag, render_log_fname, session)
        # Airflow makes a bag for each batch.
        batch: _Batch = vars(dag_bag).setdefault("_cch_batch", _Batch(dag_bag))
        workload = original(self, trigger, batch, render_log_fname, session)
        if workload is not None and workload.dag_data:
            workload.dag_data = batch.alone(waiting.dag_version_id, waiting.task_id, workload.dag_data)
        return workload

    return create


def _in_portions(original: Callable[..., Any]) -> Any:
    """Who begins with ten thousand at once has no time to report to the supervisor, and no memory to spare."""
    last = 0

    def build(self: Any, new_trigger_ids: set[int]) -> Any:
        nonlocal last
        room = max(0, _AT_ONCE - len(self.creating_triggers))
        # Airflow passes ids from which it makes no trigger on every call; they must not delay the others.
        chosen = heapq.nsmallest(room, new_trigger_ids, key=lambda number: (number <= last, number))
        if not chosen:
            return []
        last = chosen[-1]
        return original(self, set(chosen))

    return build


#: Whether the trigger that runs here is ours.
_ours: ContextVar[bool] = ContextVar("cch_ours", default=False)


def _saying_whose(original: Callable[..., Any]) -> Any:
    def run(self: Any, trigger_id: int, trigger: Any, *arguments: Any, **options: Any) -> Any:
        cls = type(trigger)
        _ours.set(f"{cls.__module__}.{cls.__qualname__}" == REGION_TRIGGER)  # its task gets a copy of this context
        return original(self, trigger_id, trigger, *arguments, **options)

    return run


class _Portals:
    """greenback, which lets code that cannot await call Airflow, at the price of a greenlet; ours has no such code."""

    def __init__(self, greenback: Any) -> None:
        self._greenback = greenback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._greenback, name)

    async def ensure_portal(self) -> None:
        if not _ours.get():
            await self._greenback.ensure_portal()


def _looking_at_the_finished(original: Callable[..., Any]) -> Any:
    """Airflow takes a round of its event loop for each trigger, every second, to see whether it has finished."""

    async def cleanup(self: Any) -> Any:
        finished = {number: each for number, each in self.triggers.items() if each["task"].done()}
        known = list(finished)
        seen = await original(SimpleNamespace(triggers=finished, log=self.log, failed_triggers=self.failed_triggers))
        for number in known:
            if number not in finished:  # Airflow has dropped it
                del self.triggers[number]
        return seen

    return cleanup


def _reading_changes(original: Callable[..., Any]) -> Any:
    """As a rule nothing has changed since a second ago."""
    remembered = _Remembered()

    def ids(*arguments: Any, session: Any = None, **options: Any) -> Any:
        from airflow.utils.session import create_session  # noqa: PLC0415

        if session is not None:
            return original(*arguments, session=session, **options)
        with create_session() as own:
            remembered.session, remembered.asked = own, repr((arguments, options))
            return original(*arguments, session=remembered, **options)

    return ids


class _Remembered:
    """A session, to a query of ids; reads them only if their count or sum has changed."""

    session: Any
    #: For whom ids are asked for.
    asked: str

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._known: object = None
        self._read = 0.0

    def scalars(self, query: Any) -> _Remembered:
        from sqlalchemy import func, select  # noqa: PLC0415

        inner = query.subquery()
        (number,) = inner.columns
        digest = self.session.execute(select(func.count(), func.sum(number)).select_from(inner)).one()
        known = (self.asked, *digest)
        if known != self._known or time.monotonic() - self._read > _READ_EVERY:
            self._ids, self._known, self._read = list(self.session.scalars(query)), known, time.monotonic()
        return self

    def all(self) -> list[int]:
        return self._ids
