"""``cch validate`` and ``cch graph``."""

from __future__ import annotations

import json

import pytest
from cli_office import ENRICH

UNKNOWN_TARGET = ENRICH.replace("on_success: Done\n  Report", "on_success: Dnoe\n  Report")
#: Nothing handles an ERROR reply: a warning.
CARELESS = ENRICH.replace("    on_failure: Report\n", "").split("  Report:")[0] + "  Done:\n    type: end\n"


@pytest.fixture(autouse=True)
def _here(office):
    pass


def test_good_definitions_pass(office, cch):
    """Validation of good files exits with 0 and lists what was checked."""
    office.write("enrich.yaml")

    result = cch("validate")

    assert result.exit_code == 0, result.stderr
    assert "enrich_v1" in result.stdout
    assert "good: files 1, errors 0, warnings 0" in result.stdout


def test_a_problem_shows_its_place_with_a_caret(office, cch):
    """An error is shown as file:line:column with code, message, source line, caret and hint; the exit code is 1."""
    path = office.write("enrich.yaml", UNKNOWN_TARGET)
    line = UNKNOWN_TARGET.splitlines().index("    on_success: Dnoe") + 1

    result = cch("validate", path)

    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[0] == f"{path}:{line}:5: error CCH-G001: there is no node 'Dnoe'"
    assert lines[1] == "        on_success: Dnoe"
    assert lines[2] == "        ^"
    assert "did you mean 'Done'?" in lines[3]
    assert "not good" in result.stdout


def test_all_problems_of_all_files_come_at_once(office, cch):
    """One bad file does not hide the problems of another."""
    office.write("a.yaml", UNKNOWN_TARGET)
    office.write("b.yaml", "workflow_id: [\n")
    office.write("c.yaml", ENRICH.replace("type: end", "type: ent").replace("enrich_v1", "other_v1"))

    result = cch("validate", "--json")

    found = json.loads(result.stdout)
    assert {problem["code"] for problem in found["problems"]} == {"CCH-G001", "CCH-D001", "CCH-D023"}
    assert found["files"] == 3


def test_the_json_form_has_every_field(office, cch):
    """--json prints one object with every problem's fields and nothing else, also when it fails."""
    path = office.write("enrich.yaml", UNKNOWN_TARGET)

    result = cch("validate", "--json", path)

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["ok"] is False
    assert found["problems"] == [
        {
            "code": "CCH-G001",
            "severity": "error",
            "file": str(path),
            "line": 16,
            "column": 5,
            "message": "there is no node 'Dnoe'",
            "hint": "did you mean 'Done'?",
        }
    ]


def test_warnings_fail_only_when_strict(office, cch):
    """A warning is shown and passes; with --strict it fails."""
    path = office.write("enrich.yaml", CARELESS)

    lenient, strict = cch("validate", path), cch("validate", "--strict", path)

    assert lenient.exit_code == 0
    assert "warning CCH-G103" in lenient.stderr
    assert strict.exit_code == 1


def test_two_files_may_not_share_an_id(office, cch):
    """Definitions are checked together: a second one with the same workflow_id is an error."""
    office.write("a.yaml")
    office.write("b.yaml")

    result = cch("validate")

    assert result.exit_code == 1
    assert "CCH-G007" in result.stderr


@pytest.mark.parametrize("path", ["nowhere", "nowhere.yaml"])
def test_a_path_that_does_not_exist_is_wrong_use(cch, path):
    """A path that is not there exits with 2 and one sentence."""
    result = cch("validate", path)

    assert result.exit_code == 2
    assert result.stderr == f"cch: {path} does not exist\n"


def test_a_folder_without_definitions_is_wrong_use(office, cch):
    """Checking nothing must not look like success."""
    (office.home / "workflow-definitions").mkdir()

    result = cch("validate")

    assert result.exit_code == 2
    assert "there is no definition" in result.stderr


def test_a_file_that_is_no_text_is_a_problem_with_a_place(office, cch):
    """Bytes that are no UTF-8 are reported where they stand; the other files are still checked."""
    office.write("good.yaml")
    office.write("bad.yaml").write_bytes(b"workflow_id: a\nname: \xff\n")

    result = cch("validate", "--json")

    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("CCH-D001", 2, 7)


