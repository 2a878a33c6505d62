"""What the hooks of a triggerer need of Airflow, tried out on Airflow's own code without a database."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

from cch.scheduling.probing import Hook, Need, mentions, takes, unwrapped

#: Steps of a coroutine that only yields to others; one that takes more does something else.
_MOST_STEPS = 100


#: What nobody reads of a serialised DAG where a trigger of ours runs. Airflow checks the params of each trigger that
#: begins against their schemas, which takes longer than all the rest that it does for one.
_UNREAD = frozenset({"doc_md", "edge_info", "params"})


def only(task_id: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The serialised DAG with this task alone; as it was, if its form is not the one that is known here."""
    try:
        dag = data["dag"]
        (task,) = (each for each in dag["tasks"] if each["__var"].get("task_id") == task_id)
        alone = {**task, "__var": {**task["__var"], "downstream_task_ids": []}}
        children = {name: child for name, child in dag["task_group"]["children"].items() if name == task_id}
        group = {**dag["task_group"], "children": children}
        kept = {name: value for name, value in dag.items() if name not in _UNREAD}
    except (AttributeError, KeyError, TypeError, ValueError):
        return data
    return {**data, "dag": {**kept, "tasks": [alone], "task_group": group}}


def _workloads_are_made_one_by_one() -> bool:
    from airflow.executors.workloads import RunTrigger  # noqa: PLC0415
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415
    from airflow.models.dagbag import DBDagBag  # noqa: PLC0415

    create = TriggerRunnerSupervisor._create_workload  # noqa: SLF001
    return (
        list(inspect.signature(create).parameters) == ["self", "trigger", "dag_bag", "render_log_fname", "session"]
        and mentions(create, "task_instance", "get_serialized_dag_model")
        and mentions(TriggerRunnerSupervisor.build_trigger_workloads, "_create_workload", "DBDagBag")
        and takes(DBDagBag.get_serialized_dag_model, "version_id", "session")
        and {"dag_data", "ti", "dag_run_data"} <= RunTrigger.model_fields.keys()
    )


def _one_task_is_a_dag() -> bool:
    from airflow.sdk import DAG  # noqa: PLC0415
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415

    from cch.operators.region import WaitOperator  # noqa: PLC0415 - loads Airflow

    ref = {"workflow_id": "probe", "region": "a", "definition_digest": "-", "structure_digest": "-"}
    dag = DAG("probe", schedule=None)
    first, second = (WaitOperator(task_id=name, ref=ref, shows="probe", dag=dag) for name in ("a", "b"))
    first.set_downstream(second)
    data = DagSerialization.to_dict(dag)
    alone = only("a", data)
    read, whole = DagSerialization.from_dict(dict(alone)), DagSerialization.from_dict(data)
    began = [each.get_task("a").start_trigger_args for each in (read, whole)]
    return alone is not data and list(read.task_dict) == ["a"] and began[0] is not None and began[0] == began[1]


def _what_is_left_out_is_asked_for_again() -> bool:
    import attrs  # noqa: PLC0415
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415

    return (
        takes(TriggerRunnerSupervisor.build_trigger_workloads, "new_trigger_ids")
        and mentions(TriggerRunnerSupervisor.update_triggers, "build_trigger_workloads", "creating_triggers")
        and "creating_triggers" in attrs.fields_dict(TriggerRunnerSupervisor)
    )


def _portals_are_made_as_a_trigger_begins() -> bool:
    from airflow.jobs import triggerer_job_runner  # noqa: PLC0415

    run = triggerer_job_runner.TriggerRunner.run_trigger
    return (
        list(inspect.signature(run).parameters)[:3] == ["self", "trigger_id", "trigger"]
        and mentions(run, "greenback", "ensure_portal")
        and callable(triggerer_job_runner.greenback.ensure_portal)
    )


