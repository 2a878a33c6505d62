"""Regions on the ledger: run, replayed after any death, tried again, refused; and what the instance has come to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from faults import Died
from tests.patience import finished
from workflows import definition_text
from workshop import INSTANCE, NOW, Answer, Workshop
from world import eventually

from cch.capabilities import sync_capability
from cch.definition.rules import FIRST, NEWEST
from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.interpreter.host import Call
from cch.interpreter.replay import flow_of
from cch.ledger.records import Instance, RequestRecord, instance_id_of_run
from cch.messaging.queue import ILLEGAL
from cch.pauses import Pauses
from cch.runtime.cancelling import cancel
from cch.runtime.execution import execute_region
from cch.runtime.region_task import RegionEnd
from cch.runtime.run_conf import initial_context
from cch.tracing import traceparent

SAMPLES = Path(__file__).parents[3] / "workflow-definitions"
MAIN = (SAMPLES / "import_vn_memphis_v1.yaml").read_text("utf-8")
CONTEXT = {"shipmentId": "S1", "originCountry": "VN", "destinationCountry": "US", "extra": [1, {"a": None}]}
URI = {"import_enrichment_uri": "s3://b/enriched.json"}

Maker = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Makes a workshop with its instance: the main job, unless nodes are given."""
    numbers = iter(range(1000))

    async def made(nodes: str = "", *, create: bool = True, **changes: Any) -> Workshop:
        text = definition_text(nodes) if nodes else MAIN
        given: dict[str, Any] = {"context": {} if nodes else CONTEXT, **changes}
        name = "w" if nodes else "import_vn_memphis_v1"
        workshop = Workshop(folder=tmp_path / str(next(numbers)), definitions={name: text}, **given)
        if create:
            await workshop.create()
        return workshop

    return made


def answering(**answers: Answer) -> dict[str, Callable[[dict[str, Any]], Answer]]:
    """``a_b=("SUCCESS", {})`` answers every request to ``a#b``."""

    def fixed(answer: Answer) -> Callable[[dict[str, Any]], Answer]:
        return lambda _: answer

    return {name.replace("_", "#"): fixed(answer) for name, answer in answers.items()}


async def ways(workshop: Workshop) -> list[str]:
    """The edges that the first region's nodes chose."""
    return [outcome.label for outcome in (await workshop.view()).exits[0].outcomes]


ENRICHED = answering(import_enrichment=("SUCCESS", URI))
ASK = """
A: {type: async_request, capability_id: 'a#b', on_response: E, %s}
X: {type: set_state, on_success: E}
E: {type: end}
"""


# --- the main job --------------------------------------------------------------------------------------------


async def test_the_main_job_runs_to_its_end(make: Maker) -> None:
    """The published example: a request, its reply, and a call that checks the reply."""
    workshop: Workshop = await make(answers=ENRICHED)

    ends = await workshop.run_all()

    view = await workshop.view()
    assert {head: (end.state, end.followed) for head, end in ends.items()} == {
        "Prepare_Import_Enrichment": ("success", ("Process_Import_Enrichment_Response",)),
        "Process_Import_Enrichment_Response": ("success", ("End_Workflow",)),
    }
    assert view.instance.status == "completed"
    assert view.instance.definition_digest == workshop.definition.digest
    assert [[o.node for o in exit_.outcomes] for exit_ in view.exits] == [
        ["Prepare_Import_Enrichment"], ["Process_Import_Enrichment_Response", "End_Workflow"],
    ]  # fmt: skip


async def test_the_request_has_the_documented_form(make: Maker) -> None:
    """Other teams' programs read it."""
    workshop: Workshop = await make(answers=ENRICHED)
    await workshop.run("Prepare_Import_Enrichment")

    (sent,) = workshop.requests
    (record,) = await workshop.all_requests()
    assert sent == {
        "header": {
            "workflowInstanceId": INSTANCE, "workflowDefinitionURI": "s3://b/d.yaml", "correlationId": "BL-7",
            "commandId": record.command_id, "requestKey": record.step.keys(1).request,
            "replyToQueueUrl": "memory://cch-dev-local-orchestrator-reply-queue", "source": "WorkflowOrchestrator",
            "timestamp": "2023-11-14T22:13:20.000Z",
        },
        "body": {
            "capability_id": "import#enrichment", "request_output_keys": ["import_enrichment_uri"],
            "context": {**CONTEXT, "workflowInstanceId": INSTANCE, "workflow_id": "import_vn_memphis_v1"},
        },
    }  # fmt: skip


