"""Doing something with instances, exactly as idempotent as the command queue."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.api.conftest import Office
from tests.api.test_access import is_problem


def runs_of(instance: str) -> list[tuple[str, str, str | None]]:
    """(dag, state, user) of Airflow's runs with this id."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.run_id == instance))
        return [(run.dag_id, str(run.state), run.triggering_user_name) for run in found]


async def test_a_start_makes_an_instance_and_its_run(office: Office) -> None:
    """201, with the address of the new instance; the run carries the user's name."""
    body = {"workflow_id": "open_ask", "context": {"bl": "MEDU7"}, "correlation_id": "MEDU7"}

    answer = await office.post("/instances", body, "uma")

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/instances/{made['id']}")
    assert (made["workflow_name"], made["correlation_id"], made["state"]) == ("Ask and wait", "MEDU7", "RUNNING")
    assert runs_of(made["id"]) == [("open_ask", "queued", "uma")]


async def test_starting_again_changes_nothing(office: Office) -> None:
    """200 and the same instance, also with another context; never a second run."""
    body = {"workflow_id": "open_ask", "context": {"bl": "A"}, "instance_id": "start-again"}
    first = await office.post("/instances", body)
    again = await office.post("/instances", {**body, "context": {"bl": "B"}})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == "start-again"
    detail = (await office.get("/instances/start-again")).json()
    assert detail["initial_context"] == {"bl": "A"}
    assert len(runs_of("start-again")) == 1


async def test_many_starts_at_once_make_one_instance(office: Office) -> None:
    """One of them is told that it made it."""
    body = {"workflow_id": "open_ask", "context": {"bl": "A"}, "instance_id": "at-once"}

    answers = await asyncio.gather(*(office.post("/instances", body) for _ in range(5)))

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len(runs_of("at-once")) == 1


async def test_an_id_of_another_workflow_is_refused(office: Office) -> None:
    """An id means one instance for ever."""
    await office.post("/instances", {"workflow_id": "open_ask", "context": {"bl": "A"}, "instance_id": "taken"})

    answer = await office.post(
        "/instances", {"workflow_id": "open_map", "context": {"packs": []}, "instance_id": "taken"}
    )

    assert is_problem(answer, 409, "instance_id_taken")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"workflow_id": "open_nothing"}, 404, "workflow_not_found"),
        ({"workflow_id": "open_ask"}, 422, "context_not_accepted"),
        ({"workflow_id": "open_ask", "context": {"bl": ""}}, 422, "context_not_accepted"),
        ({"workflow_id": "open_ask", "context": {"bl": "B", "n": 2**70}}, 422, "context_not_accepted"),
        ({"workflow_id": "open_broken"}, 422, "workflow_not_usable"),
        ({"workflow_id": "open_ask", "surprise": 1}, 422, "invalid_request"),
        ({"workflow_id": "open_ask", "instance_id": "a b"}, 422, "invalid_request"),
        ({"workflow_id": "open_ask", "context": "text"}, 422, "invalid_request"),
        ({"workflow_id": "open_ask", "correlation_id": "x\u0000"}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
    ],
)
async def test_a_wrong_start_says_what_is_wrong(office: Office, body: Any, status: int, code: str) -> None:
    """As a problem with a code; 422 names the places."""
    answer = await office.post("/instances", body)

    assert is_problem(answer, status, code)
    assert status != 422 or code == "workflow_not_usable" or answer.json()["errors"]


async def test_a_body_that_is_no_json_is_refused(office: Office) -> None:
    """The asker's fault, not ours."""
    for content in (b"{", b"\xff\xfe", b'{"workflow_id": "open_ask", "context": {"bl": "\\ud800"}}', b"[" * 5000):
        answer = await office.call("POST", "/instances", content=content, headers={"Content-Type": "application/json"})
        assert is_problem(answer, 422), content[:20]


async def test_a_body_that_is_too_large_is_refused(office: Office) -> None:
    """At 1 MiB, the limit of a message."""
    body = {"workflow_id": "open_ask", "context": {"bl": "x" * 1_100_000}}

    assert is_problem(await office.post("/instances", body), 413, "too_large")


