"""Loops, events and schedules on the host of real runs, with ledger and queues in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from world import World, eventually, open_memory_platform, with_answers

from cch.errors import ServiceUnavailableError
from cch.identity import Box
from cch.ledger.audit import audit
from cch.ledger.instances import _start_key
from cch.ledger.records import Instance, JournalEntry, RegionKey
from cch.pauses import Pauses
from cch.runtime.platform import Platform
from cch.runtime.turnstile import Turnstile

HUMAN_LOOP = """
workflow_id: human_loop
workflow_name: Enrich until it works
entry_point: Enrich
nodes:
  Enrich: {type: async_request, capability_id: import#enrich, on_response: Check, on_failure: Failed}
  Check: {type: condition, condition_on_key: status, branches: {SUCCESS: Done, ERROR: Ask}}
  Ask: {type: event_wait, event_key: messages, on_success: Clear, timeout: 1h, on_timeout: Failed}
  Clear: {type: set_state, static_outputs: {status: null}, on_success: Enrich}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
SCHEDULED = """
workflow_id: scheduled
workflow_name: File before discharge
entry_point: File
nodes:
  File:
    type: scheduled_request
    capability_id: declaration#file
    schedule_parameters: {date_context_key: dates.file}
    on_schedule_set: {filing: SCHEDULED}
    on_success: Scheduled
    on_response: Done
    on_failure: Failed
  Scheduled: {type: end}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
ITEMS = """
workflow_id: items
workflow_name: Items side by side
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Ask, execution: inline}
  Ask: {type: async_request, capability_id: some#thing, on_response: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""
_WAIT = """
workflow_id: {name}
workflow_name: Waits at once
entry_point: Wait
nodes:
  Wait: {node}
  Done: {{type: end}}
"""
_DATE = "schedule_parameters: {date_context_key: date}, on_schedule_set: {set: 1}"
#: What a region waits for first, and a definition that does.
WAITS = {
    "request": _WAIT.format(name="asks", node="{type: async_request, capability_id: a#b, on_response: Done}"),
    "event": _WAIT.format(name="listens", node="{type: event_wait, event_key: k, on_success: Done}"),
    "date": _WAIT.format(
        name="sleeps", node=f"{{type: scheduled_request, capability_id: a#b, {_DATE}, on_response: Done}}"
    ),
    "stale copy": _WAIT.format(name="overtaken", node="{type: async_request, capability_id: a#b, on_response: Done}"),
}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, HUMAN_LOOP, SCHEDULED, ITEMS, *WAITS.values()) as opened:
        yield opened


ERROR = ("ERROR", {"messages": [{"code": "HITL"}]})
SUCCESS = ("SUCCESS", {"enriched": "e-1"})
CORRECTION = {"messages": [], "corrected": True}


async def test_a_loop_turns_until_a_person_has_mended_it(platform: Platform) -> None:
    """An ERROR reply asks a person, his event clears the status, and the request is sent anew; all in one task."""
    world = World(platform, HUMAN_LOOP, answers=[ERROR, SUCCESS])
    await world.create()
    run = asyncio.create_task(with_answers(world, world.execute("Enrich")))
    await eventually(lambda: _waits(world))

    await world.event(CORRECTION)

    end = await run
    assert end.state == "success"
    assert await world.visited() == ["Enrich", "Check", "Ask", "Clear", "Enrich", "Check", "Done"]
    assert (await world.view()).instance.status == "completed"
    assert await world.fates() == ["matched"]
    assert (await audit(platform.ledger, _plan_of(world), pause=0.0)).findings == ()


async def _waits(world: World) -> bool:
    return any(w.state == "open" for w in await world.platform.ledger.waits.of_box(Box(world.instance)))


def _plan_of(world: World) -> Any:
    async def plan(_instance: Instance) -> Any:
        return world.plan

    return plan


async def test_an_event_that_comes_early_is_used(platform: Platform) -> None:
    """The person was faster than the workflow: the event is kept and taken when the node waits."""
    world = World(platform, HUMAN_LOOP, answers=[ERROR, SUCCESS])
    await world.create()
    await world.event(CORRECTION)
    await eventually(lambda: _held(world, 1))

    await with_answers(world, world.execute("Enrich"))

    assert (await world.view()).instance.status == "completed"
    assert await world.fates() == ["matched"]


async def _held(world: World, count: int) -> bool:
    return len(await world.platform.ledger.messages.all_held(Box(world.instance))) == count


async def test_an_event_without_the_key_is_not_taken(platform: Platform) -> None:
    """It waits for another wait, and is late when the instance ends without one."""
    world = World(platform, HUMAN_LOOP, answers=[ERROR, SUCCESS])
    await world.create()
    await world.event({"other": 1})
    await eventually(lambda: _held(world, 1))
    await world.event(CORRECTION)

    await with_answers(world, world.execute("Enrich"))

    assert await world.fates() == ["late", "matched"]


