"""Who may do what under Airflow's FAB auth manager; :mod:`tests.api.test_fab` runs this in a process of its own.

Its people have FAB's own roles, but for two: ``ona`` may read one DAG, ``nil`` may log in, and nothing else.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import Office
from tests.api.test_access import is_problem
from tests.api.test_actions import runs_of

PASSWORD = "a password of the tests"
ROLES = {"ada": "Admin", "uma": "User", "vic": "Viewer", "ona": "Reads open_ask", "nil": "Nothing"}
OWN_ROLES = {"Reads open_ask": [("can_read", "DAG:open_ask")], "Nothing": []}
#: What changes something, with a body that would be accepted.
ACTIONS = {"events": {"payload": {"decision": "go"}}, "cancel": {"reason": "no"}}


@pytest.fixture(scope="session")
def people(airflow_app: Any) -> None:
    """The people and their roles in FAB's tables."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        for role, permissions in OWN_ROLES.items():
            made = manager.add_role(role)
            for action, resource in permissions:
                manager.add_permission_to_role(made, manager.create_permission(action, resource))
        for name, role in ROLES.items():
            assert manager.add_user(
                name, name, name, f"{name}@example.org", manager.find_role(role), password=PASSWORD
            ), name


@pytest.fixture
async def tokens(airflow_app: Any, people: None) -> dict[str, str]:
    """User → Bearer token, as a program gets it."""
    transport = httpx.ASGITransport(app=airflow_app)
    found = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow.test") as client:
        for name in ROLES:
            answer = await client.post("/auth/token", json={"username": name, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            found[name] = answer.json()["access_token"]
    return found


async def seen(office: Office, user: str) -> tuple[set[str], set[str]]:
    """(workflows, instances) that somebody is shown."""
    workflows = (await office.get("/workflows", user)).json()["items"]
    instances = (await office.get("/instances", user)).json()["items"]
    return {one["workflow_id"] for one in workflows}, {one["id"] for one in instances}


async def test_a_viewer_may_look_but_not_touch(office: Office) -> None:
    """He sees everything; nothing that he tries changes anything."""
    instance = await office.start("open_ask")
    secret = await office.start("secret_ask", context={})

    workflows, instances = await seen(office, "vic")
    assert {"open_ask", "secret_ask"} <= workflows
    assert {instance, secret} <= instances
    assert (await office.get(f"/instances/{instance}", "vic")).status_code == 200
    for action, body in ACTIONS.items():
        assert is_problem(await office.post(f"/instances/{instance}/{action}", body, "vic"), 403, "not_allowed")
    start = {"workflow_id": "open_ask", "context": {"bl": "B"}, "instance_id": "by-vic"}
    assert is_problem(await office.post("/instances", start, "vic"), 403)
    assert runs_of("by-vic") == []
    assert (await office.get(f"/instances/{instance}")).json()["state"] == "RUNNING"


@pytest.mark.parametrize("user", ["nil", "ona"])
async def test_without_its_permission_a_dag_is_not_there(office: Office, user: str) -> None:
    """In lists, in details, and for every action: 404, as for what does not exist."""
    shown = await office.start("open_ask")
    secret = await office.start("secret_ask", context={})

    workflows, instances = await seen(office, user)
    assert "secret_ask" not in workflows
    assert secret not in instances
    assert (shown in instances, "open_ask" in workflows) == ((user == "ona"),) * 2
    assert is_problem(await office.get(f"/instances/{secret}", user), 404, "instance_not_found")
    assert is_problem(await office.get("/workflows/secret_ask", user), 404, "workflow_not_found")
    for action, body in ACTIONS.items():
        assert is_problem(await office.post(f"/instances/{secret}/{action}", body, user), 404, "instance_not_found")
    start = {"workflow_id": "secret_ask", "context": {}, "instance_id": f"by-{user}"}
    assert is_problem(await office.post("/instances", start, user), 404, "workflow_not_found")
    assert (await office.get("/tasks", user)).json()["items"] == []
    assert (await office.get("/messages", user)).json()["items"] == []


async def test_reading_one_dag_is_not_changing_it(office: Office) -> None:
    """Who may read a single DAG sees its instances, and may not touch them."""
    instance = await office.start("open_ask")

    assert (await office.get(f"/instances/{instance}", "ona")).status_code == 200
    for action, body in ACTIONS.items():
        assert is_problem(await office.post(f"/instances/{instance}/{action}", body, "ona"), 403, "not_allowed")


async def test_a_user_of_airflow_may_act(office: Office) -> None:
    """FAB's role *User* starts and cancels; the run carries the name."""
    answer = await office.post("/instances", {"workflow_id": "open_ask", "context": {"bl": "B"}}, "uma")
    instance = answer.json()["id"]

    assert answer.status_code == 201
    assert runs_of(instance) == [("open_ask", "queued", "uma")]
    cancelled = await office.post(f"/instances/{instance}/cancel", {"reason": "no"}, "uma")
    assert cancelled.json()["reason"] == "cancelled by uma: no"


async def test_me_says_who_asks(office: Office) -> None:
    """The name that FAB knows."""
    assert (await office.get("/me", "vic")).json()["name"] == "vic"