async def test_a_request_carries_the_trace_of_its_instance(make: Maker) -> None:
    """As an attribute, so that the body stays what other teams know."""
    workshop: Workshop = await make(answers=ENRICHED)
    await workshop.run("Prepare_Import_Enrichment")

    (record,) = await workshop.all_requests()
    queue = workshop.queues.make(workshop.settings.names.capability_queue("import#x"))
    ((_, attributes),) = queue.messages
    assert attributes == {"traceparent": traceparent(INSTANCE, record.command_id)}


async def test_a_reply_without_the_declared_key_goes_on_failure(make: Maker) -> None:
    """core-process-response checks it; the example leads both ways to the end."""
    workshop: Workshop = await make(answers=answering(import_enrichment=("SUCCESS", {"other": 1})))

    await workshop.run_all()

    outcome = (await workshop.view()).exits[1].outcomes[0]
    assert outcome.label == "on_failure"
    assert "the last reply lacks import_enrichment_uri" in outcome.patch["_internalError"]
    assert await workshop.status() == "completed"


# --- starts --------------------------------------------------------------------------------------------------


async def test_a_run_that_airflow_started_makes_its_instance(make: Maker) -> None:
    """Its id follows from the run's; its context is the conf without the platform's keys, and null is a value."""
    workshop: Workshop = await make(create=False, answers=ENRICHED)
    context = {**CONTEXT, "empty": None}
    conf = {**context, "_correlation_id": "BL-9", "_private": 1}

    end = await workshop.run("Prepare_Import_Enrichment", run_id="manual__1", conf=conf)

    found = await workshop.ledger.instances.find(instance_id_of_run("import_vn_memphis_v1", "manual__1"))
    assert end.state == "success"
    assert found is not None
    assert (found.run_id, found.correlation_id, found.context) == ("manual__1", "BL-9", context)
    assert initial_context(conf) == context


@pytest.mark.parametrize(
    ("form", "state"), [({}, "success"), ({"_cch_definition": "0", "_cch_version": None}, "failed")]
)
async def test_null_is_there_unless_the_form_may_have_put_it_there(
    make: Maker, form: dict[str, Any], state: str
) -> None:
    """REST and ``airflow dags test`` give what somebody wrote; the form gives null for each empty field."""
    workshop: Workshop = await make(create=False, answers=ENRICHED)
    conf = {**CONTEXT, "originCountry": None, "note": None, "_correlation_id": None, **form}

    end = await workshop.run("Prepare_Import_Enrichment", run_id="m", conf=conf)

    found = await workshop.ledger.instances.find(instance_id_of_run("import_vn_memphis_v1", "m"))
    assert end.state == state
    assert found is not None
    assert found.context["note"] is None
    assert ("originCountry" in found.context, "'originCountry' is missing" in found.reason) == (not form, bool(form))


async def test_a_start_without_a_required_key_fails_with_the_reason(make: Maker) -> None:
    """Airflow's form refuses it before; ``airflow dags test`` does not."""
    workshop: Workshop = await make(create=False)

    end = await workshop.run("Prepare_Import_Enrichment", run_id="m", conf={"shipmentId": "S1"})

    found = await workshop.ledger.instances.find(instance_id_of_run("import_vn_memphis_v1", "m"))
    assert end.state == "failed"
    assert found is not None
    assert (found.status, found.reason) == ("failed", end.reason)
    assert "required key 'originCountry' is missing; required key 'destinationCountry' is missing" in end.reason
    assert workshop.requests == []


async def test_a_run_for_an_unknown_instance_is_refused(make: Maker) -> None:
    """The conf names an instance that the ledger does not know."""
    workshop: Workshop = await make(create=False)

    end = await workshop.run("Prepare_Import_Enrichment")

    assert (end.state, "does not know instance" in end.reason) == ("failed", True)


async def test_another_run_cannot_take_an_instance_over(make: Maker) -> None:
    """An instance belongs to one DagRun."""
    workshop: Workshop = await make(answers=ENRICHED)
    await workshop.run("Prepare_Import_Enrichment")

    end = await workshop.run("Process_Import_Enrichment_Response", run_id="another")

    assert end.state == "failed"
    assert "belongs to run" in end.reason