async def test_an_event_reaches_the_node_that_waits(office: Office) -> None:
    """Request, reply, wait for a person, event, done."""
    instance = await office.start(context={"bl": "B1"})
    ask = office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    await office.reply(instance, request["id"], {"x": 1})
    wait = await office.until(lambda: office.wait_of(instance, "event"))

    tasks = (await office.get("/tasks")).json()["items"]
    sent = await office.post(f"/instances/{instance}/events", {"payload": {"decision": "go"}, "event_id": "e1"})
    again = await office.post(f"/instances/{instance}/events", {"payload": {"decision": "go"}, "event_id": "e1"})
    end = await ask

    assert wait["event_key"] == "decision"
    assert [(one["instance_id"], one["title"], one["can_act"]) for one in tasks] == [(instance, "Decide", True)]
    assert sent.status_code == again.status_code == 202
    assert sent.json()["waiting"] == 1
    assert sent.json()["message_id"] == again.json()["message_id"]
    assert end.state == "success"
    detail = (await office.get(f"/instances/{instance}")).json()
    assert detail["context"]["decision"] == "go"
    assert [visit["node"] for visit in detail["visits"]] == ["Ask", "Decide", "Check", "Done"]
    assert [request["state"] for request in detail["requests"]] == ["answered"]
    assert [wait["state"] for wait in detail["event_waits"]] == ["event"]
    assert {entry["kind"] for entry in detail["timeline"]} >= {"start", "request", "reply", "wait", "event"}


async def test_a_payload_that_does_not_fit_the_form_is_refused(office: Office) -> None:
    """422, with the places; the node goes on waiting."""
    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    await office.reply(instance, request["id"], {})
    await office.until(lambda: office.wait_of(instance, "event"))

    answer = await office.post(f"/instances/{instance}/events", {"payload": {"decision": 5}})

    assert is_problem(answer, 422, "payload_not_accepted")
    assert answer.json()["errors"][0]["location"] == "body.payload.decision"
    assert (await office.get("/tasks")).json()["items"][0]["payload_schema"]["required"] == ["decision"]


async def test_cancel_ends_everything(office: Office) -> None:
    """The instance, its requests, its waits and its run; and no region goes on."""
    instance = await office.start(context={"bl": "B1"})
    running = office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]

    answer = await office.post(f"/instances/{instance}/cancel", {"reason": "wrong shipment"})
    again = await office.post(f"/instances/{instance}/cancel")
    await office.reply(instance, request["id"], {"x": 1})
    await asyncio.sleep(0.1)

    assert (answer.status_code, again.status_code) == (200, 200)
    assert answer.json()["state"] == "CANCELLED"
    assert answer.json()["reason"] == "cancelled by ada: wrong shipment"
    assert answer.json()["waits"] == []
    assert runs_of(instance)[0][1] == "failed"
    detail = (await office.get(f"/instances/{instance}")).json()
    assert [one["state"] for one in detail["requests"]] == ["superseded"]
    assert detail["visits"] == []
    assert not running.done()
    requests = await office.fallback_queue()
    assert len(requests.messages) == 1
    late = (await office.get("/messages", state="late")).json()["items"]
    assert [(one["instance_id"], one["state"]) for one in late] == [(instance, "late")]


async def test_a_cancelled_region_that_is_cleared_goes_on(office: Office) -> None:
    """A task that a person clears later is newer than the end that the cancellation put into the journal."""
    from uuid6 import uuid7

    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask", str(uuid7()))
    await office.waiting(instance)
    await office.post(f"/instances/{instance}/cancel")

    office.execute(instance, "open_ask", "Ask", str(uuid7()))

    shown = await office.waiting(instance)
    assert shown["state"] == "WAITING"
    assert sorted(one["state"] for one in shown["requests"]) == ["open", "superseded"]


async def test_what_has_ended_cannot_be_changed(office: Office) -> None:
    """409 for events and cancellation."""
    instance = await office.start(context={"bl": "B1"})
    await office.platform.ledger.instances.end(instance, "completed", 5)

    assert is_problem(await office.post(f"/instances/{instance}/events"), 409, "instance_ended")
    assert is_problem(await office.post(f"/instances/{instance}/cancel"), 409, "instance_ended")


