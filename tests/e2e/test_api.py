"""The REST API of a running Airflow, over HTTP."""

from __future__ import annotations

import urllib.parse
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Stack, reply_message


@dataclass
class Api:
    """A client with a token."""

    stack: Stack
    token: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON and headers."""
        return self.stack.call(method, f"/cch/api/v1{path}", body, token=self.token, **headers)

    def get(self, path: str) -> Any:
        status, body, _ = self.call("GET", path)
        assert status == 200, body
        return body

    def start(self, context: dict[str, Any], **body: Any) -> str:
        """A new instance of the correction workflow; its id."""
        wish = {"workflow_id": "import_correction_v1", "context": context, **body}
        status, made, _ = self.call("POST", "/instances", wish)
        assert status == 201, made
        identifier: str = made["id"]
        return identifier

    def wait_of(self, instance: str, kind: str) -> Any:
        """The instance's open wait of this kind, once there is one."""

        def look() -> Any:
            waits = self.get(f"/instances/{instance}")["waits"]
            return next((wait for wait in waits if wait["kind"] == kind), None)

        return self.stack.eventually(f"a wait for {kind} of {instance}", look)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    """Logged in as the stack's user."""
    opened = Api(stack, stack.token())
    stack.eventually("the DAG", lambda: stack.api("GET", "/dags/import_correction_v1")[0] == 200)
    return opened


def test_from_start_to_end_over_http(api: Api) -> None:
    """Start, request, an ERROR, a person's event, done; every step is seen."""
    instance, key = str(uuid.uuid4()), f"BOL-{uuid.uuid4().hex[:8]}"
    answers = [{"status": "ERROR", "payload": {"messages": [{"code": "HITL"}]}}, {"payload": {"x": 1}}]
    api.stack.mock_scenario(instance, {"capabilities": {"import#enrich_consignment": answers}})

    api.start({"consignmentId": "c-1"}, instance_id=instance, correlation_id=key)
    again, _, _ = api.call(
        "POST",
        "/instances",
        {"workflow_id": "import_correction_v1", "context": {"consignmentId": "c-2"}, "instance_id": instance},
    )
    wait = api.wait_of(instance, "event")
    found = (
        api.get(f"/instances?correlation_prefix={key[:8]}&waiting_for=event")["items"]
        or api.get(f"/instances?correlation_prefix={key[:8]}")["items"]
    )
    tasks = [task for task in api.get("/tasks?limit=200")["items"] if task["instance_id"] == instance]
    status, receipt, _ = api.call("POST", f"/instances/{instance}/events", {"payload": {"messages": []}})
    api.stack.finished(instance)
    detail = api.get(f"/instances/{instance}")

    assert again == 200
    assert (wait["node"], wait["event_key"]) == ("Wait_For_Correction", "messages")
    assert instance in [one["id"] for one in found]
    assert [task["node"] for task in tasks] == ["Wait_For_Correction"]
    assert (status, receipt["waiting"]) == (202, 1)
    assert detail["state"] == "SUCCEEDED"
    assert detail["initial_context"] == {"consignmentId": "c-1"}
    assert {request["state"] for request in detail["requests"]} == {"answered"}
    assert [visit["node"] for visit in detail["visits"]].count("Enrich_Consignment") == 2
    asked = api.get(f"/instances/{instance}/requests/{detail['requests'][0]['command_id']}")
    assert asked["body"]["body"]["context"]["consignmentId"] == "c-1"
    log = api.stack.api("GET", "/eventLogs?event=cch_start&limit=100")[1]["event_logs"]
    assert any(instance in str(one["extra"]) for one in log)


def test_cancel_stops_what_runs(api: Api) -> None:
    """The run fails, its waiting task goes, and a reply that comes later changes nothing."""
    instance = str(uuid.uuid4())
    api.stack.mock_scenario(instance, {"capabilities": {"import#enrich_consignment": [{"never": True}]}})
    api.start({"consignmentId": "c-1"}, instance_id=instance)
    request = api.wait_of(instance, "request")

    status, ended, _ = api.call("POST", f"/instances/{instance}/cancel", {"reason": "test"})
    run = api.stack.run_ended("import_correction_v1", instance)
    message = api.stack.send(
        "orchestrator-reply-queue",
        reply_message(instance, "import#enrich_consignment", {}, inReplyTo=request["id"]),
    )
    fate = api.stack.fate("orchestrator-reply-queue", message)

    assert (status, ended["state"], run) == (200, "CANCELLED", "failed")
    assert fate["fate"] == "late"
    detail = api.get(f"/instances/{instance}")
    assert [one["state"] for one in detail["requests"]] == ["superseded"]
    assert detail["visits"] == []
    assert [one["times"] for one in api.stack.requests(instance)] == [1]


def test_an_orphan_is_attached_and_a_request_resent(api: Api) -> None:
    """A person finds the reply of a sender that named no request, and lets it answer the one that waits."""
    instance = str(uuid.uuid4())
    api.stack.mock_scenario(instance, {"capabilities": {"import#enrich_consignment": [{"never": True}] * 3}})
    api.start({"consignmentId": "c-1"}, instance_id=instance)
    request = api.wait_of(instance, "request")
    resent, _, _ = api.call("POST", f"/instances/{instance}/requests/{request['id']}/resend")
    api.stack.eventually("the second request", lambda: api.stack.requests(instance)[0]["times"] == 2)
    message = api.stack.send(
        "orchestrator-reply-queue",
        reply_message(
            instance, "import#enrich_consignment", {"messages": [{"code": "HITL"}]}, status="ERROR", inReplyTo="none"
        ),
    )
    api.stack.fate("orchestrator-reply-queue", message)

    listed = next(one for one in api.get("/messages?state=orphan&limit=200")["items"] if one["instance_id"] == instance)
    path = f"/messages/{urllib.parse.quote(listed['id'])}"
    candidates = api.get(path)["candidates"]
    status, receipt, _ = api.call("POST", f"{path}/attach", {"command_id": request["id"]})

    assert resent == 200
    assert [one["commandId"] for one in api.stack.requests(instance)] == [request["id"]]
    assert [one["command_id"] for one in candidates] == [request["id"]]
    assert (status, receipt["state"]) == (200, "matched")
    assert api.wait_of(instance, "event")["node"] == "Wait_For_Correction"
    api.call("POST", f"/instances/{instance}/cancel")


def test_health_of_a_running_stack(api: Api) -> None:
    """Everything is well, once the router has reported."""
    view = api.stack.eventually("a healthy stack", lambda: _healthy(api))

    assert {check["name"] for check in view["checks"]} >= {"table", "router", "command_queue", "reply_queue"}
    assert view["queues"][0]["messages"] is not None


def _healthy(api: Api) -> Any:
    view = api.get("/health")
    return view if view["status"] == "ok" else None


def test_polling_sends_nothing_new(api: Api) -> None:
    """304 through the whole server, compression included."""
    _, _, headers = api.call("GET", "/instances")

    status, body, _ = api.call("GET", "/instances", **{"If-None-Match": headers["ETag"]})

    assert (status, body) == (304, None)
