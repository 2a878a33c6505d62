"""``cch graph``: a definition as a flowchart, as data, or as Airflow tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cch.cli.output import print_json, say, show, table
from cch.cli.project import FOLDER, Form
from cch.cli.reading import contracts_beside, is_definition_path, read_files
from cch.errors import CchError, DefinitionError, DefinitionNotFoundError, WrongUseError
from cch.graph.build import build_graph
from cch.graph.checks import load
from cch.graph.mermaid import as_data, mermaid
from cch.graph.plan import Plan, plan_of

if TYPE_CHECKING:
    from rich.table import Table

    from cch.definition.model import Definition


def load_file(path: Path) -> Definition:
    """The definition in a file, with the contracts beside it.

    :raises DefinitionError: with everything that is wrong.
    :raises WrongUseError: no such file.
    """
    if not path.is_file():
        raise WrongUseError(f"there is no file {path}")
    texts, problems = read_files([path])
    if problems:
        raise DefinitionError(problems)
    definition = load(texts[str(path)], str(path))
    contracts = contracts_beside([path])
    if wrong := [problem for problem in contracts.problems if problem.severity == "error"]:
        raise DefinitionError(wrong)
    return definition.held_to(contracts.by_id)


def find_definition(name: str) -> Definition:
    """The definition in the file ``name``, or of the workflow ``name`` in the project's folder.

    :raises DefinitionNotFoundError: neither exists.
    """
    if is_definition_path(name) or Path(name).is_file():
        return load_file(Path(name))
    for ending in (".yaml", ".yml"):
        path = FOLDER / f"{name}{ending}"
        if path.is_file():
            return load_file(path)
    texts = read_files([FOLDER])[0] if FOLDER.is_dir() else {}
    for file in texts:
        try:
            definition = load_file(Path(file))
        except CchError:
            continue
        if definition.workflow_id == name:
            return definition
    raise DefinitionNotFoundError(f"{name!r} is neither a file nor the id of a workflow in ./{FOLDER}")


def _tasks(plan: Plan) -> Table:
    rows = []
    for task in plan.tasks.values():
        region = plan.regions.get(task.node) if task.kind == "region" else None
        kind = f"{task.kind} ({region.kind})" if region else task.kind
        executes = ", ".join(region.nodes) if region else ""
        rows.append((task.task_id, kind, executes, task.rule, ", ".join(plan.downstream(task.task_id))))
    title = f"{plan.graph.definition.workflow_id}: {len(rows)} tasks, structure {plan.structure_digest}"
    return table(title, ("task", "kind", "executes", "trigger rule", "then"), rows)


def draw(name: str, form: Form) -> None:
    """Print the definition in one of its forms."""
    definition = find_definition(name)
    match form:
        case Form.MERMAID:
            say(mermaid(build_graph(definition)).rstrip())
        case Form.JSON:
            print_json(as_data(build_graph(definition)))
        case Form.TASKS:
            show(_tasks(plan_of(definition)))
