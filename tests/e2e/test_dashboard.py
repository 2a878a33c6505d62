"""A person looks and acts in the dashboard, inside Airflow's UI, against the running stack."""

from __future__ import annotations

import re
import signal
import uuid
from collections.abc import Iterator
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from cch.api.dashboard import FOLDER
from tests.e2e.conftest import ROOT, Stack, reply_message
from tests.e2e.ledgers import put_flight

WORKFLOW = "import_correction_v1"
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
ENRICH, CREATE = "import#enrich_consignment", "declaration_communicator#create"
#: Milliseconds; a step of a workflow takes seconds on a busy machine.
#: A page asks again every 3 s: what it does not show for so long it will not show.
expect.set_options(timeout=240_000)
REFUSED = {"status": "ERROR", "payload": {"messages": [{"code": "HITL"}]}}
ENRICHED = {"payload": {"consignmentImportEnrichedId": "e-1"}}

#: Scrolls to the end in a second or two; the most rows that there were meanwhile.
DRAG = """async box => {
  let most = 0
  while (box.scrollTop + box.clientHeight < box.scrollHeight) {
    box.scrollTop += box.scrollHeight / 60
    await new Promise(requestAnimationFrame)
    most = Math.max(most, box.querySelectorAll(".item-place").length)
  }
  return most
}"""

pytestmark = [
    pytest.mark.skipif(which("node") is None, reason="there is no Node.js on this machine"),
    pytest.mark.skipif(not (FOLDER / "index.html").is_file(), reason="the dashboard is not built: make ui"),
]


@pytest.fixture
def dashboard(stack: Stack, page: Page) -> FrameLocator:
    """The dashboard in the frame that Airflow shows it in."""
    page.goto(f"{stack.local.layout.ui_url}/plugin/cch")
    frame = page.frame_locator("iframe[title=Instances]")
    expect(frame.get_by_role("heading", name="Instances")).to_be_visible()
    return frame


@pytest.fixture
def refused_once(stack: Stack) -> Iterator[None]:
    """The enrichment of every instance is refused at first."""
    stack.mock("PUT", "/scenario", {"capabilities": {ENRICH: [REFUSED, ENRICHED]}})
    yield
    stack.mock("DELETE", "/scenario")


def _waiting(stack: Stack, key: str, capabilities: dict[str, Any], until: str) -> str:
    """Start an instance with these answers; its id, when it waits at ``until``, a node or capability."""
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": capabilities})
    stack.start(WORKFLOW, {"consignmentId": "c-1"}, instance, correlation_id=key)

    def waits() -> bool:
        nodes = stack.status(instance).get("nodes", ())
        return any(node["state"] == "WAITING" and until in (node["name"], node["waits_for"]) for node in nodes)

    stack.eventually(f"{key} waits at {until}", waits)
    return instance


@pytest.mark.usefixtures("refused_once")
def test_start_loop_and_human_wait(stack: Stack, dashboard: FrameLocator, page: Page) -> None:
    """Somebody starts a workflow, answers what waits for a person, and sees the loop turn and the instance succeed."""
    dashboard.get_by_role("link", name="Workflows").click()
    dashboard.get_by_role("link", name=re.compile("let a person correct")).click()
    dashboard.get_by_role("button", name="Start").click()
    dialog = dashboard.get_by_role("dialog")
    dialog.get_by_label("Business key").fill("BOL-DASH-1")
    dialog.get_by_label("consignmentId").fill("c-1")
    dialog.get_by_role("button", name="Start").click()

    expect(dashboard.get_by_role("heading", name=re.compile("BOL-DASH-1"))).to_be_visible()
    step = dashboard.get_by_role("complementary", name="Step")
    expect(step.get_by_role("heading", name=re.compile("Wait For Correction"))).to_be_visible()
    step.get_by_role("button", name="Answer").click()
    dashboard.get_by_role("dialog").get_by_label("JSON").fill('{"messages": []}')
    dashboard.get_by_role("dialog").get_by_role("button", name="Send").click()

    expect(dashboard.get_by_label("2 visits").first).to_be_visible()
    expect(dashboard.get_by_role("heading", name=re.compile("BOL-DASH-1"))).to_contain_text("succeeded")
    # The address of Airflow's page says where we are.
    assert "/plugin/cch#/instances/" in page.url