async def test_a_changed_structure_is_refused_not_half_executed(make: Maker) -> None:
    """The definition was republished while the instance runs; texts and values alone may change."""
    workshop: Workshop = await make(answers=ENRICHED)
    await workshop.run("Prepare_Import_Enrichment")

    refused = await workshop.run("Process_Import_Enrichment_Response", structure_digest="0" * 16)
    same = await workshop.run("Process_Import_Enrichment_Response", definition_digest="0" * 64)

    assert refused.state == "failed"
    assert "structure" in refused.reason
    assert same.state == "success"
    assert await workshop.status() == "completed"


async def test_a_region_that_nothing_leads_to_is_skipped(make: Maker) -> None:
    """Whatever a person marked in Airflow: without a recorded outcome nothing happens."""
    workshop: Workshop = await make()

    end = await workshop.run("Process_Import_Enrichment_Response")

    assert end.state == "skipped"
    assert await workshop.journal("Process_Import_Enrichment_Response") == []


# --- requests ------------------------------------------------------------------------------------------------


async def test_an_unsendable_request_takes_on_failure(make: Maker) -> None:
    """No queue of its own, no fallback: the reason names both."""
    workshop: Workshop = await make(ASK % "on_failure: X", capabilities=())

    end = await workshop.run("A")

    (request,) = await workshop.all_requests()
    assert (end.state, await ways(workshop)) == ("success", ["on_failure", "on_success", ""])
    assert request.state == "failed"
    for queue in ("capability-a-request-queue", "capability-fallback-request-queue"):
        assert queue in request.reason


async def test_without_on_failure_an_unsendable_request_fails_the_instance(make: Maker) -> None:
    """The task fails with the reason, and so does the instance."""
    workshop: Workshop = await make(ASK % "error_reply: response", capabilities=())

    end = await workshop.run("A")

    assert end.state == "failed"
    assert "no queue for a#b" in end.reason
    assert (await workshop.view()).instance.reason == end.reason


async def test_the_fallback_queue_takes_what_has_no_queue_of_its_own(make: Maker) -> None:
    """One service may serve many capabilities."""
    workshop: Workshop = await make(ASK % "on_failure: X", capabilities=("fallback",))

    await workshop.run("A")

    fallback = await workshop.queues.find(workshop.settings.names.fallback_queue)
    assert fallback is not None
    assert len(fallback.messages) == 1
    assert await workshop.status() == "completed"


async def test_a_request_that_is_too_large_is_not_sent(make: Maker) -> None:
    """SQS would refuse it; the reason says what to do."""
    workshop: Workshop = await make(ASK % "on_failure: X", context={"text": "x" * 1_100_000})

    await workshop.run("A")

    (request,) = await workshop.all_requests()
    assert workshop.requests == []
    assert "choose input_keys" in request.reason


async def test_a_request_that_its_queue_refuses_takes_on_failure(make: Maker) -> None:
    """Trying again would never help: the queue has a smaller limit than ours."""
    workshop: Workshop = await make(ASK % "on_failure: X")
    queue = workshop.queues.make(workshop.settings.names.capability_queue("a#b"))

    async def refuses(*_: Any) -> None:
        raise MessageRefusedError("a-queue does not take the message: longer than 1024 bytes")

    queue.send = refuses  # type: ignore[method-assign]
    await workshop.run("A")

    (request,) = await workshop.all_requests()
    assert (request.state, await ways(workshop)) == ("failed", ["on_failure", "on_success", ""])
    assert "longer than 1024 bytes" in request.reason


async def test_a_context_may_have_characters_that_no_message_may(make: Maker) -> None:
    """They arrive, written as JSON can write them too."""
    workshop: Workshop = await make(ASK % "on_failure: X", context={"text": "a\ufffe\uffff\x00b"})
    await workshop.run("A")

    ((sent, _),) = workshop.queues.make(workshop.settings.names.capability_queue("a#b")).messages
    assert not ILLEGAL.search(sent)
    assert json.loads(sent)["body"]["context"]["text"] == "a\ufffe\uffff\x00b"


