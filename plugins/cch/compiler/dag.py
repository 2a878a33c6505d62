"""One definition to one DAG: every pass is a function, the result depends on the definition alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial
from airflow.sdk.definitions.param import ParamsDict

from cch.compiler.documentation import task_documentation, workflow_documentation
from cch.compiler.form import params
from cch.definition.model import Definition
from cch.errors import Problem
from cch.graph.blocks import waits
from cch.graph.plan import Plan, PlannedTask, plan_of
from cch.graph.planners import NEWEST_PLANNER
from cch.graph.scopes import map_body
from cch.operators.marker import GateOperator, MarkerOperator
from cch.operators.region import CallOperator, ItemOperator, ListOperator, WaitOperator
from cch.runtime.region_task import RegionRef

#: Instances wait for weeks, and Airflow's limit of 16 active runs would hold back the 17th.
_NO_LIMIT = 1_000_000
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
    """The DAG of a definition, laid out by ``planner``.

    ``problems``: why the published version is not used (this is then the last good one). ``for_task``: the file is
    parsed to execute one task, for which Params are left out. ``pinned``: Airflow keeps every run on its version.

    :raises UnknownPlannerError: this release has no planner of that number.
    """
    plan = plan_of(definition, planner)
    dag = DAG(
        dag_id=definition.workflow_id,
        dag_display_name=definition.workflow_name,
        description=definition.description.strip().split("\n")[0][:200] or definition.workflow_name,
        doc_md=workflow_documentation(definition, plan, problems),
        schedule=None,
        catchup=False,
        tags=_tags(definition, problems),
        max_active_runs=_NO_LIMIT,
        max_active_tasks=_NO_LIMIT,
        is_paused_upon_creation=False,
        default_args={"owner": definition.owner or "cch", "retries": 0},
    )
    operators: dict[str, BaseOperator | MappedOperator] = {}
    mapped = {task.task_id: task for task in plan.tasks.values() if task.kind == "item"}
    regions = _Regions(definition, plan, planner, dag)
    for task_id in sorted(plan.tasks.keys() - mapped):
        operators[task_id] = _operator(plan.tasks[task_id], regions)
    lists = {task.node: operators[task.task_id] for task in plan.tasks.values() if task.kind == "list"}
    for task_id, task in sorted(mapped.items()):
        operators[task_id] = _items(task, regions).expand(item=XComArg(lists[task.node]))
    for before, after in sorted(plan.edges):
        if after not in mapped:  # a mapped task follows its list already
            operators[before].set_downstream(operators[after])
    if not for_task:
        # Last: Airflow copies the params that are there into every task, which made each twice as large. A triggerer
        # loads all tasks of the DAG for each of its waiters.
        dag.params = ParamsDict(params(definition, pinned=pinned))
    return dag


@dataclass(frozen=True, slots=True)
class _Regions:
    """What the tasks of one DAG have in common."""

    definition: Definition
    plan: Plan
    planner: int
    dag: DAG

    def shown(self, task: PlannedTask) -> dict[str, Any]:
        return {
            "task_id": task.task_id,
            "trigger_rule": task.rule,
            "task_display_name": task.label,
            "doc_md": task_documentation(task, self.plan),
            "dag": self.dag,
        }

    def arguments(self, task: PlannedTask) -> dict[str, Any]:
        ref = RegionRef(
            workflow_id=self.definition.workflow_id,
            region=task.node,
            definition_digest=self.definition.digest,
            structure_digest=self.plan.structure_digest,
            planner=self.planner,
        )
        return {"ref": ref.arguments(), "shows": self.definition.nodes[task.node].type, **self.shown(task)}


def _operator(task: PlannedTask, regions: _Regions) -> BaseOperator:
    if task.kind == "gate":
        return GateOperator(task_id=task.task_id, trigger_rule=task.rule, dag=regions.dag)
    if task.kind == "marker":
        return MarkerOperator(shows=regions.definition.nodes[task.node].type, **regions.shown(task))
    arguments = regions.arguments(task)
    if task.kind == "list":
        return ListOperator(**_ON_WORKER, **arguments)
    if regions.plan.regions[task.node].kind == "call":
        return CallOperator(**_ON_WORKER, **arguments)
    return WaitOperator(**arguments)


def _items(task: PlannedTask, regions: _Regions) -> OperatorPartial:
    """The task that Airflow maps over the branch keys of a list."""
    plan = regions.plan
    node = plan.graph.maps[task.node]
    body = map_body(plan.graph, node.name)
    waiting = any(waits(body.nodes[name]) for name in body.reachable)
    return ItemOperator.partial(
        waits=waiting,
        map_index_template="{{ task.item }}",
        max_active_tis_per_dagrun=node.concurrency,
        # Airflow would retry what a trigger ends as failed; an item that a worker cannot defer is done by the region.
        **({} if waiting else _ON_WORKER),
        **regions.arguments(task),
    )


def _tags(definition: Definition, problems: tuple[Problem, ...]) -> list[str]:
    return sorted({"cch", *definition.tags, *(["definition-error"] if problems else [])})
