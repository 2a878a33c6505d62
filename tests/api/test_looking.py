"""Looking at workflows and instances through Airflow's app."""

from __future__ import annotations

import pytest

from tests.api.conftest import Office


@pytest.mark.parametrize(
    "path", ["/workflows", "/workflows/open_ask", "/instances", "/tasks", "/messages", "/health", "/me"]
)
async def test_every_list_answers(office: Office, path: str) -> None:
    """Also when there is nothing yet."""
    answer = await office.get(path)

    assert answer.status_code == 200
