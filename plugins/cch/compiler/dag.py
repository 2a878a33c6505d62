"""One definition to one DAG: every pass is a function, the result depends on the definition alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial
from airflow.sdk.definitions.param import ParamsDict

from cch.compiler.blueprint import Blueprint, TaskPrint, blueprint
from cch.compiler.documentation import problem_list
from cch.compiler.form import params
from cch.definition.model import Definition
from cch.errors import Problem
from cch.graph.planners import NEWEST_PLANNER
from cch.operators.marker import GateOperator, MarkerOperator
from cch.operators.region import CallOperator, ItemOperator, ListOperator, WaitOperator
from cch.runtime.region_task import RegionRef

#: Instances wait for weeks, and Airflow's limit of 16 active runs would hold back the 17th.
_NO_LIMIT = 1_000_000
#: Characters of a name for people: Airflow's tables take 2,000, and one that is longer would stop its DAG processor.
_LONGEST_NAME = 250
#: A task on a worker survives this many deaths of its worker: it then continues from its journal. While the API server
#: is away every start of a task is such a death, one every few seconds: the pauses grow so that they outlast that.
#: What fails is not retried by Airflow (AirflowFailException); its attempts are the interpreter's.
_ON_WORKER: Mapping[str, Any] = {
    "retries": 10,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=1),
}


def compile_workflow(
    definition: Definition,
    *,
    problems: tuple[Problem, ...] = (),
    for_task: bool = False,
    pinned: bool = False,
    planner: int = NEWEST_PLANNER,
) -> DAG:
    """The DAG of a definition, laid out by ``planner``; see :func:`dag_of`.

    :raises UnknownPlannerError: this release has no planner of that number.
    """
    return dag_of(blueprint(definition, planner), problems=problems, for_task=for_task, pinned=pinned)


def dag_of(
    made_of: Blueprint, *, problems: tuple[Problem, ...] = (), for_task: bool = False, pinned: bool = False
) -> DAG:
    """The DAG of a blueprint.

    ``problems``: why the published version is not used (this is then the last good one). ``for_task``: the file is
    parsed to execute one task, for which Params are left out. ``pinned``: Airflow keeps every run on its version.
    """
    why = problem_list("The published version has errors; this is the last good one.", problems) if problems else ""
    dag = DAG(
        dag_id=made_of.workflow_id,
        dag_display_name=made_of.name[:_LONGEST_NAME],
        description=made_of.description,
        doc_md="\n\n".join(part for part in (why, made_of.doc) if part),
        schedule=None,
        catchup=False,
        tags=sorted({*made_of.tags, *(["definition-error"] if problems else [])}),
        max_active_runs=_NO_LIMIT,
        max_active_tasks=_NO_LIMIT,
        is_paused_upon_creation=False,
        default_args={"owner": made_of.owner[:_LONGEST_NAME], "retries": 0},
    )
    operators: dict[str, BaseOperator | MappedOperator] = {}
    mapped = {task.task_id: task for task in made_of.tasks if task.kind == "item"}
    for task in made_of.tasks:
        if task.task_id not in mapped:
            operators[task.task_id] = _operator(task, made_of, dag)
    for task_id, task in mapped.items():
        operators[task_id] = _items(task, made_of, dag).expand(item=XComArg(operators[task.listed]))
    for before, edges in groupby(made_of.edges, key=itemgetter(0)):
        # All at once, because Airflow looks at the whole DAG each time. A mapped task follows its list already.
        operators[before].set_downstream([operators[after] for _, after in edges if after not in mapped])
    if not for_task:
        # Last: Airflow copies the params that are there into every task, which made each twice as large. A triggerer
        # loads all tasks of the DAG for each of its waiters.
        dag.params = ParamsDict(params(made_of.fields, made_of.served, pinned=pinned))
    return dag


def _shown(task: TaskPrint, dag: DAG) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "trigger_rule": task.rule,
        "task_display_name": task.label[:_LONGEST_NAME],
        "doc_md": task.doc,
        "shows": task.shows,
        "dag": dag,
    }


def _region(task: TaskPrint, made_of: Blueprint) -> dict[str, Any]:
    return RegionRef(
        workflow_id=made_of.workflow_id,
        region=task.node,
        definition_digest=made_of.digest,
        structure_digest=made_of.structure,
        planner=made_of.planner,
    ).arguments()


def _operator(task: TaskPrint, made_of: Blueprint, dag: DAG) -> BaseOperator:
    if task.kind == "gate":
        return GateOperator(task_id=task.task_id, trigger_rule=task.rule, dag=dag)
    if task.kind == "marker":
        return MarkerOperator(**_shown(task, dag))
    arguments = {"ref": _region(task, made_of), **_shown(task, dag)}
    if task.kind == "list":
        return ListOperator(**_ON_WORKER, **arguments)
    if task.kind == "call":
        return CallOperator(**_ON_WORKER, **arguments)
    return WaitOperator(**arguments)


def _items(task: TaskPrint, made_of: Blueprint, dag: DAG) -> OperatorPartial:
    """The task that Airflow maps over the branch keys of a list."""
    return ItemOperator.partial(
        waits=task.waits,
        map_index_template="{{ task.item }}",
        max_active_tis_per_dagrun=task.concurrency,
        # Airflow would retry what a trigger ends as failed; an item that a worker cannot defer is done by the region.
        **({} if task.waits else _ON_WORKER),
        ref=_region(task, made_of),
        **_shown(task, dag),
    )