async def test_a_repeated_event_is_a_duplicate(platform: Platform) -> None:
    """The sender's id decides: the second round of the loop waits for an event of its own."""
    world = World(platform, HUMAN_LOOP, answers=[ERROR, ERROR, SUCCESS])
    await world.create()
    await world.event(CORRECTION, "e-1")
    await world.event(CORRECTION, "e-1")
    run = asyncio.create_task(with_answers(world, world.execute("Enrich")))
    await eventually(lambda: _has_fates(world, ["duplicate", "matched"]))
    assert not run.done()

    await world.event(CORRECTION, "e-2")

    await run
    assert await world.fates() == ["duplicate", "matched", "matched"]
    assert (await world.visited()).count("Ask") == 2


async def _has_fates(world: World, fates: list[str]) -> bool:
    return await world.fates() == fates


async def test_events_for_nobody(platform: Platform) -> None:
    """One that came before its instance is kept until the instance ends; one that comes after its end is late."""
    world = World(platform, HUMAN_LOOP, answers=[SUCCESS])
    await world.event({"messages": []})
    await eventually(lambda: _has_fates(world, ["held"]))
    await world.create()
    await with_answers(world, world.execute("Enrich"))

    await world.event({"messages": []})

    await eventually(lambda: _has_fates(world, ["late", "late"]))


async def test_a_wait_times_out(platform: Platform) -> None:
    """After the hour the node goes on_timeout, and an event that comes then is late."""
    now = [1_000_000]
    platform.clock = lambda: now[0]  # type: ignore[method-assign]
    world = World(platform, HUMAN_LOOP.replace("timeout: 1h", "timeout: 10ms"), answers=[ERROR])
    (platform.catalogue._source._folder / "human_loop.yaml").write_text(world.text)  # type: ignore[attr-defined]
    await world.create()
    run = asyncio.create_task(with_answers(world, world.execute("Enrich")))
    await eventually(lambda: _waits(world))
    now[0] += 3_600_000

    await run

    assert "Failed" not in await world.visited()
    end = await world.execute("Failed", "t2")
    assert end.state == "failed"
    assert (await world.view()).instance.status == "failed"


