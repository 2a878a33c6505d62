"""Definitions and the plan and picture that are made of them, as files that reviewers can read.

``CCH_UPDATE_GOLDEN=1 pytest tests/unit/graph`` writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cch.graph.build import build_graph
from cch.graph.checks import load
from cch.graph.mermaid import as_data, mermaid
from cch.graph.plan import Plan, plan_of, plan_tasks
from cch.graph.planners import planner_for

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = Path(__file__).parents[3] / "workflow-definitions"
FILES = {path.stem: path for path in (*sorted(GOLDEN.glob("*.yaml")), *sorted(SAMPLES.glob("*.yaml")))}
#: Those with a node of the type ``sync_call``.
CALLING = [name for name, path in FILES.items() if "sync_call" in path.read_text("utf-8")]


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values: what the compiler makes tasks of."""
    return {
        **as_data(plan.graph),
        "tasks": [
            {
                "task_id": task.task_id,
                "kind": task.kind,
                "node": task.node,
                "rule": task.rule,
                "after": sorted(before for before, after in plan.edges if after == task.task_id),
            }
            for task in plan.tasks.values()
        ],
        "structure_digest": plan.structure_digest,
    }


def compare(path: Path, text: str) -> None:
    if os.environ.get("CCH_UPDATE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("name", FILES)
def test_plans_are_as_recorded(name: str) -> None:
    """Regions, tasks, gates, rules and edges of each definition."""
    plan = plan_tasks(build_graph(load(FILES[name].read_text("utf-8"), f"{name}.yaml")))

    compare(GOLDEN / f"{name}.plan.json", json.dumps(plan_data(plan), indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", CALLING)
def test_plans_whose_calls_wait_are_as_recorded(name: str) -> None:
    """What the second planner makes of each definition that calls, if every call waits."""
    definition = load(FILES[name].read_text("utf-8"), f"{name}.yaml")
    plan = plan_of(definition, planner_for(definition, definition.called))

    compare(GOLDEN / f"{name}.waiting.plan.json", json.dumps(plan_data(plan), indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", FILES)
def test_pictures_are_as_recorded(name: str) -> None:
    """The Mermaid flowchart of each definition."""
    graph = build_graph(load(FILES[name].read_text("utf-8"), f"{name}.yaml"))

    compare(GOLDEN / f"{name}.mmd", mermaid(graph))


def test_no_golden_file_is_left_over() -> None:
    """Each recorded file belongs to a definition."""
    recorded = {path.name.split(".")[0] for path in GOLDEN.glob("*.*")}

    assert recorded == set(FILES)
