"""The first start of this release on a database that a release before versions left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cch.definition.reader import digest_of
from cch.definition.version import parse_version
from cch.stack.layout import free_port
from tests.deploy.servers import postgres

pytestmark = pytest.mark.hooks

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "data" / "airflow" / "before_versions.json"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/airflow.db"
        return
    port = free_port()
    with postgres(port):
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"


def test_live_runs_are_adopted_and_keep_their_tasks(database: str, tmp_path: Path) -> None:
    """A run that waits and one that had not begun keep their tasks, whatever is published afterwards."""
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    (tmp_path / "definitions").mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "CCH_DEFINITIONS_FOLDER": str(tmp_path / "definitions"),
        "CCH_CACHE_FOLDER": str(tmp_path / "cache"),
        "CCH_REFRESH_SECONDS": "0",
        "PUBLISHED": recorded["definition"].replace("Ask", "Query").replace("Then", "Afterwards"),
    }
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.airflow.upgrading", str(RECORDED)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]

    stand = json.loads(answer.stdout.splitlines()[-1])["stand"]

    for name in ("waiting", "queued"):
        version = parse_version(stand[name]["version"])
        assert version is not None
        assert version.digest == digest_of(recorded["definition"])
        assert stand[name]["graph"] == ["Ask", "E", "Then"]
        assert stand[name]["state"] == "running"
    assert stand["waiting"]["tasks"] == {"Ask": "deferred", "Then": "", "E": ""}
    assert set(stand["queued"]["tasks"]) == {"Ask", "Then", "E"}
    assert stand["done"]["state"] == "success"
    assert stand["done"]["version"] is None