async def test_a_timeout_closes_the_request_and_a_later_reply_is_late(make: Maker) -> None:
    """The reply is kept; the instance went another way."""
    workshop: Workshop = await make(ASK % "timeout: 20ms, on_timeout: X, on_failure: X", answers=answering(a_b=None))

    end = await workshop.run("A")
    await workshop.reply(workshop.requests[0], "SUCCESS", {"late": 1})
    await workshop.deliver()

    (request,) = await workshop.all_requests()
    assert (end.state, await ways(workshop)) == ("success", ["on_timeout", "on_success", ""])
    assert request.state == "timed_out"
    assert workshop.postman.intake.fates == {"late": 1}
    assert "late" not in str((await workshop.view()).exits)


async def test_retries_are_new_requests_with_one_request_key(make: Maker) -> None:
    """A capability may refuse by the key; each attempt has an id of its own."""
    replies = iter([("ERROR", {"messages": [{"code": "TEMPORARY"}]}), ("SUCCESS", {"k": 1})])
    workshop: Workshop = await make(
        ASK % "retry: {max_attempts: 3, 'on': [TEMPORARY]}, on_failure: X", answers={"a#b": lambda _: next(replies)}
    )

    await workshop.run("A")

    headers = [request["header"] for request in workshop.requests]
    assert len({header["commandId"] for header in headers}) == 2
    assert len({header["requestKey"] for header in headers}) == 1
    assert [request.attempt for request in await workshop.all_requests()] == [1, 2]
    assert await workshop.status() == "completed"


async def test_an_early_reply_is_used(make: Maker) -> None:
    """It came before the request was made: the request is closed with it and need not be sent again."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    early = {
        "header": {"workflowInstanceId": INSTANCE, "commandId": "", "timestamp": "2026-01-31"},
        "body": {"capability_id": "a#b"},
    }
    await workshop.reply(early, "SUCCESS", {"early": True})
    await workshop.deliver()

    await workshop.run("A")

    assert workshop.requests == []
    assert workshop.postman.intake.fates == {"held": 1}
    assert (await workshop.view()).exits[0].outcomes[0].patch == {"early": True, "status": "SUCCESS"}


# --- deaths --------------------------------------------------------------------------------------------------

CALLS: list[int] = []


@sync_capability("test#count")
def count(call: Call) -> Mapping[str, Any]:
    """Counts how often it was called."""
    CALLS.append(call.attempt)
    return {"counted": True}


BUSY = (
    "S: {type: entry, next: A}\n"
    "A: {type: async_request, capability_id: 'a#b', on_response: C, on_failure: E}\n"
    "C: {type: condition, condition_on_key: k, branches: {x: M, _default: E}}\n"
    "M: {type: set_state, static_outputs: {m: 1}, on_success: E}\nE: {type: end}"
)


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_is_repaired_by_the_same_try(make: Maker, lost: bool) -> None:
    """The trigger starts again in another process: same request, same journal, same exit, same end."""
    answers = answering(a_b=("SUCCESS", {"k": "x"}))
    whole: Workshop = await make(BUSY, answers=answers)
    expected_end = await whole.run("A")
    expected = whole.stored()

    deaths = 0
    for at in range(1, 100):
        workshop: Workshop = await make(BUSY, answers=answers)
        workshop.store.arm(at, lost=lost)
        try:
            end = await workshop.run("A")
        except Died:
            deaths += 1
            await workshop.deliver()
            workshop.new_process()
            end = await workshop.run("A")
        bodies = {str(request) for request in workshop.requests}
        assert end == expected_end, f"call {at}"
        assert workshop.stored() == expected, f"call {at}"
        assert len(bodies) == 1, f"call {at}: the same id must mean the same body"
        if workshop.store.dies_at and workshop.store.count < at:
            break
    else:
        pytest.fail("the region never came through")
    assert deaths >= 8
    assert await whole.status() == "completed"


async def test_a_wrong_clock_times_nothing_out(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the table's clock differs and says that it is too early, the request stays open."""
    workshop: Workshop = await make(ASK % "timeout: 10ms, on_failure: X", answers=answering(a_b=None))
    asked: list[str] = []

    async def server_time() -> int:
        (request,) = await workshop.all_requests()
        asked.append(request.state)
        return request.deadline + (-1000 if len(asked) < 3 else 1000)

    workshop.store.server_time = server_time  # type: ignore[method-assign]
    monkeypatch.setattr("cch.runtime.deadlines._CLOCK_TOLERANCE", 20)
    await workshop.run("A")

    (request,) = await workshop.all_requests()
    assert asked == ["open", "open", "open"]
    assert request.state == "timed_out"


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_death_before_a_timeout_takes_effect_is_repaired(make: Maker, lost: bool) -> None:
    """Whoever closed the request as timed out: the next process goes the same way, and its box knows."""
    nodes = ASK % "timeout: 10ms, on_failure: X"
    whole: Workshop = await make(nodes, answers=answering(a_b=None))
    await whole.run("A")
    expected = {key: item for key, item in whole.stored().items() if key[0].startswith(("REQ#", "BOX#", "RGN#"))}

    for at in range(1, 100):
        workshop: Workshop = await make(nodes, answers=answering(a_b=None))
        workshop.store.arm(at, lost=lost)
        try:
            await workshop.run("A")
        except Died:
            workshop.new_process()
            await workshop.run("A")
        found = {key: item for key, item in workshop.stored().items() if key[0].startswith(("REQ#", "BOX#", "RGN#"))}
        assert found == expected, f"call {at}"
        if workshop.store.dies_at and workshop.store.count < at:
            break
    else:
        pytest.fail("the region never came through")


