"""What happens to replies that are late, repeated, unasked for, or wrong."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.e2e.conftest import Stack, reply_message, start_message

CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}
WORKFLOW = "import_vn_memphis_v1"
REPLIES = "orchestrator-reply-queue"


def test_a_repeated_start_changes_nothing(stack: Stack) -> None:
    """The second START_WORKFLOW for an instance is a duplicate."""
    message = start_message(WORKFLOW, CONTEXT, str(uuid.uuid4()))
    first = stack.send("orchestrator-command-queue", message)
    assert stack.fate("orchestrator-command-queue", first)["fate"] == "matched"

    second = stack.send("orchestrator-command-queue", message)

    assert stack.fate("orchestrator-command-queue", second)["fate"] == "duplicate"
    assert stack.finished(message["workflowInstanceId"])["status"] == "completed"
    assert len(stack.requests(message["workflowInstanceId"])) == 1


def test_a_repeated_reply_is_a_duplicate(stack: Stack) -> None:
    """A second reply to an answered request, with and without the echoed id, changes nothing."""
    instance = stack.start(WORKFLOW, CONTEXT)
    done = stack.finished(instance)
    (request,) = stack.requests(instance)

    echoed = stack.send(REPLIES, reply_message(instance, "import#enrichment", {"x": 1}, inReplyTo=request["commandId"]))
    plain = stack.send(REPLIES, reply_message(instance, "import#enrichment", {"x": 1}))

    assert stack.fate(REPLIES, echoed)["fate"] == "duplicate"
    assert stack.fate(REPLIES, plain)["fate"] == "duplicate"
    assert stack.status(instance)["context"] == done["context"]


def test_a_reply_without_the_echoed_id_is_matched_by_its_source(stack: Stack) -> None:
    """An older capability that echoes only the instance id is understood."""
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": {"import#enrichment": [{"echo": False}]}})
    stack.start(WORKFLOW, CONTEXT, instance)

    assert stack.finished(instance)["status"] == "completed"


def test_a_reply_after_the_timeout_is_late(stack: Stack, tmp_path: Path) -> None:
    """The node goes on_timeout, and what comes afterwards is kept as late."""
    workflow = f"impatient_{uuid.uuid4().hex[:8]}"
    file = tmp_path / "d.yaml"
    file.write_text(
        f"""
workflow_id: {workflow}
workflow_name: Impatient
entry_point: A
nodes:
  A: {{type: async_request, capability_id: import#slow, timeout: 2s, on_response: E, on_timeout: T}}
  T: {{type: set_state, static_outputs: {{gaveUp: true}}, on_success: E}}
  E: {{type: end}}
"""
    )
    stack.cch("publish", str(file))
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": {"import#slow": [{"never": True}]}})
    stack.start(workflow, {}, instance)
    done = stack.finished(instance)
    (request,) = stack.requests(instance)

    late = stack.send(REPLIES, reply_message(instance, "import#slow", {}, inReplyTo=request["commandId"]))

    assert done["visited"] == ["A", "T", "E"]
    assert done["context"]["gaveUp"] is True
    assert stack.fate(REPLIES, late)["fate"] == "late"


def test_an_error_reply_takes_the_error_route(stack: Stack) -> None:
    """A reply with status ERROR goes the author's way, and the failed end fails Airflow's run too."""
    instance = str(uuid.uuid4())
    bad = {"status": "ERROR", "payload": {"messages": [{"code": "HTS_UNKNOWN", "summary": "?"}]}}
    stack.mock_scenario(instance, {"capabilities": {"import#enrichment": [bad]}})
    asn = "s3://cch-dev-local-eventdata-bucket/samples/asn-hcmc-memphis.json"
    stack.start("import_clearance_v1", {"shipmentId": "SHP-1", "asnUri": asn}, instance)

    done = stack.finished(instance)

    assert done["status"] == "failed"
    assert done["visited"][-4:] == ["Enrich", "Check_Reply", "Log_Failure", "Failed"]
    assert done["errors"][0]["code"] == "CLEARANCE_FAILED"
    assert stack.run_ended("import_clearance_v1", instance) == "failed"


def test_poison_replies_harm_nobody(stack: Stack) -> None:
    """Numbers, texts and depths that break programs are refused or passed through; the triggerer lives on."""
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": {"import#enrichment": [{"never": True}]}})
    stack.start(WORKFLOW, CONTEXT, instance)
    (request,) = stack.eventually("the request", lambda: stack.requests(instance))
    triggerer = stack.local.processes.pid("triggerer")
    depth = '{"workflowInstanceId":"x","command":' + '{"a":' * 5000 + "1" + "}" * 5001
    surrogate = (
        f'{{"workflowInstanceId":"{instance}","command":{{"type":"ASYNC_RESP","id":"1","source":"s",'
        '"timestamp":"2026-01-05T08:00:00Z","payload":{"x":"\\ud800"}}}'
    )

    bad = [stack.send(REPLIES, body) for body in (depth, surrogate, "[]", '"text"', "NaN", '{"command": null}')]
    big = {"import_enrichment_uri": "s3://b/k", "number": 2**70, "null\u0000key": ["\U0001f4a9", -0.0, 1e308]}
    good = stack.send(REPLIES, reply_message(instance, "import#enrichment", big, inReplyTo=request["commandId"]))

    assert [stack.fate(REPLIES, message)["fate"] for message in bad] == ["malformed"] * 6
    assert stack.fate(REPLIES, good)["fate"] == "matched"
    done = stack.finished(instance)
    assert done["status"] == "completed"
    assert done["context"]["number"] == 2**70
    assert stack.local.processes.pid("triggerer") == triggerer


def test_replies_to_nobody_are_kept(stack: Stack) -> None:
    """One for an unknown instance until its start may have come, one to a request that never was for a person."""
    unknown = stack.send(REPLIES, reply_message(str(uuid.uuid4()), "import#enrichment", {}))
    never = stack.send(REPLIES, reply_message(str(uuid.uuid4()), "import#enrichment", {}, inReplyTo=str(uuid.uuid4())))

    early = f"MSG#cch-dev-local-{REPLIES}#{unknown}"
    stack.eventually("the early reply is held", lambda: stack.item(early).get("fate") == "held")
    assert "kept for a day" in stack.item(early)["reason"]
    assert stack.fate(REPLIES, never)["fate"] == "orphan"


def test_a_reply_to_another_instance_is_rejected(stack: Stack) -> None:
    """A reply that names one instance and answers another one's request does not close it."""
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": {"import#enrichment": [{"never": True}]}})
    stack.start(WORKFLOW, CONTEXT, instance)
    (request,) = stack.eventually("the request", lambda: stack.requests(instance))

    wrong = stack.send(
        REPLIES, reply_message(str(uuid.uuid4()), "import#enrichment", {}, inReplyTo=request["commandId"])
    )
    assert stack.fate(REPLIES, wrong)["fate"] == "rejected"
    right = stack.send(
        REPLIES,
        reply_message(instance, "import#enrichment", {"import_enrichment_uri": "u"}, inReplyTo=request["commandId"]),
    )

    assert stack.fate(REPLIES, right)["fate"] == "matched"
    assert stack.finished(instance)["status"] == "completed"


def test_the_ledger_balances(stack: Stack) -> None:
    """After all of it, every message has one fate and everything points at each other."""
    answer = stack.cch("ledger", "check", check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr
