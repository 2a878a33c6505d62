"""The DAG file: what is served when definitions are good, bad, many, or out of reach."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

UNIT = Path(__file__).resolve().parents[1] / "unit"
if str(UNIT) not in sys.path:
    sys.path.insert(0, str(UNIT))

from workflows import BLOCKS, large_definition  # noqa: E402

from cch.compiler.factory import SOURCE_ERROR_DAG, DefinitionWarning, workflow_dags  # noqa: E402
from cch.definition.source import FolderSource  # noqa: E402
from cch.runtime.run_conf import CONF_DIGEST  # noqa: E402

GOOD = """
workflow_id: {name}
workflow_name: {name}
entry_point: A
nodes:
  A: {{type: async_request, capability_id: x#y, on_response: E, on_failure: E}}
  E: {{type: end}}
"""


def served() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefinitionWarning)
        return {dag.dag_id: dag for dag in workflow_dags()}


def test_a_workflow_may_be_called_like_anything_in_the_dag_file(definitions: Path) -> None:
    """Airflow takes the file's names, and no name of its own replaces a DAG."""
    names = ["dag", "each", "other", "workflow_dags"]
    for name in names:
        (definitions / f"{name}.yaml").write_text(GOOD.format(name=name))
    for path in ("dags/cch_workflows.py", "plugins/cch/dag_files/cch_workflows.py"):
        spec = importlib.util.spec_from_file_location("parsed", Path(__file__).resolve().parents[2] / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        assert sorted({each.dag_id for each in vars(module).values() if isinstance(each, DAG)}) == names


def test_names_for_people_are_cut_to_what_airflow_stores(definitions: Path) -> None:
    """A longer one would stop the DAG processor of all."""
    long = "n" * 2_100
    node = f"A: {{type: async_request, title: {long},"
    text = GOOD.format(name="good").replace("workflow_name: good", f"workflow_name: {long}\nowner: {long}")
    (definitions / "good.yaml").write_text(text.replace("A: {type: async_request,", node))

    dag = served()["good"]

    assert len(dag.dag_display_name) == len(dag.get_task("A").task_display_name) == len(dag.owner) == 250


@pytest.mark.parametrize("name", [".yaml", "...yaml"])
def test_a_file_without_a_name_has_a_placeholder(name: str, definitions: Path) -> None:
    """And takes nobody's place."""
    (definitions / name).write_text("workflow_id: [")
    (definitions / "good.yaml").write_text(GOOD.format(name="good"))

    dags = served()

    assert "definition-error" not in dags.pop("good").tags
    assert all("definition-error" in dag.tags for dag in dags.values())


def test_dag_file_serves_every_definition(definitions: Path) -> None:
    """Importing dags/cch_workflows.py, as Airflow does, leaves one DAG a definition in its namespace."""
    for name in ("one", "two"):
        (definitions / f"{name}.yaml").write_text(GOOD.format(name=name))
    path = Path(__file__).resolve().parents[2] / "dags" / "cch_workflows.py"
    spec = importlib.util.spec_from_file_location("dag_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    spec.loader.exec_module(module)

    assert module.one.dag_id == "one"
    assert module.two.dag_id == "two"


def test_a_definition_of_500_nodes_is_one_dag(definitions: Path) -> None:
    """All its nodes are there; a loop is one task."""
    (definitions / "large.yaml").write_text(large_definition())

    (dag,) = served().values()

    assert {f"Ask_{n}" for n in range(BLOCKS)} <= set(dag.task_ids)
    assert "Clear_0" not in dag.task_ids


def test_a_bad_definition_harms_no_other_and_shows_its_message(definitions: Path) -> None:
    """It becomes a placeholder DAG tagged definition-error; its neighbours are served."""
    (definitions / "good.yaml").write_text(GOOD.format(name="good"))
    (definitions / "bad.yaml").write_text(GOOD.format(name="bad").replace("on_response: E", "on_response: Nowhere"))

    dags = served()

    assert set(dags) == {"good", "bad"}
    assert "definition-error" in dags["bad"].tags
    assert "there is no node 'Nowhere'" in dags["bad"].doc_md
    assert "bad.yaml:6" in dags["bad"].doc_md


def test_a_placeholder_does_not_leave_the_mended_workflow_paused(definitions: Path) -> None:
    """Airflow keeps whether a DAG is paused from its first sight of it, and the placeholder has the workflow's id."""
    (definitions / "bad.yaml").write_text("workflow_id: bad")

    placeholder = served()["bad"]

    assert placeholder.is_paused_upon_creation is False


def test_a_placeholder_refuses_the_dispatcher_s_starts(definitions: Path) -> None:
    """The run would sit there without a reason; a person's run, which names no version, fails with the message."""
    (definitions / "bad.yaml").write_text("workflow_id: bad")
    params = served()["bad"].params
    own = params.get_param(CONF_DIGEST)

    with pytest.raises(ParamValidationError):
        own.resolve("some version")
    params.validate()


def test_last_good_version_is_served_with_the_problems(definitions: Path) -> None:
    """After a bad publication the old workflow still runs, and says what is wrong with the new one."""
    file = definitions / "flow.yaml"
    file.write_text(GOOD.format(name="flow"))
    assert "definition-error" not in served()["flow"].tags

    file.write_text("workflow_id: [")

    dag = served()["flow"]
    assert set(dag.task_ids) == {"A", "E"}
    assert "definition-error" in dag.tags
    assert "CCH-D001" in dag.doc_md


def test_an_outage_is_served_from_the_cache(definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAGs stay when the source goes; a warning says so."""
    (definitions / "flow.yaml").write_text(GOOD.format(name="flow"))
    served()
    definitions.rename(definitions.with_name("gone"))

    with pytest.warns(DefinitionWarning, match="does not exist"):
        dags = {dag.dag_id for dag in workflow_dags()}

    assert dags == {"flow"}


def test_what_cannot_be_kept_is_served_all_the_same(definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are not tried either, which would take each its time; the next parse tries again."""
    tried: list[str] = []

    def refuse(self: FolderSource, name: str, text: str) -> None:
        tried.append(name)
        raise OSError("read-only file system")

    monkeypatch.setattr(FolderSource, "write", refuse)
    for name in ("one", "two"):
        (definitions / f"{name}.yaml").write_text(GOOD.format(name=name))

    with pytest.warns(DefinitionWarning, match="could not be kept: read-only"):
        dags = {dag.dag_id for dag in workflow_dags()}

    assert dags == {"one", "two"}
    assert len(tried) == 1


def test_without_cache_an_outage_is_a_visible_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to serve there is one DAG that says why."""
    monkeypatch.setenv("CCH_DEFINITIONS_FOLDER", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CCH_CACHE_FOLDER", str(tmp_path / "cache"))

    dags = served()

    assert set(dags) == {SOURCE_ERROR_DAG}
    assert "nowhere" in dags[SOURCE_ERROR_DAG].doc_md


def test_one_task_reads_one_definition(definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Airflow executes a task, no other definition is read and nothing is listed."""
    for number in range(20):
        (definitions / f"flow{number}.yaml").write_text(GOOD.format(name=f"flow{number}"))
    read: list[str] = []
    listed: list[bool] = []
    plain_read, plain_stamps = FolderSource.read, FolderSource.stamps

    def counting_read(self: FolderSource, name: str, known_stamp: str = "") -> Any:
        read.append(name)
        return plain_read(self, name, known_stamp)

    def counting_stamps(self: FolderSource) -> dict[str, str]:
        listed.append(True)
        return plain_stamps(self)

    monkeypatch.setattr(FolderSource, "read", counting_read)
    monkeypatch.setattr(FolderSource, "stamps", counting_stamps)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "flow7")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "A")

    dags = served()

    assert set(dags) == {"flow7"}
    assert read == ["flow7.yaml"]
    assert not listed
