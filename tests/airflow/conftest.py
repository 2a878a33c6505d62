"""Airflow in this process, with a home and database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported


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
