"""A person starts a workflow in Airflow's UI."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from cch.ledger.records import instance_id_of_run
from tests.e2e.conftest import Stack

WORKFLOW = "import_vn_memphis_v1"


def test_trigger_form_asks_for_the_initial_context(stack: Stack, page: Page) -> None:
    """The form has a field for each required key, refuses to start without them, and starts with them."""
    page.goto(f"{stack.local.layout.ui_url}/dags/{WORKFLOW}")
    page.get_by_role("button", name="Trigger").first.click()
    expect(page.get_by_text("This field is required").first).to_be_visible()
    page.fill("#element_shipmentId", "SHP-UI")
    page.fill("#element_originCountry", "VN")
    page.fill("#element_destinationCountry", "US")
    page.fill("#element__correlation_id", "BOL-UI")
    before = {run["dag_run_id"] for run in stack.api("GET", f"/dags/{WORKFLOW}/dagRuns?limit=100")[1]["dag_runs"]}

    page.get_by_role("button", name="Trigger").last.click()

    def started() -> set[str]:
        runs = stack.api("GET", f"/dags/{WORKFLOW}/dagRuns?limit=100")[1]["dag_runs"]
        return {run["dag_run_id"] for run in runs} - before

    (run_id,) = stack.eventually("the run", started)
    status = stack.finished(instance_id_of_run(WORKFLOW, run_id))
    assert status["status"] == "completed"
    assert status["correlation_id"] == "BOL-UI"
    assert status["context"]["shipmentId"] == "SHP-UI"
    assert "SUCCESS" in stack.cch("status", "BOL-UI").stdout
