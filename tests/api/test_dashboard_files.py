"""What the dashboard needs of the server: its files, the graph of an instance, the instance of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from cch.api import dashboard
from cch.ledger.records import instance_id_of_run
from tests.api.conftest import Office
from tests.api.test_access import is_problem


async def _get(app: Any, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path)


async def test_built_files_are_served_and_may_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    """The page is asked for anew each time; files whose names have a digest are kept."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>the dashboard</p>")
    (tmp_path / "assets" / "index-1a2b.js").write_text("1")
    app = dashboard.Dashboard(tmp_path)

    page, asset = [await _get(app, path) for path in ("/", "/assets/index-1a2b.js")]

    assert "the dashboard" in page.text
    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    assert "default-src 'self'" in page.headers["content-security-policy"]


async def test_without_built_files_the_page_says_how_to_build_them(tmp_path: Path) -> None:
    """A machine without Node.js runs everything else."""
    answer = await _get(dashboard.Dashboard(tmp_path / "nothing"), "/")

    assert answer.status_code == 200
    assert "make ui" in answer.text


async def test_the_dashboard_is_in_airflows_pages(office: Office) -> None:
    """In the navigation, on a DAG and on a run; with addresses relative to Airflow's base."""
    headers = {"Authorization": f"Bearer {office.tokens['ada']}"}

    plugins = (await office.client.get("/api/v2/plugins", headers=headers)).json()["plugins"]
    views = next(plugin["external_views"] for plugin in plugins if plugin["name"] == "cch")

    assert [view["destination"] for view in views] == ["nav", "dag", "dag_run"]
    assert all(view["href"].startswith("cch/ui/") for view in views)


async def test_an_instance_has_the_graph_that_it_runs(office: Office) -> None:
    """With the form of what it waits for."""
    instance = await office.start("open_ask")

    graph = (await office.get(f"/instances/{instance}/graph")).json()
    published = (await office.get("/workflows/open_ask")).json()["graph"]

    assert graph == published
    assert is_problem(await office.get("/instances/nobody/graph"), 404, "instance_not_found")


@pytest.mark.parametrize("user", ["ada", "una"])
async def test_the_instance_of_a_run_is_found(office: Office, user: str) -> None:
    """By the run's id, which is the instance's or what it was made from; for who may read the workflow."""
    own = await office.start("secret_ask", context={})
    run = "manual__2026-01-05"
    made = await office.start("secret_ask", context={}, instance_id=instance_id_of_run("secret_ask", run))

    answers = [await office.get(f"/workflows/secret_ask/runs/{each}", user) for each in (own, run)]

    if user == "una":
        assert all(is_problem(answer, 404, "run_not_found") for answer in answers)
    else:
        assert [answer.json()["id"] for answer in answers] == [own, made]
        assert is_problem(await office.get(f"/workflows/open_ask/runs/{own}"), 404, "run_not_found")
