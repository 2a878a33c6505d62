"""``make pictures``: start a stack, fill it, and photograph every page of the dashboard in both themes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from cch.stack.layout import environment
from cch.stack.local import LocalStack
from tests.e2e.browser import chromium, logged_in
from tests.e2e.conftest import ROOT, Stack, eventually
from tests.pictures.scenes import Scenes

HOME = ROOT / "build" / "pictures"
THEMES = ("light", "dark")
SCREEN, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TALL = {"width": 1280, "height": 1700}


def _nothing(_page: Page) -> None:
    """The page is as it opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: the place in the dashboard, the heading that shows that it is there, and what is done on it."""

    name: str
    place: str
    heading: str
    then: Callable[[Page], None] = _nothing
    size: dict[str, int] | None = None


def _bottom(page: Page) -> None:
    page.evaluate("scrollTo(0, document.body.scrollHeight)")


def _answer(page: Page) -> None:
    held = page.get_by_role("listitem").filter(has_text="MSCU4410291")
    held.get_by_role("button", name="Answer").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Decision").select_option("inspect")
    dialog.get_by_label("Your name").fill("A. Officer")


def _start(page: Page) -> None:
    page.get_by_role("button", name="Start").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Business key").fill("MEDU7710042")
    dialog.get_by_label("Bill of lading").fill("MEDU7710042")
    dialog.get_by_label("Container").fill("MEDU 771004-2")


def _preview(page: Page, button: str, reason: str) -> None:
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_label("What will be done")).to_be_visible()


def _retry(page: Page) -> None:
    _preview(page, "Retry from here", "Customs have found the tariff")


def _retry_all(page: Page) -> None:
    _preview(page, "Retry all", "Customs know these bills now")


def _open_orphan(page: Page) -> None:
    row = page.get_by_role("row").filter(has=page.get_by_role("link")).first
    row.get_by_role("button", name="reply").click()
    expect(page.get_by_role("button", name="Attach", exact=True).first).to_be_visible()


def pictures(ids: dict[str, str]) -> list[Picture]:
    loop, flight, parallel = (f"/instances/{ids[name]}" for name in ("loop", "flight", "parallel"))
    failed, held = (f"/instances/{ids[name]}" for name in ("failed", "held"))
    return [
        Picture(name="instances", place="/", heading="Instances"),
        Picture(name="instance", place=f"{loop}?node=Enrich_Consignment", heading="MEDU7710042"),
        Picture(name="retry", place=f"{failed}?node=Ask_Customs", heading="MSKU9011735", then=_retry),
        Picture(name="held", place=f"{held}?node=Create_Declaration", heading="ONEY9042217"),
        Picture(name="map", place=f"{flight}?node=Screen_All", heading="LX138"),
        Picture(name="timeline", place=f"{parallel}?node=Declaration", heading="SHP-2026", then=_bottom),
        Picture(name="context", place=f"{parallel}?node=Declaration&tab=context", heading="SHP-2026", then=_bottom),
        Picture(name="tasks", place="/tasks", heading="Human tasks", then=_answer),
        Picture(name="messages", place="/messages", heading="Messages", then=_open_orphan),
        Picture(name="incidents", place="/incidents", heading="Incidents"),
        Picture(name="retry-all", place="/incidents", heading="Incidents", then=_retry_all),
        Picture(name="batch", place=f"/batches/{ids['batch']}", heading="Hold"),
        Picture(name="figures", place="/workflows/import_correction_v1?tab=figures", heading="Import", size=TALL),
        Picture(name="workflows", place="/workflows", heading="Workflows"),
        Picture(name="workflow", place="/workflows/import_correction_v1", heading="Import"),
        Picture(name="start", place="/workflows/release_v1", heading="Release", then=_start),
        Picture(name="yaml", place="/workflows/import_correction_v1?tab=yaml", heading="Import"),
        Picture(name="health", place="/health", heading="Health"),
        Picture(name="phone", place=f"{loop}?node=Wait_For_Correction", heading="MEDU7710042", size=PHONE),
    ]


def _take(page: Page, picture: Picture, theme: str, url: str, folder: Path) -> None:
    page.set_viewport_size(picture.size or SCREEN)  # type: ignore[arg-type] # a TypedDict
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    page.goto("about:blank")
    page.goto(f"{url}/cch/ui/#{picture.place}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(picture.heading)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # the graph settles into its place
    picture.then(page)
    page.wait_for_timeout(700)
    page.screenshot(path=folder / f"dashboard-{picture.name}-{theme}.png", animations="disabled")


def photograph(url: str, password: str, wanted: list[Picture], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    program = chromium() or sys.exit("Chromium is needed: on Debian apt-get install chromium")
    with logged_in(program, url, password, viewport=SCREEN, locale="en-GB", timezone_id="UTC") as page:
        for picture in wanted:
            for theme in THEMES:
                _take(page, picture, theme, url, folder)
                print(f"{picture.name} {theme}", flush=True)


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    os.environ.update(CCH_HOME=str(HOME), CCH_PROJECT=str(ROOT))
    local = LocalStack.open()
    try:
        local.start(print)
        stack = Stack(local, environment(local.layout))
        stack.cch("publish")
        eventually("the DAGs", lambda: stack.api("GET", "/dags/parcel_flight_v1")[0] == 200)
        scenes = Scenes(stack)
        scenes.make()
        photograph(local.layout.ui_url, local.password, pictures(scenes.ids), HOME / "images")
    finally:
        local.stop()


if __name__ == "__main__":
    main()
