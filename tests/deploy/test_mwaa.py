"""The package for Amazon MWAA, on the pins, the folders and the kinds of processes that MWAA has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cch.api.dashboard import FOLDER
from tests.deploy.mwaa import BUILT, ROOT, Environment, Image, running_environment
from tests.deploy.servers import program, wait_until

WORKFLOW = "import_vn_memphis_v1"
CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}


@pytest.fixture(scope="module")
def package() -> Path:
    """What `make mwaa-package` leaves."""
    answer = subprocess.run(["make", "mwaa-package"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return BUILT


@pytest.fixture(scope="module")
def environment(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """One environment for all tests."""
    for name in ("postgres", "redis-server"):
        program(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCH_PROJECT", str(ROOT))
        with running_environment(tmp_path_factory.mktemp("mwaa")) as running:
            yield running


def test_the_offline_variant_needs_no_package_index(package: Path, tmp_path: Path) -> None:
    """An environment in a network without a way out installs it, and nothing of the image is replaced."""
    image = Image.create(tmp_path / "image")
    freeze = [image.program("pip"), "freeze"]
    before = set(subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.splitlines())

    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    image.install(package / "offline", tmp_path / "airflow" / "plugins", **nowhere)

    subprocess.run([image.program("pip"), "check"], check=True, capture_output=True)
    after = set(subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.splitlines())
    assert before <= after
    version = subprocess.run([image.program("cch"), "--version"], check=True, capture_output=True, text=True).stdout
    assert version.startswith("cch ")


def test_airflow_finds_what_the_package_brings(environment: Environment) -> None:
    """Plugin and provider, once each, with nothing but a wheel in the plugins folder."""
    assert [path.suffix for path in (environment.home / "plugins").iterdir()] == [".whl"]

    _, plugins = environment.get("/api/v2/plugins", "ada")
    _, errors = environment.get("/api/v2/plugins/importErrors", "ada")
    _, providers = environment.get("/api/v2/providers?limit=100", "ada")

    assert [plugin["name"] for plugin in plugins["plugins"]].count("cch") == 1
    assert errors["total_entries"] == 0, errors
    assert [each["package_name"] for each in providers["providers"]].count("cch-airflow") == 1


def test_the_main_job_runs(environment: Environment) -> None:
    """Published and started from the command line, with two of everything and Celery; the books balance."""
    environment.run("cch", "publish")

    def served() -> bool:
        return environment.get(f"/api/v2/dags/{WORKFLOW}", "ada")[0] == 200

    wait_until("the DAG", served)
    environment.run("cch", "run", WORKFLOW, "--context", json.dumps(CONTEXT), "--watch", "--still", "240")
    environment.run("cch", "ledger", "check")

    for kind in ("SchedulerJob", "DagProcessorJob", "TriggererJob"):
        _, jobs = environment.get(f"/api/v2/jobs?job_type={kind}&is_alive=true", "ada")
        assert jobs["total_entries"] == 2, kind


def test_other_dags_run_as_before(environment: Environment) -> None:
    """An Airflow that has work of its own keeps doing it."""
    environment.ask("PATCH", "/api/v2/dags/other", "ada", {"is_paused": False})
    status, run = environment.ask("POST", "/api/v2/dags/other/dagRuns", "ada", {"logical_date": None})
    assert status == 200, run

    path = f"/api/v2/dags/other/dagRuns/{run['dag_run_id']}"
    wait_until("the end of the run", lambda: environment.get(path, "ada")[1]["state"] in ("success", "failed"))

    assert environment.get(path, "ada")[1]["state"] == "success"


def test_people_may_what_their_role_in_airflow_allows(environment: Environment) -> None:
    """Routes of a plugin have no login by themselves; MWAA's users are those of the FAB auth manager."""
    start = {"workflow_id": WORKFLOW, "context": CONTEXT}

    assert environment.get("/cch/api/v1/instances")[0] == 401
    for user in ("ada", "vic"):
        status, found = environment.get(f"/cch/api/v1/instances?workflow_id={WORKFLOW}", user)
        assert (status, len(found["items"])) == (200, 1), found
    assert environment.ask("POST", "/cch/api/v1/instances", body=start)[0] == 401
    assert environment.ask("POST", "/cch/api/v1/instances", "vic", start)[0] == 403
    assert environment.ask("POST", "/cch/api/v1/instances", "ada", start)[0] == 201


@pytest.mark.skipif(not (FOLDER / "index.html").is_file(), reason="the dashboard is not built (make ui)")
def test_the_dashboard_is_in_the_package(environment: Environment) -> None:
    """The page and what it loads, all from the plugin."""
    status, page = environment.get("/cch/ui/")

    assert status == 200
    for asset in (part.split('"')[0] for part in page.split('="./')[1:]):
        assert environment.get(f"/cch/ui/{asset}")[0] == 200, asset


def test_the_package_holds_no_secrets_and_nothing_of_this_machine(package: Path) -> None:
    """It goes into a bucket, and from there to other people's machines."""
    for file in package.rglob("*"):
        if file.suffix in {".txt", ".json", ".md"}:
            text = file.read_text()
            assert str(ROOT) not in text
            assert os.environ.get("HOME", "/root") not in text
