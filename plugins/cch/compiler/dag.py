"""One definition to one DAG: every pass is a function, the result depends on the definition alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param

from cch.definition.model import Definition
from cch.errors import Problem
from cch.graph.build import build_graph
from cch.graph.mermaid import mermaid
from cch.graph.plan import Plan, PlannedTask, plan_tasks
from cch.operators.marker import GateOperator, MarkerOperator
from cch.operators.region import CallOperator, WaitOperator
from cch.runtime.execution import CONF_CORRELATION, CONF_DIGEST

#: Instances wait for weeks, and Airflow's limit of 16 active runs would hold back the 17th.
_NO_LIMIT = 1_000_000
#: Deaths of its worker that a calling task survives.
_WORKER_DEATHS = 3
_ANYTHING = ["string", "integer", "number", "boolean", "object", "array"]


def compile_workflow(definition: Definition, *, problems: tuple[Problem, ...] = (), for_task: bool = False) -> DAG:
    """The DAG of a definition.

    ``problems``: why the published version is not used (this is then the last good one). ``for_task``: the file is
    parsed to execute one task; Params are left out, because Airflow would check a run's conf against today's.
    """
    plan = plan_tasks(build_graph(definition))
    dag = DAG(
        dag_id=definition.workflow_id,
        dag_display_name=definition.workflow_name,
        description=definition.description.strip().split("\n")[0][:200] or definition.workflow_name,
        doc_md=_documentation(definition, plan, problems),
        schedule=None,
        catchup=False,
        tags=_tags(definition, problems),
        params={} if for_task else _params(definition),
        max_active_runs=_NO_LIMIT,
        max_active_tasks=_NO_LIMIT,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(seconds=definition.timeout) if definition.timeout else None,
        default_args={"owner": definition.owner or "cch", "retries": 0},
    )
    operators = {task.task_id: _operator(task, definition, plan, dag) for task in _in_order(plan)}
    for before, after in sorted(plan.edges):
        operators[before].set_downstream(operators[after])
    return dag


def _in_order(plan: Plan) -> list[PlannedTask]:
    return [plan.tasks[task_id] for task_id in sorted(plan.tasks)]


def _operator(task: PlannedTask, definition: Definition, plan: Plan, dag: DAG) -> BaseOperator:
    common: dict[str, Any] = {"task_id": task.task_id, "trigger_rule": task.rule, "dag": dag}
    if task.kind == "gate":
        return GateOperator(**common)
    node = definition.nodes[task.node]
    common |= {"task_display_name": task.label, "doc_md": node.description or None}
    if task.kind == "marker":
        return MarkerOperator(shows=node.type, **common)
    region = plan.regions[task.node]
    if region.kind == "call":
        # For a worker that dies: the region then continues from its journal. A call that fails is not retried by
        # Airflow (AirflowFailException); its attempts are the interpreter's.
        common |= {"retries": _WORKER_DEATHS, "retry_delay": timedelta(seconds=5)}
    operator = CallOperator if region.kind == "call" else WaitOperator
    return operator(
        workflow_id=definition.workflow_id,
        region=region.head,
        definition_digest=definition.digest,
        structure_digest=plan.structure_digest,
        shows=node.type,
        **common,
    )


def _tags(definition: Definition, problems: tuple[Problem, ...]) -> list[str]:
    return sorted({"cch", *definition.tags, *(["definition-error"] if problems else [])})


def _params(definition: Definition) -> dict[str, Param]:
    """What the UI's form asks for and the API checks.

    A required key has no default: starting without it is refused. The digest is hidden and constant: it lets the
    dispatcher start a run of exactly the version it means, and be refused while Airflow still has another one.
    """
    params: dict[str, Param] = {}
    for key, schema in definition.required.items():
        described: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
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


def _documentation(definition: Definition, plan: Plan, problems: tuple[Problem, ...]) -> str:
    parts = []
    if problems:
        parts.append(_problem_list("The published version has errors; this is the last good one.", problems))
    parts.append(f"### {definition.workflow_name}\n\n{definition.description}".rstrip())
    parts.append(f"```mermaid\n{mermaid(plan.graph)}```")
    return "\n\n".join(parts)


def _problem_list(title: str, problems: tuple[Problem, ...]) -> str:
    lines = "\n".join(f"- `{problem}`" for problem in problems)
    return f"### ⚠ {title}\n\n{lines}"


def placeholder(dag_id: str, title: str, problems: tuple[Problem, ...]) -> DAG:
    """A DAG that shows why there is no workflow here. Running it fails with the same message."""
    dag = DAG(
        dag_id=dag_id,
        description=str(problems[0])[:200],
        doc_md=_problem_list(title, problems),
        schedule=None,
        catchup=False,
        tags=["cch", "definition-error"],
        # A DAG stays as it was first seen: a paused placeholder would leave the mended workflow paused.
        is_paused_upon_creation=False,
        default_args={"owner": "cch", "retries": 0},
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
