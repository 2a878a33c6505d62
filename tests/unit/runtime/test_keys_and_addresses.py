"""What others tell steps and items of maps apart by: keys in bodies and headers, and addresses of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_execution import ASK, Maker, answering, make
from workshop import INSTANCE, Workshop
from world import World, eventually, open_memory_platform, with_answers

from cch.capabilities.registry import sync_capability
from cch.errors import CapabilityError
from cch.identity import FIRST_SCHEME, THE_INSTANCE, Box, UnknownSchemeError
from cch.interpreter.host import Call
from cch.ledger.payloads import sha256
from cch.ledger.records import RequestRecord
from cch.ledger.store import Change
from cch.messaging.outgoing import request_body
from cch.runtime.cancelling import cancel

__all__ = ["make"]  # a fixture

PAYMENTS = """
workflow_id: payments
workflow_name: Payments
entry_point: Fan
nodes:
  Fan: {type: map_fork, execution: inline, input_list_key: payments, branch_key: id, branch_entry_node: Pay}
  Pay: {type: sync_call, capability_id: 'keys#pay', on_success: Paid, %s}
  Paid: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""
NESTED = """
workflow_id: nested
workflow_name: Lines of packs, in a loop
entry_point: Outer
nodes:
  Outer: {type: map_fork, execution: inline, input_list_key: packs, branch_key: id, branch_entry_node: Inner}
  Inner:
    type: map_fork
    input_list_key: current_map_item.lines
    branch_key: number
    branch_entry_node: Ask
    item_key: line
  Ask: {type: async_request, capability_id: some#thing, input_keys: [line], on_response: Wait, on_failure: Out}
  Wait: {type: event_wait, event_key: released, on_event: Out}
  Out: {type: end_branch}
  Lines: {type: join, join_branches: [Inner], on_success: Pack}
  Pack: {type: end_branch}
  Packs: {type: join, join_branches: [Outer], on_success: Again}
  Again: {type: condition, condition_on_key: rounds, branches: {two: Once, _default: Done}}
  Once: {type: sync_call, capability_id: 'keys#round', on_success: Outer}
  Done: {type: end}
"""
LINES = {"packs": [{"id": pack, "lines": [{"number": "1"}]} for pack in ("A", "B")]}


sync_capability("keys#round")(lambda _: {"rounds": "one"})


@asynccontextmanager
async def begun(tmp_path: Path, text: str, **context: Any) -> AsyncIterator[World]:
    async with open_memory_platform(tmp_path, text) as platform:
        world = World(platform, text, context=context, answers=[("SUCCESS", {})])
        await world.create()
        yield world


@pytest.fixture
def calls() -> list[Call]:
    """The calls of `keys#pay`, which fails as often as there are exceptions in ``failures``."""
    seen: list[Call] = []
    sync_capability("keys#pay")(lambda call: seen.append(call) or {})  # type: ignore[arg-type,func-returns-value]
    return seen


async def test_every_item_of_a_map_pays_under_a_key_of_its_own(tmp_path: Path, calls: list[Call]) -> None:
    """An endpoint that honours the key books three payments of three."""
    payments = [{"id": number} for number in ("1", "2", "3")]
    async with begun(tmp_path, PAYMENTS % "on_failure: Paid", payments=payments) as world:
        await world.execute("Fan")

        assert len({call.idempotency_key for call in calls}) == 3
        assert {call.request_key for call in calls} == {call.idempotency_key for call in calls}


@pytest.mark.parametrize(("setting", "keys"), [("", 1), (", idempotency: attempt", 3)])
async def test_attempts_share_a_key_unless_each_is_to_have_its_own(make: Maker, setting: str, keys: int) -> None:
    """A retry after a timeout must not pay twice; some endpoints remember errors by key."""
    seen: list[Call] = []

    def fail(call: Call) -> dict[str, Any]:
        seen.append(call)
        raise CapabilityError("busy")

    sync_capability("keys#fail")(fail)
    nodes = (
        "A: {type: sync_call, capability_id: 'keys#fail', retry: {max_attempts: 3}, on_success: E, on_failure: E%s}\n"
        "E: {type: end}"
    )
    workshop: Workshop = await make(nodes % setting)
    await workshop.run("A")

    assert [call.attempt for call in seen] == [1, 2, 3]
    assert len({call.idempotency_key for call in seen}) == keys