def test_attach_an_orphan_and_search(stack: Stack, dashboard: FrameLocator) -> None:
    """An orphan is attached to the request that it answers; the instance is found by its bill of lading, and done."""
    capabilities = {ENRICH: [ENRICHED], CREATE: [{"never": True}]}
    instance = _waiting(stack, "BOL-DASH-ORPHAN", capabilities, CREATE)
    message = stack.send(
        "orchestrator-reply-queue",
        reply_message(instance, CREATE, {"declarationId": "d-7"}, inReplyTo=str(uuid.uuid4()), status="SUCCESS"),
    )
    assert stack.fate("orchestrator-reply-queue", message)["fate"] == "orphan"

    dashboard.get_by_role("link", name="Messages").click()
    row = dashboard.get_by_role("row").filter(has=dashboard.get_by_role("link", name=instance[:13]))
    row.get_by_role("button", name="reply").click()
    dashboard.get_by_role("button", name="Attach", exact=True).click()
    expect(row).to_have_count(0)

    dashboard.get_by_role("link", name="Instances").click()
    dashboard.get_by_role("searchbox").fill("BOL-DASH-O")
    expect(dashboard.get_by_role("row")).to_have_count(2)  # with the heads of the columns
    dashboard.get_by_role("link", name="BOL-DASH-ORPHAN").click()
    expect(dashboard.get_by_role("heading", name=re.compile("BOL-DASH-ORPHAN"))).to_contain_text("succeeded")
    assert stack.finished(instance)["context"]["declarationId"] == "d-7"


def test_cancelling_asks_first(stack: Stack, page: Page) -> None:
    """On the tab of an Airflow run: nothing is cancelled before it is confirmed, and then with its reason."""
    instance = _waiting(stack, "BOL-DASH-CANCEL", {ENRICH: [{"never": True}]}, ENRICH)
    page.goto(f"{stack.local.layout.ui_url}/dags/{WORKFLOW}/runs/{instance}/plugin/cch-instance")
    frame = page.frame_locator("iframe[title=Instance]")
    heading = frame.get_by_role("heading", level=1)

    expect(heading).to_contain_text("BOL-DASH-CANCEL")
    frame.get_by_role("button", name="Cancel").click()
    frame.get_by_label("Reason").fill("the shipper withdrew it")
    expect(heading).not_to_contain_text("cancelled")
    frame.get_by_role("button", name="Cancel the instance").click()

    expect(heading).to_contain_text("cancelled")
    expect(frame.get_by_text("the shipper withdrew it").first).to_be_visible()


def test_holding_and_deciding(stack: Stack, page: Page) -> None:
    """An instance is held and released, and its step is decided by hand after a preview; then it goes on."""
    instance = _waiting(stack, "BOL-DASH-MEND", {ENRICH: [{"never": True}]}, ENRICH)
    page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/instances/{instance}")

    page.get_by_role("button", name="Hold").click()
    page.get_by_label("Reason").fill("wrong port")
    page.get_by_role("button", name="Hold the instance").click()
    expect(page.get_by_text("Held by ")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    page.get_by_role("button", name="Release the instance").click()
    expect(page.get_by_text("Held by ")).to_have_count(0)

    page.get_by_role("button", name="Decide by hand").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("JSON").fill('{"consignmentImportEnrichedId": "by-hand"}')
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_label("What will be done")).to_be_visible()
    dialog.get_by_role("button", name="Decide").click()

    expect(dialog).to_have_count(0)
    assert stack.finished(instance)["context"]["consignmentImportEnrichedId"] == "by-hand"


def test_sending_again(stack: Stack, page: Page) -> None:
    """A request that got lost on the way is sent again, with the same command id, and the page says where it went."""
    instance = _waiting(stack, "BOL-DASH-AGAIN", {ENRICH: [{"never": True}]}, ENRICH)
    stack.eventually("the request", lambda: len(stack.requests(instance)) == 1)
    page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/instances/{instance}")

    page.get_by_role("button", name="Send again").click()
    page.get_by_role("dialog").get_by_role("button", name="Send again").click()

    expect(page.get_by_text("Sent again to cch-dev-local-capability-import-request-queue")).to_be_visible()
    stack.eventually("the second copy", lambda: [request["times"] for request in stack.requests(instance)] == [2])


