"""What thousands of waiters cost a triggerer: what it receives for each, and what it looks at every second.

For every task that begins in a triggerer Airflow reads the serialised DAG from its database and sends it, with all its
tasks, to the process where triggers run (docs/adr/0018). Here the DAG is read once for each batch of triggers, and what
is sent has the one task. Every second Airflow reads the ids of all triggers and goes through all of them; here only if
one has come, gone or finished. Airflow keeps the log of each trigger open, once it has a line; here the file is open
while a line is written. When a task succeeds in a triggerer, Airflow tells the DAG processor, which parses the
DAG's file and then does nothing; here it is not told. Airflow's methods stay as they are, and triggers that are not
ours are sent as ever.
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from cch.scheduling.lean_needs import FINISHED, HOOKS, IDS, LOGS, PORTALS, PORTIONS, SMALL_WORKLOADS, SUCCESSES, only
from cch.scheduling.replacing import replace
from cch.triggers import REGION_TRIGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cch.scheduling.probing import Hook
    from cch.settings import Settings

log = logging.getLogger(__name__)

#: Largest number of triggers on their way to the process where they run; others follow a second later.
_AT_ONCE = 500
#: Seconds after which ids are read in any case: another set of ids may have the same count and sum.
_READ_EVERY = 10.0
#: Seconds between two warnings that lines are lost.
_TELL_EVERY = 60.0


class _ReadOnce:
    """A stored DAG, with what Airflow's own model makes anew at every look."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.dag = model.dag
        self.data = model.data

    def __getattr__(self, name: str) -> Any:
        """Whatever else another Airflow reads."""
        return getattr(self._model, name)


class _Batch:
    """What is read for one batch of triggers: each DAG once, and cut once for each task."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self._read = read
        self._models: dict[Any, Any] = {}
        self._alone: dict[tuple[Any, str], Mapping[str, Any]] = {}
        #: The version that was read last: Airflow decides which one a trigger gets.
        self._version: Any = None

    def get_serialized_dag_model(self, version_id: Any, session: Any) -> Any:
        self._version = version_id
        if version_id not in self._models:
            model = self._read(version_id=version_id, session=session)
            self._models[version_id] = model and _ReadOnce(model)
        return self._models[version_id]

    def alone(self, task_id: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        key = (self._version, task_id)
        if key not in self._alone:
            self._alone[key] = only(task_id, data)
        return self._alone[key]


def install(settings: Settings) -> bool:
    """Let the triggerer of this process, and the one that it forks, do less; whether it does all of it.

    Once is enough. Each hook is installed for itself.
    """
    installed = [hook.may_be_installed(settings) and _install(hook) for hook in HOOKS]
    return all(installed)


def _install(hook: Hook) -> bool:
    # Each hook names only what it needs, so that a class that another Airflow lacks costs the other hooks nothing.
    from airflow.jobs import triggerer_job_runner as airflow  # noqa: PLC0415

    match hook.name:
        case SMALL_WORKLOADS.name:
            replace(airflow.TriggerRunnerSupervisor, "_create_workload", _sending_less)
        case PORTIONS.name:
            replace(airflow.TriggerRunnerSupervisor, "build_trigger_workloads", _in_portions)
        case PORTALS.name:
            replace(airflow.TriggerRunner, "run_trigger", _saying_whose)
            if not isinstance(airflow.greenback, _Portals):
                airflow.greenback = _Portals(airflow.greenback)
        case FINISHED.name:
            replace(airflow.TriggerRunner, "cleanup_finished_triggers", _looking_at_the_finished)
        case IDS.name:
            from airflow.models.trigger import Trigger  # noqa: PLC0415

            replace(Trigger, "ids_for_triggerer", _reading_changes)
        case LOGS.name:
            replace(airflow.TriggerLoggingFactory, "__call__", _closing_the_log)
        case SUCCESSES.name:
            from airflow.callbacks.database_callback_sink import DatabaseCallbackSink  # noqa: PLC0415

            replace(DatabaseCallbackSink, "send", _without_successes)
    return True


def _sending_less(original: Callable[..., Any]) -> Any:
    def create(self: Any, trigger: Any, dag_bag: Any, render_log_fname: Any, session: Any) -> Any:
        waiting = trigger.task_instance
        if waiting is None or trigger.classpath != REGION_TRIGGER:
            return original(self, trigger, dag_bag, render_log_fname, session)
        # Airflow makes a bag for each batch.
        batch: _Batch = vars(dag_bag).setdefault("_cch_batch", _Batch(dag_bag.get_serialized_dag_model))
        # Only for ours, and on the bag itself: which of its methods Airflow calls differs between versions.
        dag_bag.get_serialized_dag_model = batch.get_serialized_dag_model
        try:
            workload = original(self, trigger, dag_bag, render_log_fname, session)
        finally:
            del dag_bag.get_serialized_dag_model
        if workload is not None and workload.dag_data:
            workload.dag_data = batch.alone(waiting.task_id, workload.dag_data)
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
        seen = await original(_Only(self, finished))
        for number in known:
            if number not in finished:  # Airflow has dropped it
                del self.triggers[number]
        return seen

    return cleanup


class _Only:
    """A runner that has these triggers alone; everything else is the runner's."""

    def __init__(self, runner: Any, triggers: dict[int, Any]) -> None:
        self._runner = runner
        self.triggers = triggers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)


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


def _closing_the_log(original: Callable[..., Any]) -> Any:
    def call(self: Any, processors: Any) -> Any:
        import structlog  # noqa: PLC0415

        known = hasattr(self, "bound_logger")
        logger = original(self, processors)
        if known:
            return logger
        file = self._filehandle  # has been made, with its folders and their permissions
        file.close()
        self.bound_logger = structlog.wrap_logger(_LogFile(file.name, self.log_path), processors=processors).bind()
        return self.bound_logger

    return call


class _LogFile:
    """The log of a trigger, to structlog; neither a file descriptor nor a buffer while nothing is written.

    It has no ``name``: Airflow would write that into each line, as the name of the logger.
    """

    __slots__ = ("_path", "_place")

    #: When a lost line was told of last (monotonic, s).
    _told: ClassVar[float] = -math.inf

    def __init__(self, path: str, place: str) -> None:
        """``place``: the path within the folder of all logs."""
        self._path = path
        self._place = place

    def msg(self, line: bytes) -> None:
        """Write a line. One that cannot be written is lost: an error here would end the triggerer."""
        try:
            try:
                self._append(line)
            except FileNotFoundError:  # somebody has cleared old logs, and waits may be long
                from airflow.sdk.log import init_log_file  # noqa: PLC0415

                init_log_file(self._place)
                self._append(line)
        except OSError as error:
            if time.monotonic() - _LogFile._told > _TELL_EVERY:
                _LogFile._told = time.monotonic()
                log.warning("lines of the logs of triggers are lost: %s", error)

    def _append(self, line: bytes) -> None:
        with open(self._path, "ab", buffering=0) as file:  # noqa: PTH123 - a string is smaller than a path
            file.write(line + b"\n")

    log = debug = info = warn = warning = error = exception = critical = fatal = failure = msg

    @property
    def _file(self) -> Any:
        """What Airflow asks for its name, to hand the log over to where logs are kept; it is not open."""
        return SimpleNamespace(name=self._path, fileno=lambda: -1)


def _without_successes(original: Callable[..., Any]) -> Any:
    """Everything else that the DAG processor is to do, such as calling back after a failure, it is told."""

    def send(self: Any, callback: Any, **options: Any) -> Any:
        if getattr(callback, "task_callback_type", None) != "success":
            original(self, callback, **options)

    return send


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
