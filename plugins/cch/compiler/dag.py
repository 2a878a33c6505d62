"""One definition to one DAG: every pass is a function, the result depends on the definition alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial
from airflow.sdk.definitions.param import ParamsDict

from cch.compiler.documentation import problem_list, task_documentation, workflow_documentation
from cch.definition.json_schemas import faults
from cch.definition.model import Definition
from cch.errors import Problem
from cch.graph.blocks import waits
from cch.graph.plan import Plan, PlannedTask, plan_of
from cch.graph.scopes import map_body
from cch.operators.marker import GateOperator, MarkerOperator
from cch.operators.region import CallOperator, ItemOperator, ListOperator, WaitOperator
from cch.runtime.region_task import RegionRef
from cch.runtime.run_conf import CONF_CORRELATION, CONF_DIGEST

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
_ANYTHING = ["string", "integer", "number", "boolean", "object", "array"]


def compile_workflow(definition: Definition, *, problems: tuple[Problem, ...] = (), for_task: bool = False) -> DAG:
    """The DAG of a definition.

    ``problems``: why the published version is not used (this is then the last good one). ``for_task``: the file is
    parsed to execute one task; Params are left out, because Airflow would check a run's conf against today's.
    """
    plan = plan_of(definition)
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
        dagrun_timeout=timedelta(seconds=definition.timeout) if definition.timeout else None,
        default_args={"owner": definition.owner or "cch", "retries": 0},
    )
    operators: dict[str, BaseOperator | MappedOperator] = {}
    mapped = {task.task_id: task for task in plan.tasks.values() if task.kind == "item"}
    for task_id in sorted(plan.tasks.keys() - mapped):
        operators[task_id] = _operator(plan.tasks[task_id], definition, plan, dag)
    lists = {task.node: operators[task.task_id] for task in plan.tasks.values() if task.kind == "list"}
    for task_id, task in sorted(mapped.items()):
        operators[task_id] = _items(task, definition, plan, dag).expand(item=XComArg(lists[task.node]))
    for before, after in sorted(plan.edges):
        if after not in mapped:  # a mapped task follows its list already
            operators[before].set_downstream(operators[after])
    if not for_task:
        # Last: Airflow copies the params that are there into every task, which made each twice as large. A triggerer
        # loads all tasks of the DAG for each of its waiters.
        dag.params = ParamsDict(_params(definition))
    return dag


def _operator(task: PlannedTask, definition: Definition, plan: Plan, dag: DAG) -> BaseOperator:
    node = definition.nodes[task.node]
    if task.kind == "gate":
        return GateOperator(task_id=task.task_id, trigger_rule=task.rule, dag=dag)
    if task.kind == "marker":
        return MarkerOperator(shows=node.type, **_shown(task, plan, dag))
    arguments = _region_arguments(task, definition, plan, dag)
    if task.kind == "list":
        return ListOperator(**_ON_WORKER, **arguments)
    if plan.regions[task.node].kind == "call":
        return CallOperator(**_ON_WORKER, **arguments)
    return WaitOperator(**arguments)


def _items(task: PlannedTask, definition: Definition, plan: Plan, dag: DAG) -> OperatorPartial:
    """The task that Airflow maps over the branch keys of a list."""
    node = plan.graph.maps[task.node]
    body = map_body(plan.graph, node.name)
    waiting = any(waits(body.nodes[name]) for name in body.reachable)
    return ItemOperator.partial(
        waits=waiting,
        map_index_template="{{ task.item }}",
        max_active_tis_per_dagrun=node.concurrency,
        # Airflow would retry what a trigger ends as failed; an item that a worker cannot defer is done by the region.
        **({} if waiting else _ON_WORKER),
        **_region_arguments(task, definition, plan, dag),
    )


def _shown(task: PlannedTask, plan: Plan, dag: DAG) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "trigger_rule": task.rule,
        "task_display_name": task.label,
        "doc_md": task_documentation(task, plan),
        "dag": dag,
    }


def _region_arguments(task: PlannedTask, definition: Definition, plan: Plan, dag: DAG) -> dict[str, Any]:
    ref = RegionRef(
        workflow_id=definition.workflow_id,
        region=task.node,
        definition_digest=definition.digest,
        structure_digest=plan.structure_digest,
    )
    return {
        "ref": ref.arguments(),
        "shows": definition.nodes[task.node].type,
        **_shown(task, plan, dag),
    }


def _tags(definition: Definition, problems: tuple[Problem, ...]) -> list[str]:
    return sorted({"cch", *definition.tags, *(["definition-error"] if problems else [])})


def _params(definition: Definition) -> dict[str, Param]:
    """What the UI's form asks for and the API checks.

    A required key has no default: starting without it is refused. The digest is hidden and constant: it lets the
    dispatcher start a run of exactly the version it means, and be refused while Airflow still has another one.
    """
    params: dict[str, Param] = {}
    for key, schema in definition.required.items():
        # Airflow applies it, too, and would fetch what it refers to: one that cannot be used is left to our own check.
        usable = isinstance(schema, Mapping) and not faults(schema)
        described: Mapping[str, Any] = schema if usable else {}
        schema_keys = {k: v for k, v in described.items() if k not in ("default", "type")}
        default = described.get("default")
        params[key] = Param(default, type=described.get("type", _ANYTHING), **schema_keys)
    params[CONF_CORRELATION] = Param(
        None,
        type=["null", "string"],
        title="Correlation id",
        description="Business key by which people find this instance, for example a bill of lading.",
    )
    params[CONF_DIGEST] = Param(definition.digest, type="string", const=definition.digest)
    return params


def placeholder(dag_id: str, title: str, problems: tuple[Problem, ...]) -> DAG:
    """A DAG that shows why there is no workflow here. Running it fails with the same message."""
    dag = DAG(
        dag_id=dag_id,
        description=str(problems[0])[:200],
        doc_md=problem_list(title, problems),
        schedule=None,
        catchup=False,
        tags=["cch", "definition-error"],
        # A DAG stays as it was first seen: a paused placeholder would leave the fixed workflow paused.
        is_paused_upon_creation=False,
        default_args={"owner": "cch", "retries": 0},
        # The dispatcher's starts are refused until the workflow is here; a person's run fails and says why.
        params={CONF_DIGEST: Param("", type="string", const="")},
    )
    _DefinitionErrorOperator(task_id="definition_error", message="\n".join(map(str, problems)), dag=dag)
    return dag


class _DefinitionErrorOperator(BaseOperator):
    """Fails with the message."""

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Any) -> None:  # noqa: ARG002
        from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415

        raise AirflowFailException(self.message)