def test_kept_versions_and_hidden_files_are_not_checked(office, cch):
    """A folder source keeps old versions under by-digest/; they are nobody's mistake."""
    office.write("good.yaml")
    kept = office.home / "workflow-definitions" / "by-digest" / "old.yaml"
    kept.parent.mkdir()
    kept.write_text("broken: [")

    result = cch("validate", "--json")

    assert json.loads(result.stdout)["files"] == 1


def test_the_graph_is_mermaid_by_default(office, cch):
    """A definition file becomes a flowchart on stdout."""
    path = office.write("enrich.yaml")

    result = cch("graph", path)

    assert result.exit_code == 0
    assert result.stdout.startswith("flowchart TD\n")
    assert '-->|"on_response"|' in result.stdout


def test_the_graph_as_json_has_nodes_edges_and_regions(office, cch):
    """A workflow id in the project's folder is found, whatever its file is called."""
    office.write("some-name.yaml")

    result = cch("graph", "enrich_v1", "--format", "json")

    found = json.loads(result.stdout)
    assert found["workflow_id"] == "enrich_v1"
    assert [node["name"] for node in found["nodes"]] == ["Enrich", "Mark", "Report", "Done"]
    assert found["regions"][0]["head"] == "Enrich"


def test_the_graph_as_tasks_names_every_airflow_task(office, cch):
    """The table shows what Airflow will show."""
    office.write("enrich_v1.yaml")

    result = cch("graph", "enrich_v1", "--format", "tasks")

    assert result.exit_code == 0
    assert "region (wait)" in result.stdout
    assert "none_failed_min_one_success" in result.stdout


def test_a_graph_of_nothing_is_wrong_use(cch):
    """An unknown workflow or file exits with 2, an unknown format too."""
    assert cch("graph", "nope").exit_code == 2
    assert cch("graph", "nope.yaml").exit_code == 2
    assert cch("graph", "nope", "--format", "png").exit_code == 2


def test_a_graph_of_a_broken_definition_says_what_is_broken(office, cch):
    """Graph shows problems as validate does, with 1."""
    path = office.write("enrich.yaml", UNKNOWN_TARGET)

    result = cch("graph", path)

    assert result.exit_code == 1
    assert "CCH-G001" in result.stderr
    assert "        ^" in result.stderr


ADVICE = "  Start: {type: set_state, on_success: Done, on_failure: Done}\n  Done: {type: end}\n"
HEAD = "workflow_id: w_v1\nworkflow_name: W\nentry_point: Start\nnodes:\n"


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 0), (("--fail-on", "advice"), 1)])
def test_the_level_that_fails_can_be_chosen(office, cch, options, code):
    """Advice is shown, and fails nothing unless it is asked for."""
    (office.home / "w.yaml").write_text(HEAD + ADVICE)

    result = cch("validate", "w.yaml", *options)

    assert result.exit_code == code
    assert "advice CCH-G120" in result.stdout + result.stderr


def test_problems_as_sarif(office, cch):
    """With rule, level and place of each."""
    (office.home / "w.yaml").write_text(HEAD + ADVICE.replace("on_success: Done", "on_success: Doen"))

    found = json.loads(cch("validate", "w.yaml", "--format", "sarif").stdout)

    (run,) = found["runs"]
    results = {each["ruleId"]: each for each in run["results"]}
    assert results["CCH-G001"]["level"] == "error"
    assert results["CCH-G001"]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "w.yaml"}, "region": {"startLine": 5, "startColumn": 28},
    }  # fmt: skip
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(results)


def test_problems_as_annotations(office, cch):
    """As GitHub Actions shows them in the lines of a change."""
    (office.home / "w.yaml").write_text(HEAD + ADVICE)

    lines = cch("validate", "w.yaml", "--format", "github").stdout.splitlines()

    message = "nothing takes the on_failure of 'Start' (the node cannot fail: leave it out)"
    assert lines == [f"::notice file=w.yaml,line=5,col=46,title=CCH-G120::{message}"]


def test_a_definition_comes_from_stdin(cch):
    """The way of editors."""
    result = cch("validate", "-", "--json", stdin=HEAD + ADVICE.replace("on_success: Done", "on_success: Doen"))

    assert {problem["file"] for problem in json.loads(result.stdout)["problems"]} == {"-"}
