"""Messages before their start, and events that a person gives to a wait."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import ManualClock
from world import World, eventually, open_memory_platform

from cch.envelope import event_command, parse_command
from cch.exchange.early import KEPT_FOR
from cch.identity import THE_INSTANCE
from cch.ledger.records import Instance, MessageRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.platform import Platform

NOW = 1_700_000_000_000
TEXT = """
workflow_id: early
workflow_name: Early
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#b, on_response: Wait, on_failure: Wait}
  Wait: {type: event_wait, event_key: word, on_event: Done}
  Done: {type: end}
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, TEXT, clock=clock) as opened:
        yield opened


def reply(instance: str) -> str:
    command = {
        "type": "ASYNC_RESP", "id": "r", "source": "Capability:a#b", "timestamp": "2026-01-05T08:00:00Z",
        "payload": {"answer": 1},
    }  # fmt: skip
    return json.dumps({"workflowInstanceId": instance, "command": command})


async def messages(platform: Platform) -> dict[str, MessageRecord]:
    """Kind → message."""
    found = [await platform.ledger.messages.get(item["PK"]) for item in await platform.ledger.store.scan("MSG#")]
    return {record.kind: record for record in found if record}


async def held(platform: Platform, count: int) -> bool:
    return [record.fate for record in (await messages(platform)).values()] == ["held"] * count


async def test_a_reply_and_an_event_before_their_start_are_taken_when_the_instance_begins(platform: Platform) -> None:
    """Two queues keep no order between them: nothing is lost, and nothing is asked that was answered."""
    world = World(platform, TEXT)
    queue = await platform.queues.find(platform.settings.names.reply_queue)
    assert queue is not None
    await world.event({"word": "early"}, "e1")
    await world.event({"word": "again"}, "e1")
    await queue.send(reply(world.instance))
    await eventually(lambda: counted(platform, 3))
    await world.create()
    await world.execute("Ask")
    await world.execute("Wait")

    patches = {o.node: o.patch for exit_ in (await world.view()).exits for o in exit_.outcomes}
    assert patches["Ask"]["answer"] == 1
    assert patches["Wait"]["word"] == "early"
    assert await world.fates() == ["duplicate", "matched"]


async def counted(platform: Platform, count: int) -> bool:
    return len(await platform.ledger.store.scan("MSG#")) == count


async def test_what_nobody_comes_for_is_an_orphan_in_the_end(platform: Platform, clock: ManualClock) -> None:
    """It says what it waits for, then that nobody came; its sender may send it again."""
    world = World(platform, TEXT)
    queue = await platform.queues.find(platform.settings.names.reply_queue)
    assert queue is not None
    await queue.send(reply(world.instance))
    await world.event({"word": "early"}, "e1")
    await eventually(lambda: held(platform, 2))
    reasons = {record.reason for record in (await messages(platform)).values()}
    clock.now += KEPT_FOR - 1
    soon = await platform.exchange.give_up_early()
    clock.now += 2
    late = await platform.exchange.give_up_early()

    assert ["kept for a day" in reason for reason in reasons] == [True]
    assert (soon, late, await platform.exchange.give_up_early()) == (0, 2, 0)
    assert {record.fate for record in (await messages(platform)).values()} == {"orphan"}
    assert [item for item in await platform.ledger.store.scan("BOX#") if item["SK"].startswith(("HELD#", "EID#"))] == []


async def test_an_instance_that_came_in_time_keeps_its_messages(platform: Platform, clock: ManualClock) -> None:
    """Its own end decides what becomes of them."""
    world = World(platform, TEXT)
    await world.event({"word": "early"}, "e1")
    await eventually(lambda: held(platform, 1))
    await world.create()
    clock.now += KEPT_FOR + 1

    assert await platform.exchange.give_up_early() == 0
    assert (await messages(platform))["EVENT_WAIT_RESP"].fate == "held"


# --- events that a person attaches ---------------------------------------------------------------------------


class Lost:
    """An open wait, and an event that found nobody."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.instance = Instance(id="i", workflow_id="early", correlation_id="i", status="running", started=NOW)
        self.wait = WaitRecord(
            id="w", instance="i", branch="", node="Wait", event_key="word", state="open", created=NOW, deadline=0,
            task_instance="t",
        )  # fmt: skip

    async def begin(self, instance: str = "other", **payload: Any) -> MessageRecord:
        await self.platform.ledger.instances.create(self.instance)
        await self.platform.exchange.await_event(self.wait)
        body = event_command(
            instance=instance, command_id="e", payload=payload, address=THE_INSTANCE, status="", now=NOW
        )
        record = MessageRecord(
            key="MSG#q#1", fate="orphan", kind="EVENT_WAIT_RESP", reason="?", instance=instance, source="cch",
            branch="", command_id="e", received=NOW, body=body,
        )  # fmt: skip
        await self.platform.ledger.messages.settle(record)
        return record

    async def attach(self, record: MessageRecord, *, force: bool = False) -> tuple[str, str]:
        command = parse_command(record.body)
        refused, wait = await self.platform.exchange.attach_event("w", self.instance, command, record, force=force)
        return refused, wait.message if wait else ""

    async def stored(self) -> MessageRecord:
        record = await self.platform.ledger.messages.get("MSG#q#1")
        assert record is not None
        return record


async def test_a_person_gives_an_orphaned_event_to_a_wait(platform: Platform) -> None:
    """Once, with force where it names another instance; to repeat it changes nothing."""
    lost = Lost(platform)
    record = await lost.begin(word="found")

    refused, _ = await lost.attach(record)
    given = await lost.attach(record, force=True)
    again = await lost.attach(await lost.stored(), force=True)

    assert "needs force" in refused
    assert given == again == ("", "MSG#q#1")
    after = await lost.stored()
    assert (after.fate, after.reason) == ("matched", "")
    assert parse_command(after.body).payload == {"word": "found"}
    (wait,) = await platform.ledger.waits.of_box(lost.instance.box())
    assert (wait.state, wait.message) == ("event", "MSG#q#1")


async def test_an_event_without_the_key_that_is_waited_for_needs_force(platform: Platform) -> None:
    """The node goes on with what the event brings."""
    lost = Lost(platform)
    record = await lost.begin("i", other=1)

    refused, _ = await lost.attach(record)

    assert "'word'" in refused


async def test_a_wait_that_has_ended_takes_no_event(platform: Platform) -> None:
    """The event keeps its fate, and can be given to another."""
    lost = Lost(platform)
    record = await lost.begin("i", word="late")
    await platform.exchange.give_up(lost.wait)

    refused, _ = await lost.attach(record)
    nobody, _ = await platform.exchange.attach_event(
        "unknown", lost.instance, parse_command(record.body), record, force=True
    )

    assert refused == "the wait has ended: timed out"
    assert "no open wait" in nobody
    assert (await lost.stored()).fate == replace(record).fate
