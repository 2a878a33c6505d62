"""Airflow in this process, with a home and database of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Airflow reads its configuration when it is imported, so this cannot wait for a fixture.
_HOME = Path(tempfile.mkdtemp(prefix="cch-airflow-"))
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated metadata database."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of definitions, and a cache of its own, that the factory reads."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    monkeypatch.setenv("CCH_DEFINITIONS_FOLDER", str(folder))
    monkeypatch.setenv("CCH_CACHE_FOLDER", str(tmp_path / "cache"))
    monkeypatch.setenv("CCH_REFRESH_SECONDS", "0")
    return folder