async def test_a_continued_try_keeps_the_key_and_goes_on_counting(make: Maker) -> None:
    """A person clears a failed call: the visit is the same, its attempts are new ones."""
    seen: list[Call] = []

    def fail_once(call: Call) -> dict[str, Any]:
        seen.append(call)
        if len(seen) == 1:
            raise CapabilityError("busy")
        return {}

    sync_capability("keys#once")(fail_once)
    workshop: Workshop = await make(
        "A: {type: sync_call, capability_id: 'keys#once', idempotency: visit, on_success: E}\nE: {type: end}"
    )
    await workshop.run("A", "t1")
    await workshop.run("A", "t2")

    assert [call.attempt for call in seen] == [1, 2]
    assert len({call.idempotency_key for call in seen}) == 1


async def test_a_new_beginning_has_a_new_request_key(make: Maker) -> None:
    """Cleared after a success: the capability is to do it again, and must not refuse by the key."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=("SUCCESS", {})))
    await workshop.run("A", "t1")
    await workshop.run("A", "t2")

    first, second = (request["header"]["requestKey"] for request in workshop.requests)
    assert first != second


async def test_a_node_may_be_called_anything(tmp_path: Path, calls: list[Call]) -> None:
    """Keys go into HTTP headers, which are ASCII."""
    text = """
workflow_id: zoll
workflow_name: Zoll
entry_point: Zollsatz prüfen
nodes:
  Zollsatz prüfen: {type: sync_call, capability_id: 'keys#pay', on_success: Ende}
  Ende: {type: end}
"""
    async with begun(tmp_path, text) as world:
        await world.execute("Zollsatz prüfen")

    assert calls[0].idempotency_key.isascii()


async def test_lines_of_two_packs_and_of_two_rounds_ask_under_their_own_keys(tmp_path: Path) -> None:
    """`header.requestKey` names the visit in its scope, however deep, in every round of a loop around the maps."""
    async with begun(tmp_path, NESTED, rounds="two", **LINES) as world:
        asked: list[dict[str, Any]] = []
        answer_for = world.answer_for
        world.answer_for = lambda request: asked.append(request) or answer_for(request)  # type: ignore[func-returns-value]
        run = asyncio.create_task(with_answers(world, world.execute("Outer")))
        for number in (2, 4):
            await eventually(lambda number=number: len(asked) == number)
            await eventually(lambda: waiting(world, 2))
            for pack in ("A", "B"):
                await world.event({"released": pack}, branch=(pack, "1"))
        await run

        assert len({request["header"]["requestKey"] for request in asked}) == 4
        hints = [request["header"]["routingHint"] for request in asked]
        assert sorted(map(json.dumps, hints[:2])) == [
            json.dumps({"branchKey": "1", "branchPath": [pack, "1"]}) for pack in ("A", "B")
        ]


async def waiting(world: World, count: int) -> bool:
    waits = await world.platform.ledger.waits.of_box(Box(world.instance, "1"))
    return len([wait for wait in waits if wait.state == "open"]) == count


async def test_an_event_for_one_of_several_items_is_no_guess(tmp_path: Path) -> None:
    """Inner items have the same key: the key alone is an orphan with a reason, the path finds its item."""
    async with begun(tmp_path, NESTED, **LINES) as world:
        run = asyncio.create_task(with_answers(world, world.execute("Outer")))
        await eventually(lambda: waiting(world, 2))

        await world.event({"released": "?"}, branch="1")
        await world.event({"released": "for B"}, branch=("B", "1"))
        await eventually(lambda: waiting(world, 1))
        await world.event({"released": "for nobody"}, branch=("C", "1"))
        await world.event({"released": "for A"}, branch=("A", "1"))
        await run

        outcomes = (o for exit_ in (await world.view()).exits for o in exit_.outcomes)
        packs = next(outcome.patch for outcome in outcomes if outcome.node == "Outer")
        assert [pack["lines"][0]["released"] for pack in packs["packs"]] == ["for A", "for B"]
        unmatched = await world.platform.ledger.messages.unmatched("orphan")
        assert ["2 items" in message.reason for message in unmatched] == [True]
        assert "branchPath" in unmatched[0].reason


async def test_an_early_event_for_one_of_several_items_is_no_guess_either(tmp_path: Path) -> None:
    """It came before anybody waited; whoever waits first must not get what may be another one's."""
    async with begun(tmp_path, NESTED, **LINES) as world:
        await world.event({"released": "?"}, branch="1")
        await eventually(lambda: fated(world, ["held"]))
        run = asyncio.create_task(with_answers(world, world.execute("Outer")))
        await eventually(lambda: fated(world, ["orphan"]))
        await eventually(lambda: waiting(world, 2))
        for pack in ("A", "B"):
            await world.event({"released": pack}, branch=(pack, "1"))

        assert (await run).state == "success"