async def test_an_outage_ends_no_region_that_waits(make: Maker) -> None:
    """The ledger does not answer for a while, a reply comes, and the region goes on when it does."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    running = asyncio.create_task(workshop.run("A"))
    while not workshop.requests:
        await asyncio.sleep(0.001)
    with workshop.store.outage():
        await workshop.reply(workshop.requests[0], "SUCCESS", {"k": 1})
        await asyncio.sleep(0.05)

    end = await running

    assert end.state == "success"


@dataclass
class Told(Pauses):
    """Pauses that are told and not waited for."""

    told: list[float] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def next(self) -> float:
        self.told.append(super().next())
        if len(self.told) == 7:
            self.enough.set()
        return 0.0


async def test_a_long_outage_is_asked_less_and_less_often(make: Maker) -> None:
    """Thousands may have been woken when it began."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    pauses = Told(draw=lambda: 1.0)
    workshop.platform.pauses = lambda: pauses
    running = asyncio.create_task(workshop.run("A"))
    while not workshop.requests or not (await workshop.all_requests())[0].sent_at:
        await asyncio.sleep(0.001)

    with workshop.store.outage():
        workshop.platform.exchange.waiters.wake(workshop.requests[0]["header"]["commandId"])
        await pauses.enough.wait()
    await workshop.reply(workshop.requests[0], "SUCCESS", {"k": 1})

    assert (await running).state == "success"
    assert pauses.told[:7] == [1, 2, 4, 8, 16, 30, 30]


# --- tries ---------------------------------------------------------------------------------------------------


async def test_going_on_after_a_restart_is_cheap(make: Maker) -> None:
    """Thousands do it at once: the instance, its journal and the request are looked at once each, nothing is resent.

    The holds are looked at once for all of them.
    """
    workshop: Workshop = await make(BUSY, answers=answering(a_b=None))
    before = asyncio.create_task(workshop.run("A"))
    while not workshop.requests or not (await workshop.all_requests())[0].sent_at:
        await asyncio.sleep(0.001)
    before.cancel()
    workshop.new_process()
    workshop.platform.exchange.id = "another"
    command_id = workshop.requests[0]["header"]["commandId"]

    after = asyncio.create_task(workshop.run("A"))
    while "another" not in (await workshop.all_requests())[0].owners:
        await asyncio.sleep(0.001)
    calls = workshop.store.count
    await workshop.reply(workshop.requests[0], "SUCCESS", {"k": "x"})
    workshop.platform.exchange.waiters.wake(command_id)
    while not after.done():
        await workshop.deliver()
        workshop.platform.exchange.waiters.wake(command_id)
        await asyncio.sleep(0.001)

    assert calls == 3 + 1
    assert len(workshop.requests) == 1
    assert after.result().state == "success"


