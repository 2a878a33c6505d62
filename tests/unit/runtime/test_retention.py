"""Finished instances expire whole: nothing is left of them but a tombstone, the archive and what others hold."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults import Died, FragileStore
from scripted import ManualClock
from world import World, open_memory_platform, with_answers

from cch.errors import LedgerError
from cch.ledger.audit import audit
from cch.ledger.expiry import PERIOD, TOMBSTONE
from cch.ledger.instances import InstanceExpiredError
from cch.ledger.leftovers import leftovers
from cch.ledger.messages import message_key
from cch.ledger.records import MessageRecord
from cch.runtime import archive
from cch.runtime.inspection import Inspector
from cch.runtime.retention import expire, expire_due
from cch.testing.memory_store import MemoryArchive

DAY = 86_400_000
NOW = 1_700_000_000_000
#: A loop of requests that is longer than what a box remembers, a map with requests and events, a large reply.
EVERYTHING = """
workflow_id: everything
workflow_name: Everything that leaves a record
entry_point: Again
nodes:
  Again: {type: async_request, capability_id: some#turn, on_response: Turn}
  Turn:
    type: condition
    condition_on_key: more
    branches: {"yes": Again, _default: Fan}
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Ask, item_key: it}
  Ask: {type: async_request, capability_id: some#thing, on_response: Wait}
  Wait: {type: event_wait, event_key: go, on_success: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""


@asynccontextmanager
async def finished_world(tmp_path: Path, clock: ManualClock, store: FragileStore) -> AsyncIterator[World]:
    """One instance that has done all of it, and has ended."""
    async with open_memory_platform(tmp_path, EVERYTHING, store=store, clock=clock, retention_days=30) as platform:
        turns = [("SUCCESS", {"more": "yes"})] * 24 + [("SUCCESS", {"more": "no", "large": "x" * 40_000})]
        world = World(platform, EVERYTHING, context={"items": [{"id": "a"}, {"id": "b"}]}, answers=turns)
        world.by_branch = {key: ("SUCCESS", {"verdict": key}) for key in ("a", "b")}
        await world.create()
        for key in ("a", "b"):
            await world.event({"go": True}, branch=key)

        async def work() -> None:
            for region in ("Again", "Fan"):
                assert (await world.execute(region)).state == "success"

        await with_answers(world, work())
        assert (await world.view()).instance.status == "completed"
        yield world


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def rest(store: FragileStore) -> dict[tuple[str, str], Any]:
    """What is stored of any instance, or message."""
    return store.content("ROUTERS", "WAKE#", "RETENTION", "STATS", "CLOCK")


async def test_nothing_is_left_but_a_tombstone(tmp_path: Path, clock: ManualClock) -> None:
    """Journals, exits, requests that no box remembers, pointers, waits, messages, items of maps, blobs."""
    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        blobs = world.platform.ledger.blobs
        before = rest(store)
        kinds = {pk.split("#")[0] for pk, _ in before}
        early = await expire_due(world.platform)
        clock.now += 31 * DAY
        expired = await expire_due(world.platform)

        assert {"INST", "MAP", "RGN", "REQ", "BOX", "MSG"} <= kinds
        assert early == 0
        assert expired == 1
        assert list(rest(store)) == [(f"INST#{world.instance}", "META")]
        tombstone = rest(store)[f"INST#{world.instance}", "META"]
        assert tombstone["expires"] == clock.now // 1000 + TOMBSTONE
        assert blobs.texts == {}  # type: ignore[attr-defined]
        assert (await audit(world.platform.ledger, Inspector(world.platform).plan, pause=0)).findings == ()
        assert (await world.platform.ledger.instances.by_workflow("everything")) == []


async def test_a_death_at_any_call_leaves_nothing_half_done(tmp_path: Path, clock: ManualClock) -> None:
    """Whoever comes next finishes it; until then the instance is still found, and the archive has all of it."""
    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        clock.now += 31 * DAY
        await world.platform.router.stop()
        whole, platform = rest(store), world.platform
        texts = dict(platform.ledger.blobs.texts)  # type: ignore[attr-defined]
        at, deaths = 0, 0
        while True:
            at += 7
            platform.archive = MemoryArchive()
            store.refill(whole.values())
            platform.ledger.blobs.texts = dict(texts)  # type: ignore[attr-defined]
            store.arm(at, lost=bool(at % 2))
            try:
                await expire_due(platform, everything=True)
                break
            except Died:
                deaths += 1
            store.arm(0, lost=False)
            assert (await audit(platform.ledger, Inspector(platform).plan, pause=0)).findings == ()
            await expire_due(platform, everything=True)
            assert list(rest(store)) == [(f"INST#{world.instance}", "META")]
            found = await archive.load(platform.archive, world.instance)
            assert found is not None
            assert len(found["visits"]) == 25 * 2 + 1 + 2 * 3 + 2
        assert deaths > 10


async def test_the_archive_has_one_line_for_each_instance(tmp_path: Path, clock: ManualClock) -> None:
    """Below its workflow and the day of its end, compressed, without the platform's own keys."""
    async with finished_world(tmp_path, clock, FragileStore()) as world:
        kept = world.platform.archive = MemoryArchive()
        clock.now += 31 * DAY
        await expire_due(world.platform)

        name = f"instances/workflow=everything/day=2023-11-14/{world.instance}.json.gz"
        assert set(kept.documents) == {name, f"keys/{world.instance}"}
        text = gzip.decompress(kept.documents[name]).decode()
        document = json.loads(text)
        assert text.count("\n") == 1
        assert document["status"] == "completed"
        assert len(document["context"]["large"]) == 40_000
        assert {visit["node"] for visit in document["visits"]} >= {"Again", "Ask", "Wait", "All", "Done"}
        assert {tuple(visit["branch_path"]) for visit in document["visits"]} == {(), ("a",), ("b",)}
        assert {message["state"] for message in document["messages"]} == {"matched"}


async def test_nothing_expires_that_the_archive_does_not_take(tmp_path: Path, clock: ManualClock) -> None:
    """While S3 is away the instance stays whole; the next look removes it."""

    class Away(MemoryArchive):
        async def write(self, name: str, data: bytes) -> None:
            raise LedgerError("S3 is away")

    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        clock.now += 31 * DAY
        before = set(rest(store))
        world.platform.archive = Away()
        first = await expire_due(world.platform)
        during = set(rest(store))
        world.platform.archive = MemoryArchive()
        clock.now += PERIOD + 1
        second = await expire_due(world.platform)

        assert (first, second) == (0, 1)
        assert during == before


async def test_a_late_message_to_an_expired_instance_is_late(tmp_path: Path, clock: ManualClock) -> None:
    """A reply that echoes its request, one that does not, and an event; a second start is a duplicate."""
    async with finished_world(tmp_path, clock, FragileStore()) as world:
        platform = world.platform
        clock.now += 31 * DAY
        asked = (await platform.ledger.requests.of_box((await world.view()).instance.box()))[-1].command_id
        await expire_due(platform)

        fates = {}
        for name, echoed in (("echoes", asked), ("names nobody", "")):
            command = {
                "type": "ASYNC_RESP", "id": name, "source": "Capability:some#turn", "status": "SUCCESS",
                "timestamp": "2026-01-05T08:00:00Z", "payload": {}, **({"inReplyTo": echoed} if echoed else {}),
            }  # fmt: skip
            fates[name] = await settled(world, json.dumps({"workflowInstanceId": world.instance, "command": command}))
        assert fates == {"echoes": ("late", "expired"), "names nobody": ("late", "completed")}


async def settled(world: World, body: str) -> tuple[str, str]:
    """The fate of a message, and the last word of its reason."""
    queue = await world.platform.queues.find(world.platform.settings.names.reply_queue)
    assert queue is not None
    before = {item["PK"] for item in await world.platform.ledger.store.scan("MSG#")}
    await queue.send(body)
    while not (new := [i for i in await world.platform.ledger.store.scan("MSG#") if i["PK"] not in before]):
        await world.platform.router.intake.handle(await queue.receive(0.01))
    return new[0]["fate"], new[0]["reason"].split()[-1]


async def test_a_task_of_an_expired_instance_fails_with_the_reason(tmp_path: Path, clock: ManualClock) -> None:
    """Somebody clears it in Airflow; nothing is run for which the past is missing."""
    async with finished_world(tmp_path, clock, FragileStore()) as world:
        clock.now += 31 * DAY
        await expire_due(world.platform)

        end = await world.execute("Again", "t2")

        assert end.state == "failed"
        assert "has expired" in end.reason
        with pytest.raises(InstanceExpiredError):
            await world.platform.ledger.instances.reopen(world.instance, 1)


async def test_an_instance_that_runs_again_does_not_expire(tmp_path: Path, clock: ManualClock) -> None:
    """It was found in the list just before somebody cleared a task of it."""
    async with finished_world(tmp_path, clock, FragileStore()) as world:
        seen = (await world.view()).instance
        await world.platform.ledger.instances.reopen(world.instance, 1)

        assert not await expire(world.platform, seen)
        assert (await world.view()).instance.status == "running"


async def test_two_processes_remove_an_instance_once(tmp_path: Path, clock: ManualClock) -> None:
    """The slower one changes nothing, and the id is not free before it is gone as well."""
    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        clock.now += 31 * DAY
        seen = (await world.view()).instance
        await expire(world.platform, seen)
        clock.now += 1000
        tombstone = rest(store)

        assert not await expire(world.platform, seen)
        assert rest(store) == tombstone
        mine, known = await world.platform.ledger.instances.create(replace(seen, start_message="another"))
        assert (mine, known.gone) == (False, True)


async def test_one_process_an_hour_looks(tmp_path: Path, clock: ManualClock) -> None:
    """The list of what is due is not read every minute."""
    async with open_memory_platform(tmp_path, EVERYTHING, clock=clock, retention_days=30) as platform:
        turns = []
        for minutes in (0, 1, 59, 61):
            clock.now = NOW + minutes * 60_000
            turns.append(await platform.ledger.expiry.my_turn(clock.now))

        assert turns == [True, False, False, True]


async def test_without_retention_nothing_expires(tmp_path: Path, clock: ManualClock) -> None:
    """The default."""
    async with open_memory_platform(tmp_path, EVERYTHING, clock=clock) as platform:
        assert await expire_due(platform) == 0
        assert await platform.ledger.store.scan("RETENTION") == []


async def test_messages_that_changed_nothing_expire_by_themselves(tmp_path: Path, clock: ManualClock) -> None:
    """Nothing leads to them from an instance; attached by a person, a message is the instance's."""
    async with open_memory_platform(tmp_path, EVERYTHING, clock=clock, retention_days=30) as platform:
        messages = platform.ledger.messages
        record = MessageRecord(
            key=message_key("q", "1"), fate="orphan", kind="ASYNC_RESP", reason="", instance="i", source="s", branch="",
            command_id="c", received=NOW, body="{}",
        )  # fmt: skip
        await messages.settle(record)
        lasts = [await platform.ledger.store.get((record.key, "-"))]
        await messages.attach(record, "r")
        lasts.append(await platform.ledger.store.get((record.key, "-")))
        await messages.settle(replace(record, fate="matched", claimed_for="r"))
        lasts.append(await platform.ledger.store.get((record.key, "-")))

        assert [item and item.get("expires") for item in lasts] == [(NOW + 30 * DAY) // 1000, None, None]


async def test_what_an_earlier_release_left_is_found(tmp_path: Path, clock: ManualClock) -> None:
    """It let an instance's own item expire alone."""
    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        await store.delete((f"INST#{world.instance}", "META"))

        found = await leftovers(world.platform.ledger)
        checked = await audit(world.platform.ledger, Inspector(world.platform).plan, pause=0)

        assert list(found) == [world.instance]
        assert {pk.split("#")[0] for pk, _ in found[world.instance]} == {"INST", "MAP", "RGN", "BOX", "REQ", "MSG"}
        assert any("cch ledger expire --leftovers" in finding.mend for finding in checked.findings)
