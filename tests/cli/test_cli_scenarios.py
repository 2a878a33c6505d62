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


def test_a_folder_without_scenarios_and_a_scenario_without_definition_are_wrong_use(office, cch):
    """Testing nothing must not look like success."""
    assert cch("test", "nowhere").exit_code == 2
    scenario(office, "lost.yaml", "workflow: nobody\n")

    result = cch("test")

    assert result.exit_code == 2
    assert "no definition" in result.stderr