async def test_a_request_is_sent_again_as_it_was(office: Office) -> None:
    """Same command id, same bytes; the detail shows what was sent."""
    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    path = f"/instances/{instance}/requests/{request['id']}"

    shown = (await office.get(path)).json()
    answer = await office.post(f"{path}/resend")

    queue = await office.fallback_queue()
    assert answer.status_code == 200
    first, second = (body for body, _ in queue.messages)
    assert first == second
    assert shown["body"] == json.loads(first)
    assert shown["resendable"] is True
    await office.reply(instance, request["id"], {})
    await office.until(lambda: office.wait_of(instance, "event"))
    assert is_problem(await office.post(f"{path}/resend"), 409, "request_closed")
    assert is_problem(await office.post(f"/instances/{instance}/requests/none/resend"), 404, "request_not_found")


async def test_an_orphan_is_attached_to_the_request_it_is_for(office: Office) -> None:
    """The instance goes on as if the sender had named the request; repeating it changes nothing."""
    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    message = await office.orphan(instance=instance)
    detail = (await office.get(f"/messages/{message}")).json()

    answer = await office.post(f"/messages/{message}/attach", {"command_id": request["id"]})
    again = await office.post(f"/messages/{message}/attach", {"command_id": request["id"]})

    assert [(one["command_id"], one["exact"]) for one in detail["candidates"]] == [(request["id"], True)]
    assert json.loads(detail["body"])["workflowInstanceId"] == instance
    assert answer.status_code == again.status_code == 200
    await office.until(lambda: office.wait_of(instance, "event"))
    assert (await office.get(f"/instances/{instance}")).json()["context"]["found"] == "in the mail"
    assert (await office.get("/messages")).json()["items"] == []


async def test_another_capabilitys_message_needs_force(office: Office) -> None:
    """A person may know better than the sender, but must say so."""
    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    message = await office.orphan(instance="unknown", source="another#one")
    path = f"/messages/{message}/attach"

    refused = await office.post(path, {"command_id": request["id"]})
    forced = await office.post(path, {"command_id": request["id"], "force": True})

    assert is_problem(refused, 409, "not_attachable")
    assert "needs force" in refused.json()["detail"]
    assert forced.status_code == 200


async def test_a_closed_request_takes_no_message(office: Office) -> None:
    """409, and the message stays where it was."""
    instance = await office.start(context={"bl": "B1"})
    office.execute(instance, "open_ask", "Ask")
    request = (await office.waiting(instance))["waits"][0]
    message = await office.orphan(instance="unknown")
    await office.reply(instance, request["id"], {})
    await office.until(lambda: office.wait_of(instance, "event"))

    answer = await office.post(f"/messages/{message}/attach", {"command_id": request["id"], "force": True})

    assert is_problem(answer, 409, "not_attachable")
    assert [one["id"] for one in (await office.get("/messages")).json()["items"]] == [message]
    unknown = await office.post(f"/messages/{message}/attach", {"command_id": "none"})
    assert is_problem(unknown, 404, "request_not_found")
    assert is_problem(await office.post("/messages/q:none/attach", {"command_id": "c"}), 404, "message_not_found")


async def test_nothing_is_done_while_the_ledger_is_away(office: Office, broken_aws: Any) -> None:
    """503 with a hint when to come again; not half done."""
    broken_aws(True)
    answer = await office.post("/instances", {"workflow_id": "open_ask", "context": {"bl": "B"}, "instance_id": "away"})
    broken_aws(False)

    assert is_problem(answer, 503, "service_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert runs_of("away") == []


async def test_what_nobody_foresaw_tells_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 as a problem, without a stack trace."""

    async def fails(*_: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(office.platform.ledger.mailboxes, "routers", fails)
    answer = await office.get("/health")

    assert is_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text


async def test_who_acts_sees_it_at_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are shared for a second are forgotten with every action."""
    from cch.api.backend import backend
    from cch.api.conditional import Shared

    instance = await office.start(context={"bl": "B1"})
    monkeypatch.setattr(await backend(), "shared", Shared(60.0))
    assert (await office.get(f"/instances/{instance}")).json()["state"] == "RUNNING"

    await office.post(f"/instances/{instance}/cancel")

    assert (await office.get(f"/instances/{instance}")).json()["state"] == "CANCELLED"
