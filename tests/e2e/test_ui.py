"""A person starts a workflow in Airflow's UI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from cch.ledger.records import instance_id_of_run
from cch.stack.layout import USER
from tests.e2e.conftest import Stack, eventually

WORKFLOW = "import_vn_memphis_v1"
#: Without these, Chromium looks for hosts outside, of which a closed network has none.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
def page(stack: Stack, tmp_path: Path) -> Iterator[Page]:
    """A browser that is logged in."""
    browser_path = which("chromium") or which("chromium-browser") or which("google-chrome")
    if not browser_path:
        assert not os.environ.get("CI"), "CI must have a browser: .ci/run installs Chromium"
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(45_000)
        page.goto(f"{stack.local.layout.ui_url}/")
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", stack.local.password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/auth/login" not in url)
        yield page
        browser.close()


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

    (run_id,) = eventually("the run", started)
    status = stack.finished(instance_id_of_run(WORKFLOW, run_id))
    assert status["status"] == "completed"
    assert status["correlation_id"] == "BOL-UI"
    assert status["context"]["shipmentId"] == "SHP-UI"
    assert "SUCCESS" in stack.cch("status", "BOL-UI").stdout