def test_ten_thousand_items(stack: Stack, page: Page) -> None:
    """A map's list is dragged to its end: the rows in sight are all that is drawn, and all that is asked for."""
    instance = put_flight(stack.client("dynamodb"), parcels=10_000, with_journal=100)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/items?" in request.url else None)
    page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/instances/{instance}?node=Screen_All")
    box = page.get_by_role("region", name="Items of Screen_All")
    expect(box.get_by_role("button", name="P-00001")).to_be_visible()

    most = box.evaluate(DRAG)

    last = box.get_by_role("button", name="P-10000")
    expect(last).to_contain_text("succeeded")
    expect(page.get_by_role("heading", name="10,000 items")).to_be_visible()
    assert 0 < most < 50
    assert len(asked) < 20
    last.click()
    expect(page.get_by_text("Item P-10000")).to_be_visible()


def test_ledger_away(stack: Stack, page: Page) -> None:
    """While AWS hangs, lists and an instance show what Airflow knows and say so; afterwards everything is back."""
    instance = _waiting(stack, "BOL-DASH-AWAY", {ENRICH: [REFUSED]}, "Wait_For_Correction")
    notice = page.get_by_text("Only what Airflow itself knows is shown")
    stack.local.processes.signal("aws", signal.SIGSTOP)
    try:
        page.goto(f"{stack.local.layout.ui_url}/cch/ui/")
        expect(notice).to_be_visible()
        page.get_by_role("link", name="BOL-DASH-AWAY").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("BOL-DASH-AWAY")
        expect(notice).to_be_visible()
    finally:
        stack.local.processes.signal("aws", signal.SIGCONT)

    step = page.get_by_role("complementary", name="Step")
    expect(step.get_by_role("heading", name=re.compile("Wait For Correction"))).to_be_visible()
    expect(notice).to_have_count(0)
    assert stack.status(instance)["status"] == "running"


def test_accessible_in_light_and_dark(stack: Stack, page: Page) -> None:
    """axe finds nothing on any page, in the light theme on a screen, in the dark one on a phone."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make ui")
    instance = _waiting(stack, "BOL-DASH-AXE", {ENRICH: [REFUSED]}, "Wait_For_Correction")
    axe = AXE.read_text()
    places = {
        "/": "Instances",
        f"/instances/{instance}": "BOL-DASH-AXE",
        f"/instances/{instance}?tab=context": "BOL-DASH-AXE",
        "/tasks": "Human tasks",
        "/messages": "Messages",
        "/incidents": "Incidents",
        "/workflows": "Workflows",
        f"/workflows/{WORKFLOW}?tab=figures": "Import",
        f"/workflows/{WORKFLOW}": "Import",
        f"/workflows/{WORKFLOW}?tab=yaml": "Import",
        "/health": "Health",
    }
    found = []
    for theme, width in (("light", 1280), ("dark", 390)):
        page.set_viewport_size({"width": width, "height": 860})
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        page.goto(f"{stack.local.layout.ui_url}/cch/ui/")
        page.evaluate(axe)
        for place, heading in places.items():
            page.evaluate("place => { location.hash = place }", place)
            expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
            page.wait_for_load_state("networkidle")
            violations = page.evaluate("axe.run().then(({violations}) => violations)")
            found += [
                f"{theme} {width} {place}: {violation['id']} at {violation['nodes'][0]['target']}"
                f" {violation['nodes'][0]['failureSummary']}"
                for violation in violations
            ]
    page.evaluate("localStorage.removeItem('theme')")

    assert not found, "\n".join(found)


def test_a_page_is_told_of_a_change(stack: Stack, page: Page) -> None:
    """It opens one stream through Airflow's own server, and shows what another has done."""
    instance = _waiting(stack, "BOL-DASH-TOLD", {ENRICH: [{"never": True}]}, ENRICH)
    with page.expect_response(lambda answer: "/cch/api/v1/watch?" in answer.url) as stream:
        page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/instances/{instance}")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("BOL-DASH-TOLD")

    status, _, _ = stack.call("POST", f"/cch/api/v1/instances/{instance}/cancel", {"reason": "by somebody else"})

    assert status == 200
    assert (stream.value.status, stream.value.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert f"look=%2Finstances%2F{instance}" in stream.value.url
    expect(heading).to_contain_text("cancelled")