@pytest.mark.parametrize("entry", range(4))
async def test_a_killed_loop_continues_where_it_was(platform: Platform, entry: int) -> None:
    """Whatever commit the process dies at, the same task goes on from the journal and asks nothing twice."""
    world = World(platform, HUMAN_LOOP, answers=[ERROR, SUCCESS])
    await world.create()
    await world.event(CORRECTION)
    journal = platform.ledger.journal
    plain, calls = journal.append, 0

    async def dies(*arguments: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == entry + 1:
            raise asyncio.CancelledError
        return await plain(*arguments)

    journal.append = dies  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await with_answers(world, world.execute("Enrich"))
    journal.append = plain  # type: ignore[method-assign]

    end = await with_answers(world, world.execute("Enrich"))

    assert end.state == "success"
    assert await world.visited() == ["Enrich", "Check", "Ask", "Clear", "Enrich", "Check", "Done"]
    requests = await platform.ledger.requests.of_box(Box(world.instance))
    assert len(requests) == 2
    assert await world.fates() == ["matched"]


async def test_a_scheduled_request_goes_on_at_once_and_sends_at_its_date(platform: Platform) -> None:
    """The workflow knows at once that it is scheduled; the request leaves when the date has come, not before."""
    world = World(platform, SCHEDULED, context={"dates": {"file": "1970-01-01T00:16:40.200Z"}}, answers=[SUCCESS])
    now = [1_000_000]
    platform.clock = lambda: now[0]  # type: ignore[method-assign]
    await world.create()
    run = asyncio.create_task(with_answers(world, world.execute("File")))
    await asyncio.sleep(0.05)
    assert await platform.ledger.requests.of_box(Box(world.instance)) == []
    now[0] += 300

    end = await run

    assert end.state == "success"
    assert await world.visited() == ["File", "Scheduled", "File", "Done"]
    context = (await world.view()).exits[0].outcomes[0].patch
    assert context == {"filing": "SCHEDULED"}
    (request,) = await platform.ledger.requests.of_box(Box(world.instance))
    assert request.created >= 1_000_200


async def test_a_wrong_clock_sends_nothing_before_its_date(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine says that the date has passed, the table that it has not."""
    world = World(platform, SCHEDULED, context={"dates": {"file": "1970-01-01T00:16:40Z"}}, answers=[SUCCESS])
    platform.clock = lambda: 1_060_000  # type: ignore[method-assign]
    monkeypatch.setattr("cch.runtime.deadlines._CLOCK_TOLERANCE", 20)
    times = [999_000, 999_500, 1_000_000]
    asked: list[int] = []

    async def server_time() -> int:
        assert await platform.ledger.requests.of_box(Box(world.instance)) == []
        asked.append(times[len(asked)])
        return asked[-1]

    platform.ledger.store.server_time = server_time  # type: ignore[method-assign]
    await world.create()

    end = await with_answers(world, world.execute("File"))

    assert end.state == "success"
    assert asked == times


@pytest.mark.parametrize("date", ["tomorrow", 7, None])
async def test_a_date_that_is_none_fails_the_node(platform: Platform, date: Any) -> None:
    """The reason names the key and what is there."""
    world = World(platform, SCHEDULED, context={"dates": {"file": date}}, answers=[SUCCESS])
    await world.create()

    await with_answers(world, world.execute("File"))

    (exit_,) = (await world.view()).exits
    assert exit_.outcomes[0].label == "on_failure"
    assert "dates.file" in exit_.outcomes[0].patch["_internalError"]


async def test_an_outage_at_a_commit_is_waited_out(platform: Platform) -> None:
    """While the ledger does not answer, the task neither fails nor repeats what it has done."""
    platform.pauses = lambda: Pauses(0.01)
    world = World(platform, HUMAN_LOOP, answers=[SUCCESS])
    await world.create()
    journal = platform.ledger.journal
    plain, failures = journal.append, 3

    async def away(*arguments: Any) -> bool:
        nonlocal failures
        if arguments[1] and failures:
            failures -= 1
            raise ServiceUnavailableError("the table does not answer")
        return await plain(*arguments)

    journal.append = away  # type: ignore[method-assign]

    end = await with_answers(world, world.execute("Enrich"))

    assert end.state == "success"
    assert failures == 0
    assert len(await platform.ledger.requests.of_box(Box(world.instance))) == 1


async def test_an_outage_at_the_commit_of_an_item_is_waited_out(platform: Platform) -> None:
    """Items run side by side: what one of them cannot write now fails neither it nor the map."""
    platform.pauses = lambda: Pauses(0.01)
    world = World(platform, ITEMS, context={"items": [{"id": "a"}, {"id": "b"}]}, answers=[SUCCESS])
    await world.create()
    journal = platform.ledger.journal
    plain, failures = journal.append, 2

    async def away(key: RegionKey, *arguments: Any) -> bool:
        nonlocal failures
        if key.scope and arguments[0] and failures:
            failures -= 1
            raise ServiceUnavailableError("the table does not answer")
        return await plain(key, *arguments)

    journal.append = away  # type: ignore[method-assign]

    end = await with_answers(world, world.execute("Fan"))

    assert (end.state, failures) == ("success", 0)
    assert [len(await platform.ledger.requests.of_box(Box(world.instance, item))) for item in ("a", "b")] == [1, 1]


@pytest.mark.parametrize("first", ["request", "event", "date", "stale copy"])
async def test_whoever_waits_makes_room_for_the_next(
    platform: Platform, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one place, and nobody is sent away for staying too long: waiting does not take it."""
    monkeypatch.setattr("cch.runtime.turnstile.PATIENCE", 3600.0)
    platform.turnstile = Turnstile(1)
    context = {"date": "2999-01-01T00:00:00Z"}
    worlds = [World(platform, text, context=context) for text in (WAITS[first], WAITS["request"])]
    for world in worlds:
        await world.create()
    if first == "stale copy":
        key = RegionKey(instance=worlds[0].instance, region="Wait")
        await platform.ledger.journal.append(
            key, 0, JournalEntry(kind="try", mode="first", task_instance="t2", generation=0)
        )

    runs = [asyncio.create_task(world.execute("Wait")) for world in worlds]

    await eventually(lambda: platform.ledger.requests.of_box(Box(worlds[1].instance)))
    assert not runs[0].done()
    for run in runs:
        run.cancel()


async def test_a_region_begins_when_there_is_room(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it does not touch the ledger."""
    monkeypatch.setattr("cch.runtime.turnstile.PATIENCE", 3600.0)
    platform.turnstile = Turnstile(1)
    world = World(platform, WAITS["request"])
    await world.create()
    await platform.turnstile.enter()
    run = asyncio.create_task(world.execute("Wait"))
    for _ in range(100):
        await asyncio.sleep(0)
    before = await platform.ledger.journal.read(RegionKey(instance=world.instance, region="Wait"))

    platform.turnstile.leave()

    await eventually(lambda: platform.ledger.requests.of_box(Box(world.instance)))
    assert before == []
    run.cancel()


async def test_the_start_that_wins_keeps_its_own_context(platform: Platform) -> None:
    """A start that died half-way leaves nothing of its context to the one that comes after it."""
    instances = platform.ledger.instances
    first = Instance(
        id="i",
        workflow_id="w",
        correlation_id="c",
        status="pending",
        started=1,
        context={"from": 1},
        start_message="m1",
    )
    second = replace(first, context={"from": 2}, start_message="m2")
    await platform.ledger.store.put({"PK": "INST#i", "SK": _start_key("m1"), "context": '{"from":1}'})

    mine, stored = await instances.create(second)
    late, kept = await instances.create(first)

    assert (mine, stored.context) == (True, {"from": 2})
    assert (late, kept.context) == (False, {"from": 2})