async def fated(world: World, fates: list[str]) -> bool:
    return await world.fates() == fates


async def test_an_item_called_dash_leaves_the_instances_events_alone(tmp_path: Path) -> None:
    """The box of the instance itself is no item's."""
    text = """
workflow_id: dash
workflow_name: Dash
execution: {granularity: workflow}
entry_point: Both
nodes:
  Both: {type: fork, branches: [Wait, Fan]}
  Wait: {type: event_wait, event_key: word, on_event: Waited}
  Waited: {type: end_branch}
  Fan: {type: map_fork, execution: inline, input_list_key: items, branch_key: id, branch_entry_node: Own}
  Own: {type: event_wait, event_key: word, on_event: Owned}
  Owned: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Fanned}
  Fanned: {type: end_branch}
  Join: {type: join, join_branches: [Waited, Fanned], on_success: Done}
  Done: {type: end}
"""
    async with begun(tmp_path, text, items=[{"id": "-"}]) as world:
        run = asyncio.create_task(world.execute(next(iter(world.plan.regions))))
        await eventually(lambda: has_open(world, "-"))
        await eventually(lambda: has_open(world, ""))

        await world.event({"word": "for the item"}, branch="-")
        await world.event({"word": "for the instance"})
        await run

        words = {o.node: o.patch for exit_ in (await world.view()).exits for o in exit_.outcomes}
        assert words["Wait"]["word"] == "for the instance"
        assert words["Fan"]["items"] == [{"id": "-", "word": "for the item"}]


async def has_open(world: World, branch: str) -> bool:
    waits = await world.platform.ledger.waits.of_box(Box(world.instance, branch))
    return any(wait.state == "open" for wait in waits)


async def test_a_capability_answers_only_for_itself(make: Maker) -> None:
    """`a` is not `a#b`, although its id begins like it."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    run = asyncio.create_task(workshop.run("A"))
    while not workshop.requests:
        await asyncio.sleep(0.001)
    asked = workshop.requests[0]
    unhinted = {**asked, "header": {**asked["header"], "commandId": ""}}
    await workshop.reply({**unhinted, "body": {**asked["body"], "capability_id": "a"}}, "SUCCESS", {"from": "a"})
    await workshop.deliver()
    assert [request.state for request in await workshop.all_requests()] == ["open"]
    await workshop.reply(unhinted, "SUCCESS", {"from": "a#b"})
    await workshop.deliver()
    await run

    (exit_,) = (await workshop.view()).exits
    assert exit_.outcomes[0].patch["from"] == "a#b"


# --- schemes -------------------------------------------------------------------------------------------------


async def test_an_instance_of_a_later_scheme_is_left_alone(make: Maker) -> None:
    """Its task waits, its messages stay in their queue, and it cannot be cancelled from here."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=("SUCCESS", {"k": 1})))
    meta = (f"INST#{INSTANCE}", "META")
    await workshop.ledger.store.update(meta, Change(set={"scheme": 3}))
    run = asyncio.create_task(workshop.run("A"))
    await asyncio.sleep(0.05)

    assert not run.done()
    assert workshop.requests == []
    assert [entry.kind for entry in await workshop.journal("A")] == []
    assert (await workshop.view()).instance.structure_digest == ""
    with pytest.raises(UnknownSchemeError):
        await cancel(workshop.platform, (await workshop.view()).instance, "")
    run.cancel()