def _the_finished_are_dropped() -> bool:
    from airflow.jobs.triggerer_job_runner import TriggerRunner  # noqa: PLC0415

    task = SimpleNamespace(done=lambda: True, result=lambda: None)
    runner = SimpleNamespace(triggers={7: {"task": task, "is_watcher": False, "name": "probe", "events": 1}})
    cleanup = unwrapped(TriggerRunner.cleanup_finished_triggers)
    return _result(cleanup(runner)) == [7] and not runner.triggers


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing, without an event loop."""
    try:
        for _ in range(_MOST_STEPS):
            coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise RuntimeError("it waits for something")


def _ids_are_read_by_one_query() -> bool:
    from airflow.models.trigger import Trigger  # noqa: PLC0415

    queries: list[Any] = []

    def scalars(query: Any) -> Any:
        queries.append(query)
        return SimpleNamespace(all=lambda: [5])

    ids = unwrapped(Trigger.ids_for_triggerer)(Trigger, 1, session=SimpleNamespace(scalars=scalars))
    return list(ids) == [5] and [len(query.subquery().columns) for query in queries] == [1]


def _logs_are_files() -> bool:
    import attrs  # noqa: PLC0415
    from airflow.jobs.triggerer_job_runner import TriggerLoggingFactory  # noqa: PLC0415
    from airflow.sdk.log import relative_path_from_logger  # noqa: PLC0415

    make = TriggerLoggingFactory.__call__
    return (
        list(inspect.signature(make).parameters) == ["self", "processors"]
        and mentions(make, "bound_logger", "_filehandle", "BytesLogger")
        and mentions(TriggerLoggingFactory.close, "_filehandle", "closed")
        and mentions(relative_path_from_logger, "_file", "name", "fileno")
        and {"bound_logger", "_filehandle"} <= attrs.fields_dict(TriggerLoggingFactory).keys()
    )


def _a_success_calls_nobody() -> bool:
    """The DAG processor parses the file, and then does nothing: it would ask the absent DAGs for the task."""
    from airflow.callbacks.callback_requests import TaskCallbackRequest  # noqa: PLC0415
    from airflow.callbacks.database_callback_sink import DatabaseCallbackSink  # noqa: PLC0415
    from airflow.dag_processing import processor  # noqa: PLC0415
    from airflow.models import trigger  # noqa: PLC0415

    instance = SimpleNamespace(dag_id="probe", task_id="a", run_id="r", id="-")
    request = TaskCallbackRequest.model_construct(ti=instance, task_callback_type="success")
    no_dags: Any = None
    quiet: Any = SimpleNamespace(warning=lambda *_, **__: None)
    processor._execute_task_callbacks(no_dags, request, quiet)  # noqa: SLF001
    ends = trigger.handle_event_submit.dispatch(trigger.BaseTaskEndEvent)
    return mentions(ends, "DatabaseCallbackSink", "send") and takes(DatabaseCallbackSink.send, "callback", "session")


_SWITCH = "lean_waiters"
SMALL_WORKLOADS = Hook(
    name="small workloads",
    switch=_SWITCH,
    without="a triggerer gets the whole DAG for each of its waiters",
    needs=(
        Need("a trigger's workload is made otherwise", _workloads_are_made_one_by_one),
        Need("a serialised DAG has another form", _one_task_is_a_dag),
    ),
)
PORTIONS = Hook(
    name="portions",
    switch=_SWITCH,
    without="a triggerer that begins gets all of its waiters at once",
    needs=(Need("triggers are handed over otherwise", _what_is_left_out_is_asked_for_again),),
)
PORTALS = Hook(
    name="portals",
    switch=_SWITCH,
    without="each waiter has a greenlet that it does not need",
    needs=(Need("a trigger gets its portal elsewhere", _portals_are_made_as_a_trigger_begins),),
)
FINISHED = Hook(
    name="finished triggers",
    switch=_SWITCH,
    without="a triggerer looks at all of its waiters every second",
    needs=(Need("triggers that have finished are dropped otherwise", _the_finished_are_dropped),),
)
IDS = Hook(
    name="ids of triggers",
    switch=_SWITCH,
    without="a triggerer reads the ids of all of its waiters every second",
    needs=(Need("ids of triggers are not read by one query", _ids_are_read_by_one_query),),
)
LOGS = Hook(
    name="logs of triggers",
    switch=_SWITCH,
    without="a log file stays open for each waiter; the limit of open files has to be larger than their number",
    needs=(Need("the log of a trigger is written otherwise", _logs_are_files),),
)
SUCCESSES = Hook(
    name="successes",
    switch=_SWITCH,
    without="the DAG file is parsed for each task that succeeds in a triggerer",
    needs=(Need("a DAG processor does something when a task has succeeded", _a_success_calls_nobody),),
)
HOOKS = (SMALL_WORKLOADS, PORTIONS, PORTALS, FINISHED, IDS, LOGS, SUCCESSES)
