"""Things that happen at the same moment: whoever is first, the ledger tells one story."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faults import JostlingStore
from processes import Process
from workflows import JOINED
from world import World, open_memory_platform, with_answers

from cch.envelope import event_command
from cch.identity import THE_INSTANCE, Box
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.names import Names
from cch.runtime.admission import CatalogueAdmission
from cch.runtime.progress import live_regions
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryBlobs

NOW = 1_700_000_000_000
SEEDS = range(12)
APART = """
workflow_id: apart
workflow_name: Two branches that end for themselves
entry_point: F
nodes:
  F: {type: fork, branches: [A, B]}
  A: {type: async_request, capability_id: a#x, on_response: A_Done, on_failure: A_Done}
  A_Done: {type: end}
  B: {type: async_request, capability_id: b#x, on_response: B_Done, on_failure: B_Done}
  B_Done: {type: end}
"""
LOOPED = """
workflow_id: looped
workflow_name: Two branches in a loop
entry_point: F
nodes:
  F: {type: fork, branches: [A, B]}
  A: {type: async_request, capability_id: a#x, on_response: A_End, on_failure: A_End}
  A_End: {type: end_branch}
  B: {type: async_request, capability_id: b#x, on_response: B_End, on_failure: B_End}
  B_End: {type: end_branch}
  J: {type: join, join_branches: [A, B], on_success: Again}
  Again: {type: condition, condition_on_key: turn, branches: {again: F, _default: Done}}
  Done: {type: end}
"""


class Turning(World):
    """A world whose capabilities send a loop round twice, however often one request is sent."""

    def answer_for(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        visit = int(request["header"]["requestKey"].rsplit("/", 1)[1])
        return "SUCCESS", {"turn": "again" if visit < 3 else "leave"}


async def run_all(world: World, copies: int) -> None:
    """Execute all regions that can run at the same time, each in so many copies, until the instance has ended."""
    while heads := live_regions(world.plan, await world.view()):
        await asyncio.gather(*(world.execute(head) for head in heads for _ in range(copies)))


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(
    ("text", "visits"),
    [
        (JOINED, {"F": 1, "A": 1, "B": 1, "J": 1, "After": 1, "Done": 1}),
        (APART, {"F": 1, "A": 1, "B": 1, "A_Done": 1, "B_Done": 1}),
        (LOOPED, {"F": 3, "A": 3, "B": 3, "J": 3, "Again": 3, "Done": 1}),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
async def test_branches_that_commit_at_the_same_moment(
    tmp_path: Path, text: str, visits: dict[str, int], copies: int, seed: int
) -> None:
    """No commit is lost, nothing happens twice, and the instance ends, also with two copies of each task."""
    async with open_memory_platform(tmp_path, text, store=JostlingStore(seed)) as platform:
        world = Turning(platform, text)
        await world.create()

        await with_answers(world, run_all(world, copies))

        view = await world.view()
        assert view.instance.status == "completed"
        counted = Counter(await world.visited())
        # An end that nobody executes is reached, not recorded.
        assert {name: number for name, number in counted.items() if name in visits} == {
            name: number for name, number in visits.items() if name in counted
        }
        assert set(visits) - set(counted) <= {"Done"}
        asked = await platform.ledger.requests.of_box(Box(world.instance))
        assert Counter(request.node for request in asked) == {
            name: number for name, number in visits.items() if name in ("A", "B", "After")
        }


class Desk:
    """A ledger that jostles, with a router, an instance, one open request and one open wait, both due now."""

    def __init__(self, seed: int, tmp_path: Path) -> None:
        names = Names()
        self.ledger = Ledger(JostlingStore(seed), MemoryBlobs())
        self.queues = MemoryQueues(names.reply_queue, names.command_queue)
        admission = CatalogueAdmission(None, self.ledger.versions, lambda: NOW)  # type: ignore[arg-type]
        self.router = Process(
            ledger=self.ledger, queues=self.queues, names=names, admission=admission,
            clock=lambda: NOW,
        )  # fmt: skip
        self.names = names

    async def open(self) -> tuple[RequestRecord, WaitRecord]:
        await self.ledger.instances.create(
            Instance(id="i", workflow_id="w", correlation_id="i", status="running", started=NOW - 1000)
        )
        _, request = await self.ledger.requests.open(
            RequestRecord(
                command_id="c", instance="i", region="A", node="A", visit=1, attempt=1, source="a#x", branch="",
                state="open", created=NOW - 1000, deadline=NOW, sent_at=1, task_instance="t", body_hash="",
                owners=frozenset(),
            ),
            self.router.id,
        )  # fmt: skip
        await self.ledger.requests.point(request)
        wait = await self.ledger.waits.open(
            WaitRecord(
                id="w", instance="i", branch="", node="W", event_key="k", state="open", created=NOW - 1000,
                deadline=NOW, task_instance="t",
            ),
            self.router.id,
        )  # fmt: skip
        return request, wait

    async def deliver(self, queue: str, body: str) -> None:
        await self.queues.make(queue).send(body)
        await self.router.take(self.queues.make(queue))

    async def fate(self) -> str:
        (item,) = await self.ledger.store.scan("MSG#")
        return str(item["fate"])


async def test_a_reply_and_a_timeout_at_the_same_instant(tmp_path: Path) -> None:
    """One of them closes the request, now this one, now that one; the reply's fate says which."""
    seen: set[tuple[str, str]] = set()
    for seed in range(40):
        desk = Desk(seed, tmp_path)
        await desk.open()
        reply = (
            '{"workflowInstanceId": "i", "command": {"type": "ASYNC_RESP", "id": "r", "source": "Capability:a#x",'
            ' "timestamp": "2026-01-05T08:00:00Z", "inReplyTo": "c", "status": "SUCCESS", "payload": {"k": 1}}}'
        )

        async def time_is_up(desk: Desk = desk) -> Any:
            return (await desk.router.exchange.close("c", "timed_out")).record

        told, _ = await asyncio.gather(time_is_up(), desk.deliver(desk.names.reply_queue, reply))

        request = await desk.ledger.requests.get("c")
        assert request is not None
        assert told.state == request.state
        seen.add((request.state, await desk.fate()))
    assert seen == {("answered", "matched"), ("timed_out", "late")}


async def test_an_event_and_a_timeout_at_the_same_instant(tmp_path: Path) -> None:
    """The wait ends once; an event that lost is still there for the next wait."""
    seen: set[tuple[str, str]] = set()
    for seed in range(40):
        desk = Desk(seed, tmp_path)
        _, wait = await desk.open()
        body = event_command(instance="i", command_id="e", payload={"k": 1}, address=THE_INSTANCE, status="", now=NOW)

        async def region(desk: Desk = desk, wait: WaitRecord = wait, later: int = seed) -> WaitRecord:
            for _ in range(later):
                await asyncio.sleep(0)
            taken = await desk.router.exchange.take_event(wait)
            return taken if taken.state != "open" else await desk.ledger.waits.close(wait, "timed_out", NOW)

        ended, _ = await asyncio.gather(region(), desk.deliver(desk.names.command_queue, body))

        (stored,) = await desk.ledger.waits.of_box(Box("i"))
        assert (ended.state, ended.message) == (stored.state, stored.message)
        seen.add((stored.state, await desk.fate()))
    assert seen == {("event", "matched"), ("timed_out", "held")}


async def test_two_waits_and_one_event_at_the_same_instant(tmp_path: Path) -> None:
    """Two copies of a region take one event for one wait: both are told the same."""
    for seed in SEEDS:
        desk = Desk(seed, tmp_path)
        _, wait = await desk.open()
        body = event_command(instance="i", command_id="e", payload={"k": 1}, address=THE_INSTANCE, status="", now=NOW)
        await desk.deliver(desk.names.command_queue, body)

        first, second = await asyncio.gather(
            desk.router.exchange.take_event(wait), desk.router.exchange.take_event(wait)
        )

        assert {first.state, second.state} <= {"event", "open"}
        (stored,) = await desk.ledger.waits.of_box(Box("i"))
        assert (stored.state, await desk.fate()) == ("event", "matched")
