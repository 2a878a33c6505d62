"""The permissions of FAB's auth manager, which Amazon MWAA's image uses and many installations have."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


def test_permissions_under_fab() -> None:
    """All of :mod:`tests.api.fab_people`: Airflow takes its auth manager once a process, so this is another."""
    if not find_spec("airflow.providers.fab"):
        pytest.skip("apache-airflow-providers-fab is not installed (it is in the extra `dev`)")
    file = Path(__file__).with_name("fab_people.py")
    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    pytest_quietly = [sys.executable, "-m", "pytest", "-q", "-W", "default"]  # FAB's imports warn
    answer = subprocess.run(
        [*pytest_quietly, "-p", "no:cacheprovider", str(file)],
        env={**os.environ, "CCH_TESTS_AUTH_MANAGER": manager},
        cwd=file.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-2000:]
