"""What a parse of the DAG file compiles: what it has not seen before, and nothing else."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

UNIT = Path(__file__).resolve().parents[1] / "unit"
if str(UNIT) not in sys.path:
    sys.path.insert(0, str(UNIT))

from workflows import large_definition  # noqa: E402

from cch.compiler import blueprints, factory  # noqa: E402
from cch.compiler.blueprint import Blueprint, blueprint  # noqa: E402
from cch.compiler.blueprints import Blueprints  # noqa: E402
from cch.compiler.dag import compile_workflow, dag_of  # noqa: E402
from cch.compiler.factory import DefinitionWarning, workflow_dags  # noqa: E402
from cch.definition import entries, files  # noqa: E402
from cch.definition.entries import Good  # noqa: E402
from cch.definition.version import Version  # noqa: E402
from cch.graph.checks import load  # noqa: E402
from cch.graph.planners import NEWEST_PLANNER, version_of  # noqa: E402
from cch.scheduling.absent import Wish  # noqa: E402
from cch.scheduling.marking import version_of_dag  # noqa: E402
from cch.scheduling.wishes import compiled  # noqa: E402
from cch.settings import load_settings  # noqa: E402

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "workflow-definitions").glob("*.yaml"))
TEXT = """
workflow_id: {name}
workflow_name: {title}
entry_point: A
nodes:
  A: {{type: async_request, capability_id: x#y, on_response: E, on_failure: E}}
  E: {{type: end}}
"""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read, and what was compiled."""
    done: list[str] = []

    def reading(rules: int, text: str, file: str) -> Any:
        done.append(f"read {file}")
        return read_by(rules, text, file)

    def making(definition: Any, planner: int) -> Blueprint:
        done.append(f"compiled {definition.workflow_id}")
        return blueprint(definition, planner)

    read_by = entries.read_by
    monkeypatch.setattr(entries, "read_by", reading)
    monkeypatch.setattr(blueprints, "blueprint", making)
    return done


def served() -> dict[str, dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefinitionWarning)
        return {dag.dag_id: DagSerialization.to_dict(dag) for dag in workflow_dags()}


def publish(folder: Path, name: str, title: str = "first") -> None:
    (folder / f"{name}.yaml").write_text(TEXT.format(name=name, title=title))


def test_a_republication_compiles_that_definition_alone(definitions: Path, work: list[str]) -> None:
    """The others are neither compiled nor read, and their DAGs are as they were."""
    for number in range(20):
        publish(definitions, f"w{number:02d}")
    first = served()
    assert sorted(work) == [f"compiled w{number:02d}" for number in range(20)]

    work.clear()
    assert served() == first
    assert work == []
    publish(definitions, "w07", "second")
    second = served()

    assert work == ["compiled w07"]
    assert second["w07"]["dag"]["dag_display_name"] == "second"
    assert {name: dag for name, dag in second.items() if name != "w07"} == {
        name: dag for name, dag in first.items() if name != "w07"
    }


def test_who_comes_later_compiles_nothing(definitions: Path, work: list[str]) -> None:
    """A parse is a process of its own: what it shares with others is on disk."""
    publish(definitions, "w")
    served()
    (good,) = (Good.of(load(TEXT.format(name="w", title="first"), "w.yaml")),)
    work.clear()

    other = Blueprints(load_settings().cache_path)

    assert dag_of(other.served(good)).dag_id == "w"
    assert (work, other.made) == ([], 0)


@pytest.mark.parametrize("damage", ["", "{", '{"workflow_id": "w"}', '{"workflow_id": "w", "tasks": [{"a": 1}]}'])
def test_a_damaged_blueprint_is_made_again(damage: str, definitions: Path, work: list[str]) -> None:
    """The cache may be lost at any time, also in part."""
    publish(definitions, "w")
    first = served()
    (kept,) = load_settings().cache_path.glob("blueprints-*/*")
    kept.write_text(damage)
    work.clear()

    assert served() == first
    assert work == ["read w.yaml", "compiled w"]
    assert json.loads(kept.read_text())["workflow_id"] == "w"


def test_another_program_makes_its_own(definitions: Path, work: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code may lay out documents, forms or tasks otherwise."""
    publish(definitions, "w")
    served()
    work.clear()
    monkeypatch.setattr(blueprints, "program_stamp", lambda: "another")

    served()

    assert work == ["read w.yaml", "compiled w"]


def test_a_cache_that_cannot_be_written_costs_time_alone(
    definitions: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is served."""

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    publish(definitions, "w")
    monkeypatch.setattr(files, "write_file", full)

    assert served() == served()
    assert work.count("compiled w") == 2


@pytest.mark.parametrize(
    ("text", "file"),
    [(path.read_text(), path.name) for path in SAMPLES] + [(large_definition(), "large.yaml")],
    ids=lambda value: value if value.endswith(".yaml") else "",
)
def test_every_blueprint_can_be_kept(text: str, file: str, tmp_path: Path) -> None:
    """And the DAG that is made of it is the one that the definition makes."""
    definition = load(text, file)
    kept = Blueprints(tmp_path)
    kept.make(definition, version_of(definition))

    again = Blueprints(tmp_path).kept(version_of(definition))

    assert again == blueprint(definition, NEWEST_PLANNER)
    assert again is not None
    for options in ({"pinned": True}, {"pinned": False}, {"for_task": True}):
        assert DagSerialization.to_dict(dag_of(again, **options)) == DagSerialization.to_dict(
            compile_workflow(definition, **options)
        )


CALLS = """
workflow_id: calls
workflow_name: Calls
entry_point: Http
nodes:
  Http: {type: sync_call, capability_id: a#http, on_success: Python}
  Python: {type: sync_call, capability_id: a#python, on_success: E}
  E: {type: end}
"""
BOUND = json.dumps({"a#http": "http://127.0.0.1:9/", "a#lambda": "lambda:f", "a#queue": "sqs:q"})


def kinds(dag: dict[str, Any]) -> dict[str, str]:
    """Task → its operator."""
    return {each["__var"]["task_id"]: each["__var"]["task_type"] for each in dag["dag"]["tasks"]}


def version_served(dag: dict[str, Any]) -> Version:
    found = version_of_dag(dag)
    assert found is not None
    return found


@pytest.fixture
def calls_in_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCH_CALLS_IN_TRIGGERER", "true")
    monkeypatch.setenv("CCH_CAPABILITY_BINDINGS", BOUND)


def test_a_setting_makes_another_version_of_the_same_text(
    definitions: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of what only waits get tasks that begin in the triggerer; a run of either version keeps its own."""
    monkeypatch.setattr(factory, "reason_against", lambda: "")
    (definitions / "calls.yaml").write_text(CALLS)
    before = served()["calls"]
    monkeypatch.setenv("CCH_CAPABILITY_BINDINGS", BOUND)
    bound = served()["calls"]
    monkeypatch.setenv("CCH_CALLS_IN_TRIGGERER", "true")
    after = served()["calls"]

    assert bound == before, "bindings alone change nothing"
    assert kinds(before) == {"Http": "CallOperator", "Python": "CallOperator", "E": "MarkerOperator"}
    assert kinds(after) == {"Http": "WaitOperator", "Python": "CallOperator", "E": "MarkerOperator"}
    old, new = version_served(before), version_served(after)
    assert (old.digest, old.reading_rules) == (new.digest, new.reading_rules)
    assert (old.planner, new.planner) == (1, 258)
    assert work == ["compiled calls", "read calls.yaml", "compiled calls"]

    work.clear()
    served()
    assert work == [], "which capabilities it calls is kept, too"
    for version, tasks in ((old, kinds(before)), (new, kinds(after))):
        monkeypatch.delenv("CCH_CALLS_IN_TRIGGERER", raising=False)
        monkeypatch.setattr(factory, "version_of_task", lambda version=version: version)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "calls")
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "Http")
        assert kinds(served()["calls"]) == tasks


@pytest.mark.usefixtures("calls_in_triggerer")
def test_where_runs_are_not_pinned_the_setting_changes_nothing(
    definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live runs would be given the tasks of another version."""
    (definitions / "calls.yaml").write_text(CALLS)
    monkeypatch.setattr(factory, "reason_against", lambda: "this Airflow cannot")

    assert set(kinds(served()["calls"]).values()) == {"CallOperator", "MarkerOperator"}


@pytest.mark.usefixtures("calls_in_triggerer")
@pytest.mark.parametrize("damage", ["", "{", '{"called": 7}', '{"called": [{}]}'])
def test_what_is_kept_of_calls_may_be_damaged(
    damage: str, definitions: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read from the definition again."""
    monkeypatch.setattr(factory, "reason_against", lambda: "")
    (definitions / "calls.yaml").write_text(CALLS)
    first = served()
    (kept,) = load_settings().cache_path.glob("blueprints-*/*.called")
    kept.write_text(damage)
    work.clear()

    assert served() == first
    assert work == ["read calls.yaml"]


@pytest.mark.usefixtures("calls_in_triggerer")
def test_a_version_that_airflow_does_not_hold_has_the_layout_of_new_runs(definitions: Path, tmp_path: Path) -> None:
    """A start that names it by its digest alone; a whole version is made as it was."""
    (definitions / "calls.yaml").write_text(CALLS)
    served()
    definition = load(CALLS, "calls.yaml")

    for name, planner in ((definition.digest, 258), (str(version_of(definition)), 1)):
        version, dag = compiled(Wish("calls", name), load_settings())
        assert (version.planner, version_served(DagSerialization.to_dict(dag)).planner) == (planner, planner)


def test_a_task_s_process_reads_no_definition(
    definitions: Path, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it look at the source: the version of its run is kept."""
    publish(definitions, "w")
    served()
    definition = load(TEXT.format(name="w", title="first"), "w.yaml")
    (definitions / "w.yaml").unlink()
    work.clear()
    monkeypatch.setattr(factory, "version_of_task", lambda: version_of(definition))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "w")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "A")

    (dag,) = workflow_dags()

    assert dag.get_task("A").ref.definition_digest == definition.digest
    assert work == []
