"""What Airflow's pages say about a workflow and its tasks, as Markdown."""

from __future__ import annotations

from collections.abc import Collection

from cch.definition.model import Definition
from cch.errors import Problem
from cch.graph.mermaid import mermaid
from cch.graph.model import Graph
from cch.graph.plan import Plan, PlannedTask
from cch.graph.scopes import map_body


def workflow_documentation(definition: Definition, plan: Plan) -> str:
    """What Airflow shows on the page of the DAG."""
    head = f"### {definition.workflow_name}\n\n{definition.description}".rstrip()
    return f"{head}\n\n```mermaid\n{mermaid(plan.graph)}```"


def problem_list(title: str, problems: tuple[Problem, ...]) -> str:
    """The problems under a heading."""
    lines = "\n".join(f"- `{problem}`" for problem in problems)
    return f"### ⚠ {title}\n\n{lines}"


def task_documentation(task: PlannedTask, plan: Plan) -> str | None:
    """What Airflow shows on the page of a task: for one that runs several nodes, which, and where they go."""
    described = plan.graph.nodes[task.node].description
    region = plan.regions.get(task.node)
    if task.kind == "item":
        table = _ways(map_body(plan.graph, task.node), None)
    elif task.kind == "region" and region and len(region.nodes) > 1 and not region.mapped:
        table = _ways(plan.graph, region.nodes)
    else:
        table = ""
    return "\n\n".join(part for part in (described, table) if part) or None


def _ways(graph: Graph, names: Collection[str] | None) -> str:
    """A table of nodes and their ways on; of all that a run can come to, if none are named."""
    lines = ["| node | type | goes to |", "|---|---|---|"]
    for name, node in graph.nodes.items():
        if name in (graph.reachable if names is None else names):
            ways = "; ".join(f"{_cell(edge.label)} → **{_cell(edge.target)}**" for edge in graph.outgoing(name))
            lines.append(f"| **{_cell(name)}** | {node.type} | {ways} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