async def test_a_request_that_the_table_has_lost(make: Maker) -> None:
    """Somebody deleted it, or the table was restored: the task fails, and says so."""
    workshop: Workshop = await make(BUSY, answers=answering(a_b=None))
    run = asyncio.create_task(workshop.run("A"))
    while not workshop.requests:
        await asyncio.sleep(0.001)
    command_id = workshop.requests[0]["header"]["commandId"]
    await asyncio.sleep(0.02)

    await workshop.ledger.store.delete((f"REQ#{command_id}", "-"))
    workshop.platform.exchange.waiters.wake(command_id)
    end = await run

    assert (end.state, end.reason.partition(":")[0]) == ("failed", f"the ledger has lost request {command_id}")


async def test_a_start_that_was_cancelled_in_the_same_moment_asks_nobody(make: Maker) -> None:
    """Its run was made when the cancellation had looked for one."""
    workshop = await make()
    await cancel(workshop.platform, (await workshop.view()).instance, "by telephone")

    running = asyncio.create_task(workshop.run("Prepare_Import_Enrichment"))
    await asyncio.sleep(0.05)

    assert not running.done()
    running.cancel()
    assert (workshop.requests, await workshop.status()) == ([], "cancelled")


async def test_a_clear_after_a_cancellation_goes_on_though_the_table_refuses_once(make: Maker) -> None:
    """What was interrupted between its entry in the journal and the reopening of the instance does both."""
    nodes = "A: {type: async_request, capability_id: 'a#x', on_response: B}\n"
    nodes += "B: {type: async_request, capability_id: 'a#y', on_response: E}\nE: {type: end}"
    workshop = await make(nodes, answers={"a#x": lambda _: None})
    workshop.platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
    first = asyncio.create_task(execute_region(workshop.task("A", "0-A"), workshop.platform))
    await eventually(lambda: len(workshop.requests) == 1)
    await cancel(workshop.platform, (await workshop.view()).instance, "by telephone")
    first.cancel()
    workshop.answers = {}
    instances, refused = workshop.platform.ledger.instances, 0
    reopen = instances.reopen

    async def refuse_once(*given: Any) -> None:
        nonlocal refused
        refused += 1
        if refused == 1:
            raise ServiceUnavailableError("ProvisionedThroughputExceededException")
        await reopen(*given)

    instances.reopen = refuse_once
    end = await finished(execute_region(workshop.task("A", "t2"), workshop.platform))

    assert (end.state, await workshop.status()) == ("success", "running")
    assert refused > 1


async def test_two_copies_of_one_try_go_in_lockstep(make: Maker) -> None:
    """A triggerer that was stopped and continued while another took over: one request, one journal, one end."""
    workshop: Workshop = await make(BUSY, answers=answering(a_b=None))
    copies = [asyncio.create_task(workshop.run("A")) for _ in range(2)]
    while not workshop.requests:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    await workshop.reply(workshop.requests[0], "SUCCESS", {"k": "x"})

    first, second = await asyncio.gather(*copies)

    journal = await workshop.journal("A")
    assert first == second
    assert len({str(request) for request in workshop.requests}) == 1
    assert [entry.kind for entry in journal] == ["try", "turn", "turn"]


async def test_a_clear_after_success_begins_anew(make: Maker) -> None:
    """A newer task instance after an exit: the next generation, new ids, and the old exit is replaced."""
    replies = iter([("SUCCESS", {"n": 1}), ("SUCCESS", {"n": 2})])
    workshop: Workshop = await make(ASK % "on_failure: X", answers={"a#b": lambda _: next(replies)})
    await workshop.run("A", "t1")
    await workshop.run("A", "t2")

    journal = await workshop.journal("A")
    (exit_,) = (await workshop.view()).exits
    assert [(e.mode, e.generation) for e in journal if e.kind == "try"] == [("first", 0), ("fresh", 1)]
    assert len({request["header"]["commandId"] for request in workshop.requests}) == 2
    assert (exit_.generation, exit_.task_instance, exit_.outcomes[0].patch["n"]) == (1, "t2", 2)
    assert await workshop.status() == "completed"


async def test_a_task_that_begins_after_its_instance_had_failed_goes_on(make: Maker) -> None:
    """Its run had ended without it, and the instance was told; then somebody cleared it."""
    nodes = (
        "A: {type: async_request, capability_id: 'a#b', on_response: B}\n"
        "B: {type: async_request, capability_id: 'a#b', on_response: E}\nE: {type: end}"
    )
    workshop: Workshop = await make(nodes, answers={"a#b": lambda _: ("SUCCESS", {})})
    await workshop.run("A", "t1")
    instance = (await workshop.view()).instance.id
    await workshop.ledger.instances.end(instance, "failed", NOW, "Airflow's run is gone")

    again = await workshop.run("B", "t2")

    assert (again.state, await workshop.status()) == ("success", "completed")
    assert (await workshop.view()).instance.reason == ""


