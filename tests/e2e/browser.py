"""Chromium, logged in to a stack's Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from typing import Any

from playwright.sync_api import Page, sync_playwright

from cch.stack.layout import USER

#: Without these, Chromium looks for hosts outside, of which a closed network has none.
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """The browser's program; None if this machine has none."""
    return which("chromium") or which("chromium-browser") or which("google-chrome")


@contextmanager
def logged_in(program: str, url: str, password: str, **options: Any) -> Iterator[Page]:
    """A page of Airflow's UI, of the stack's user. ``options``: of Playwright's ``new_page``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        page = browser.new_page(**options)
        page.set_default_timeout(240_000)
        page.goto(f"{url}/")
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda at: "/auth/login" not in at)
        yield page
        browser.close()