async def test_a_message_for_an_instance_of_a_later_scheme_stays_in_its_queue(make: Maker) -> None:
    """The process that knows the scheme takes it."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=None))
    await workshop.ledger.store.update((f"INST#{INSTANCE}", "META"), Change(set={"scheme": 3}))
    queue = workshop.queues.make(workshop.settings.names.reply_queue)
    command = {
        "type": "ASYNC_RESP", "id": "r", "source": "a#b", "timestamp": "2026-01-31T10:00:00Z", "payload": {},
    }  # fmt: skip
    await queue.send(json.dumps({"workflowInstanceId": INSTANCE, "command": command}))

    with pytest.raises(UnknownSchemeError):
        await workshop.postman.take(queue)
    queue.redeliver()

    assert len(queue.messages) == 1


async def test_an_instance_keeps_the_scheme_it_was_created_with(make: Maker) -> None:
    """It began under an earlier release: what it opens now has the old forms, calls and boxes too."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=("SUCCESS", {})))
    await workshop.ledger.store.update((f"INST#{INSTANCE}", "META"), Change(remove=("scheme",)))
    await workshop.run("A")

    (record,) = await workshop.ledger.requests.of_box(Box(INSTANCE, "", FIRST_SCHEME))
    assert record.scheme == FIRST_SCHEME
    assert workshop.requests[0]["header"]["requestKey"] == f"{INSTANCE}/A/1"


async def test_a_request_that_an_earlier_release_has_made_is_sent_with_the_same_bytes(make: Maker) -> None:
    """It died between writing the request and sending it; the body's digest is stored, and has to fit."""
    workshop: Workshop = await make(ASK % "on_failure: X", answers=answering(a_b=("SUCCESS", {})))
    await workshop.ledger.store.update((f"INST#{INSTANCE}", "META"), Change(remove=("scheme",)))
    sent: list[str] = []
    opened = workshop.platform.ledger.requests.open

    async def stored_before(record: RequestRecord, owner: str, *, again: bool = False) -> Any:
        await opened(replace(record, created=record.created - 5000, body_hash=old_digest(record)), owner)
        sent.append(record.command_id)
        return await opened(record, owner, again=again)

    def old_digest(record: RequestRecord) -> str:
        return sha256(
            request_body(
                instance=INSTANCE, workflow_id="w", definition_uri="s3://b/d.yaml", correlation_id="BL-7",
                command_id=record.command_id, request_key=f"{INSTANCE}/A/1",
                reply_to="memory://cch-dev-local-orchestrator-reply-queue", created=record.created - 5000,
                address=THE_INSTANCE, capability_id="a#b", output_keys=(), context={},
            )
        )  # fmt: skip

    workshop.platform.ledger.requests.open = stored_before  # type: ignore[method-assign]
    end = await workshop.run("A")

    assert end.state == "success"
    assert [request["header"]["commandId"] for request in workshop.requests] == sent


async def test_a_lost_run_leaves_nothing_open(tmp_path: Path) -> None:
    """Requests and waits for events are closed by the one who ends the instance."""
    async with begun(tmp_path, NESTED, **LINES) as world:
        run = asyncio.create_task(with_answers(world, world.execute("Outer")))
        await eventually(lambda: waiting(world, 2))
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

        await world.platform.exchange.supersede_all((await world.view()).instance)

        assert await world.platform.ledger.waiting.of_instance(world.instance, 10) == []