async def test_a_retry_after_failure_continues(make: Maker) -> None:
    """Failed outcomes are dropped, what succeeded stays, and the next attempt has the next number."""
    replies = iter([("ERROR", {}), ("SUCCESS", {"k": 1})])
    nodes = (
        "S: {type: set_state, static_outputs: {before: 1}, on_success: A}\n"
        "A: {type: async_request, capability_id: 'a#b', error_reply: failure, on_response: E}\nE: {type: end}"
    )
    workshop: Workshop = await make(nodes, answers={"a#b": lambda _: next(replies)})

    failed = await workshop.run("A", "t1")
    between = await workshop.status()
    again = await workshop.run("A", "t2")

    tries = [entry for entry in await workshop.journal("A") if entry.kind == "try"]
    visits = [o.node for entry in await workshop.journal("A") for o in entry.outcomes]
    assert (failed.state, between, again.state) == ("failed", "failed", "success")
    assert [(e.mode, e.generation, dict(e.dropped)) for e in tries] == [("first", 0, {}), ("continue", 0, {"A#1": 1})]
    assert visits == ["S", "A", "A", "E"]
    assert [request.attempt for request in await workshop.all_requests()] == [1, 2]
    assert await workshop.status() == "completed"


async def test_a_newer_try_supersedes_what_the_older_one_left_open(make: Maker) -> None:
    """Cleared while it waited: a new request goes out, and the answer to the first is late."""
    silent: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    older = asyncio.create_task(silent.run("A", "t1"))
    while not silent.requests:
        await asyncio.sleep(0.001)
    older.cancel()
    await asyncio.gather(older, return_exceptions=True)
    newer = asyncio.create_task(silent.run("A", "t2"))
    while len(silent.requests) < 2:
        await asyncio.sleep(0.001)
    await silent.reply(silent.requests[0], "SUCCESS", {"old": 1})
    await silent.deliver()
    await silent.reply(silent.requests[1], "SUCCESS", {"new": 1})

    end = await newer

    assert end.state == "success"
    assert [request.state for request in await silent.all_requests()] == ["superseded", "answered"]
    assert sorted(silent.postman.intake.fates.elements()) == ["late", "matched"]
    assert (await silent.view()).exits[0].outcomes[0].patch == {"new": 1, "status": "SUCCESS"}


async def test_a_stale_copy_leaves_the_request_of_the_newer_one_alone(make: Maker) -> None:
    """Both were about to ask under the same id, and the older one comes second."""
    silent: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    opened = silent.platform.ledger.requests.open
    newer: list[asyncio.Task[RegionEnd]] = []

    async def late(record: RequestRecord, *arguments: Any, **more: Any) -> Any:
        if record.task_instance == "t1":
            newer.append(asyncio.create_task(silent.run("A", "t2")))
            while not silent.requests:
                await asyncio.sleep(0.001)
        return await opened(record, *arguments, **more)

    silent.platform.ledger.requests.open = late  # type: ignore[method-assign]
    older = asyncio.create_task(silent.run("A", "t1"))
    while not silent.requests:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    await silent.reply(silent.requests[0], "SUCCESS", {"k": 1})

    end = await newer[0]
    older.cancel()

    assert end.state == "success"
    assert [(r.state, r.task_instance) for r in await silent.all_requests()] == [("answered", "t2")]
    assert len(silent.requests) == 1


