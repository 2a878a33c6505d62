"""``cch test``: scenarios of a folder, their coverage and the report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "workflow: enrich_v1\ncontext: {shipmentId: s}\ncapabilities: {import#enrichment: [{payload: {uri: u}}]}\n"


@pytest.fixture(autouse=True)
def _here(office):
    office.write("enrich_v1.yaml")


def scenario(office, name, text):
    path = office.home / "scenarios" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_shipped_scenarios_take_every_way_of_the_shipped_definitions(cch):
    """Each definition that the project ships has scenarios that visit all its nodes and take all its ways."""
    result = cch("test", ROOT / "scenarios", "--definitions", ROOT / "workflow-definitions", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0, [each["differences"] for each in found["scenarios"] if not each["ok"]]
    assert {row["workflow_id"]: row["never_taken"] for row in found["coverage"]} == {
        path.stem: "" for path in (ROOT / "workflow-definitions").glob("*.yaml")
    }


def test_what_no_scenario_takes_is_named(office, cch):
    """The coverage counts nodes and ways, and lists those that are missing."""
    scenario(office, "good.yaml", SCENARIO + "expect: {status: completed}\n")

    (row,) = json.loads(cch("test", "--json").stdout)["coverage"]

    assert row == {
        "workflow_id": "enrich_v1", "nodes": "3/4", "ways": "2/4", "never_taken": "Report, Enrich on_failure"
    }  # fmt: skip


def test_one_that_is_not_met_fails_and_is_in_the_report(office, cch):
    """The exit code is 1; the difference is on stderr and in the JUnit file, the good one beside it."""
    scenario(office, "good.yaml", SCENARIO + "expect: {status: completed}\n")
    bad = scenario(office, "bad.yaml", SCENARIO + "name: hopeless\nexpect: {status: failed}\n")

    result = cch("test", "--junit", office.home / "report.xml")

    assert result.exit_code == 1
    assert "status is completed, expected failed" in result.stderr
    assert bad.name in result.stderr
    suite = ET.parse(office.home / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["hopeless"]


def test_a_folder_without_scenarios_and_a_scenario_without_definition_fail(office, cch):
    """Testing nothing must not look like success."""
    assert cch("test", "nowhere").exit_code == 2
    scenario(office, "lost.yaml", "workflow: nobody\n")

    result = cch("test")

    assert result.exit_code == 1
    assert "no definition" in result.stderr


def test_a_scenario_that_expects_nothing_fails(office, cch):
    """It would pass whatever the definition does."""
    scenario(office, "empty.yaml", SCENARIO)

    result = cch("test", "--json")

    (found,) = json.loads(result.stdout)["scenarios"]
    assert (result.exit_code, found["ok"]) == (1, False)
    assert "it expects nothing" in found["differences"][0]


def test_an_answer_that_nobody_asks_for_is_an_error(office, cch):
    """Mostly a capability that is misspelt."""
    text = SCENARIO.replace("capabilities: {", "capabilities: {import#enrichmnt: [{payload: {}}], ")
    scenario(office, "misspelt.yaml", text + "expect: {status: completed}\n")

    result = cch("test")

    assert result.exit_code == 1
    assert "no node of enrich_v1 asks 'import#enrichmnt'" in result.stderr


def test_a_bad_file_does_not_end_the_run(office, cch):
    """The others run, and the bad one is told by its name, also in the report."""
    scenario(office, "bad.yaml", "workflow: enrich_v1\nstart: yesterday\n")
    scenario(office, "good.yaml", SCENARIO + "expect: {status: completed}\n")

    result = cch("test", "--json", "--junit", "report.xml")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [each["ok"] for each in found["scenarios"]] == [True]
    assert list(found["unreadable"]) == ["scenarios/bad.yaml"]
    assert ET.parse(office.home / "report.xml").getroot().get("failures") == "1"


def test_definitions_without_scenarios_are_listed(office, cch):
    """And the share that is covered may be asked for."""
    office.write("lonely_v1.yaml")
    scenario(office, "good.yaml", SCENARIO + "expect: {status: completed}\n")

    found = json.loads(cch("test", "--json").stdout)
    enough, more = cch("test", "--fail-under", str(found["covered_percent"])), cch("test", "--fail-under", "100")

    assert found["without_scenarios"] == ["lonely_v1"]
    assert (enough.exit_code, more.exit_code) == (0, 1)
    assert "less than 100 %" in more.stderr


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("[{context: {shipmentId: s}}]", ""),
        ("[{context: {shipmentId: other}}]", "request 1 to import#enrichment: shipmentId is 's', expected 'other'"),
        ("[{context: {gone: 1}}]", "gone is absent, expected 1"),
        ("[{}, {}]", "requests import#enrichment: 1, expected 2"),
    ],
)
def test_requests_are_compared_by_what_they_bring(office, cch, wanted, words):
    """A context may hold more than is expected."""
    scenario(
        office, "sent.yaml", SCENARIO + f"expect: {{status: completed, requests: {{import#enrichment: {wanted}}}}}\n"
    )

    result = cch("test")

    assert result.exit_code == (1 if words else 0)
    assert words in result.stderr


def test_changes_that_no_scenario_notices_are_shown(office, cch):
    """A scenario that looks at the context notices more."""
    weak = scenario(office, "one.yaml", SCENARIO + "expect: {status: completed}\n")
    before = json.loads(cch("test", "--mutate", "--json").stdout)["unnoticed"]
    strong = "expect: {status: completed, context: {marked: true}}\n"
    weak.write_text(SCENARIO + strong)

    after = json.loads(cch("test", "--mutate", "--json").stdout)["unnoticed"]

    lost = {each["change"] for each in before if each not in after}
    assert "static_outputs has another marked" in lost
    assert all(each["line"] > 1 for each in before)
