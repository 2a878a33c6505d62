"""Airflow in the tests' process, with a home and database of its own; shared by all tests that load Airflow.

Airflow reads its configuration when it is imported, so this cannot wait for a fixture.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="cch-airflow-"))
#: Name → role of the people who use the API in tests.
USERS = {"ada": "admin", "uma": "user", "vic": "viewer", "nil": "viewer", "una": "user"}
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": os.environ.get("CCH_TESTS_AUTH_MANAGER", "tests.api.people.People"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(HOME / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for HS512, which wants 64 bytes",
        "AIRFLOW__API__SECRET_KEY": "another secret of the tests",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
)