async def test_a_newer_try_uses_an_answer_that_was_there(make: Maker) -> None:
    """The older one died after its request was answered: nothing is asked twice."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    older = asyncio.create_task(workshop.run("A", "t1"))
    while not workshop.requests:
        await asyncio.sleep(0.001)
    older.cancel()
    await asyncio.gather(older, return_exceptions=True)
    await workshop.reply(workshop.requests[0], "SUCCESS", {"k": 1})
    await workshop.deliver()

    end = await workshop.run("A", "t2")

    assert end.state == "success"
    assert len(workshop.requests) == 1


async def test_a_stale_copy_does_nothing(make: Maker) -> None:
    """An older task instance that wakes up after a newer one began waits to be cancelled."""
    workshop: Workshop = await make(ASK % "on_failure: X")
    await workshop.run("A", "t2")
    before = workshop.stored()

    stale = asyncio.create_task(execute_region(workshop.task("A", "t1"), workshop.platform))
    done, _ = await asyncio.wait([stale], timeout=0.1)
    stale.cancel()

    assert not done
    assert workshop.stored() == before
    assert len(workshop.requests) == 1


# --- several regions -----------------------------------------------------------------------------------------


async def test_the_sample_with_parallel_branches_completes(make: Maker, tmp_path: Path) -> None:
    """Regions that run side by side, a join, and an end: the last one to leave completes the instance."""
    nodes = (
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: async_request, capability_id: 'a#one', on_response: A_End, error_reply: response}\n"
        "A_End: {type: end_branch}\n"
        "B: {type: async_request, capability_id: 'a#two', on_response: B_End, error_reply: response}\n"
        "B_End: {type: end_branch}\n"
        "J: {type: join, join_branches: [A, B], on_success: C}\n"
        "C: {type: sync_call, capability_id: 'test#count', on_success: E}\nE: {type: end}"
    )
    answers = answering(a_one=("SUCCESS", {"one": 1}), a_two=("SUCCESS", {"two": 2}))
    workshop: Workshop = await make(nodes, answers=answers)
    await workshop.run("F")
    ends = await asyncio.gather(workshop.run("A"), workshop.run("B"))
    between = await workshop.status()
    last = await workshop.run("C")

    assert [end.followed for end in ends] == [("A_End",), ("B_End",)]
    assert (between, last.state, await workshop.status()) == ("running", "success", "completed")


async def test_an_unhandled_failure_ends_the_instance_when_the_others_are_done(make: Maker) -> None:
    """A branch that is under way is not thrown away."""
    nodes = (
        "F: {type: fork, branches: [A, B]}\n"
        "A: {type: async_request, capability_id: 'a#one', error_reply: failure, on_response: E}\n"
        "B: {type: async_request, capability_id: 'a#two', error_reply: response, on_response: E}\nE: {type: end}"
    )
    workshop: Workshop = await make(nodes, answers=answering(a_one=("ERROR", {})))
    await workshop.run("F")
    failed = await workshop.run("A")
    between = await workshop.status()
    await workshop.run("B")

    instance = (await workshop.view()).instance
    assert failed.state == "failed"
    assert (between, instance.status, instance.reason) == ("running", "failed", "a#one answered ERROR")


NEITHER = (
    "workflow_id: w\nworkflow_name: W\nentry_point: S\nnodes:\n"
    "  S: {type: set_state, max_visits: 1_0, static_outputs: {country: NO}, on_success: Ask}\n"
    "  Ask: {type: async_request, capability_id: 'a#x', timeout: 1d, on_response: E, on_failure: E}\n  E: {type: end}\n"
)


@pytest.mark.parametrize(
    ("text", "created", "bound", "country"),
    [
        (NEITHER, NEWEST, FIRST, False),
        (NEITHER.replace("1_0", "10"), NEWEST, NEWEST, "NO"),
        (NEITHER.replace("1_0", "10"), FIRST, FIRST, False),
        (NEITHER.replace("1_0", "10").replace("workflow_name: W", "workflow_name: NO"), FIRST, NEWEST, "NO"),
    ],
    ids=["only the first fit", "new", "created before the upgrade", "only the newest fit"],
)
async def test_an_instance_is_bound_to_the_rules_by_which_it_begins(
    tmp_path: Path, text: str, created: int, bound: int, country: object
) -> None:
    """A number from its creation, or that of the rules by which its definition can be used at all."""
    shop = Workshop(tmp_path, {"w": text})
    await shop.ledger.instances.create(
        Instance(
            id=INSTANCE, workflow_id="w", correlation_id="BL-7", status="pending", started=NOW, start_message="m",
            reading_rules=created,
        )
    )  # fmt: skip

    for head in shop.plan.regions:
        await shop.run(head)

    view = await shop.view()
    assert (view.instance.status, view.instance.reading_rules) == ("completed", bound)
    assert flow_of(shop.plan, view.instance.context, view.outcomes()).final_context()["country"] == country
