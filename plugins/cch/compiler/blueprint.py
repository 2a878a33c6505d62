"""What a DAG is made of, as plain data: one pass of a definition, which can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cch.compiler.documentation import task_documentation, workflow_documentation
from cch.compiler.form import Field, form_fields
from cch.definition.model import Definition
from cch.definition.names import TAG
from cch.definition.version import Version
from cch.graph.blocks import waits
from cch.graph.plan import Plan, PlannedTask, plan_of
from cch.graph.scopes import map_body


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPrint:
    """One Airflow task. ``kind``: gate, marker, list, item, call or wait; ``shows``: the type of its node."""

    task_id: str
    kind: str
    rule: str
    node: str
    shows: str
    label: str
    doc: str | None = None
    #: Of an item: the task over whose list it is mapped, whether it may wait, and how many run at once.
    listed: str = ""
    waits: bool = False
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What a definition and its planner decide of a DAG. ``served``: the version, as the DAG's form has it."""

    workflow_id: str
    name: str
    description: str
    doc: str
    owner: str
    tags: tuple[str, ...]
    digest: str
    structure: str
    planner: int
    served: str
    tasks: tuple[TaskPrint, ...]
    edges: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Blueprint:
        """The blueprint of which :meth:`as_json` made this.

        :raises TypeError, KeyError, ValueError: nothing of the kind did.
        """
        made = {
            "tags": tuple(data["tags"]),
            "tasks": tuple(TaskPrint(**task) for task in data["tasks"]),
            "edges": tuple((before, after) for before, after in data["edges"]),
            "fields": tuple(Field(**each) for each in data["fields"]),
        }
        return cls(**{**data, **made})


def blueprint(definition: Definition, planner: int) -> Blueprint:
    """The blueprint of a definition, as ``planner`` lays it out.

    :raises UnknownPlannerError: this release has no planner of that number.
    """
    plan = plan_of(definition, planner)
    lists = {task.node: task.task_id for task in plan.tasks.values() if task.kind == "list"}
    return Blueprint(
        workflow_id=definition.workflow_id,
        name=definition.workflow_name,
        description=definition.description.strip().split("\n")[0][:200] or definition.workflow_name,
        doc=workflow_documentation(definition, plan),
        owner=definition.owner or "cch",
        tags=tuple(sorted({TAG, *definition.tags})),
        digest=definition.digest,
        structure=plan.structure_digest,
        planner=planner,
        served=str(Version(definition.digest, definition.reading_rules, planner)),
        tasks=tuple(_task(plan.tasks[task_id], definition, plan, lists) for task_id in sorted(plan.tasks)),
        edges=tuple(sorted(plan.edges)),
        fields=form_fields(definition),
    )


def _task(task: PlannedTask, definition: Definition, plan: Plan, lists: Mapping[str, str]) -> TaskPrint:
    if task.kind == "gate":
        return TaskPrint(task_id=task.task_id, kind="gate", rule=task.rule, node=task.node, shows="", label="")
    shown: dict[str, Any] = {
        "task_id": task.task_id,
        "rule": task.rule,
        "node": task.node,
        "shows": definition.nodes[task.node].type,
        "label": task.label,
        "doc": task_documentation(task, plan),
    }
    if task.kind != "item":
        region = "call" if task.kind == "region" and plan.regions[task.node].kind == "call" else "wait"
        return TaskPrint(kind=region if task.kind == "region" else task.kind, **shown)
    node = plan.graph.maps[task.node]
    body = map_body(plan.graph, node.name)
    return TaskPrint(
        kind="item",
        listed=lists[task.node],
        waits=any(waits(body, name) for name in body.reachable),
        concurrency=node.concurrency,
        **shown,
    )
