"""Ledgers that were recorded half-way, by the code of their day, go on with the code of today.

``CCH_RECORD=1 pytest tests/unit/runtime/test_recorded.py`` records those that are missing. One that is there must never
be written anew: instances of that kind are running somewhere.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.patience import finished
from world import World, eventually, open_memory_platform

from cch.ledger.records import RequestRecord
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.runtime.progress import live_regions
from cch.testing.memory_store import MemoryBlobs, MemoryStore

RECORDED = Path(__file__).resolve().parents[2] / "data" / "ledgers"
INSTANCE = "11111111-1111-4111-8111-111111111111"
#: 2026-01-05T08:00:00Z in ms.
NOW = 1_767_600_000_000
DAY = 86_400_000
SEQUENCE = """
workflow_id: sequence
workflow_name: One after the other, side by side
entry_point: Begin
initial_context: [shipmentId]
nodes:
  Begin: {type: set_state, static_outputs: {stage: begun}, on_success: Ask}
  Ask: {type: async_request, capability_id: a#ask, timeout: 30d, on_response: Split, on_failure: Failed}
  Split: {type: fork, branches: [Left, Right]}
  Left: {type: async_request, capability_id: a#left, timeout: 30d, on_response: Left_End, on_failure: Left_End}
  Left_End: {type: end_branch}
  Right: {type: async_request, capability_id: a#right, timeout: 30d, on_response: Right_End, on_failure: Right_End}
  Right_End: {type: end_branch}
  Both: {type: join, join_branches: [Left, Right], on_success: Last}
  Last: {type: async_request, capability_id: a#last, timeout: 30d, on_response: Done, on_failure: Failed}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
LOOP = """
workflow_id: loop
workflow_name: A person corrects it
entry_point: Ask
nodes:
  Ask:
    type: async_request
    capability_id: a#ask
    timeout: 30d
    retry: {max_attempts: 2, "on": [BUSY]}
    on_response: Check
    on_failure: Failed
  Check: {type: condition, condition_on_key: status, branches: {SUCCESS: Done, ERROR: Correct}}
  Correct: {type: event_wait, event_key: messages, timeout: 30d, on_event: Clear, on_timeout: Failed}
  Clear: {type: set_state, static_outputs: {status: null}, on_success: Ask}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
MAP = """
workflow_id: map
workflow_name: A map in a map
entry_point: Packs
nodes:
  Packs: {type: map_fork, execution: inline, input_list_key: packs, branch_key: id, branch_entry_node: Lines}
  Lines:
    type: map_fork
    input_list_key: current_map_item.lines
    item_key: line
    branch_key: lineNo
    branch_entry_node: Classify
  Classify: {type: async_request, capability_id: a#classify, timeout: 30d, on_response: Line_End, on_failure: Line_End}
  Line_End: {type: end_branch}
  All_Lines: {type: join, join_branches: [Lines], on_success: File}
  File: {type: async_request, capability_id: a#file, timeout: 30d, on_response: Released, on_failure: Pack_End}
  Released: {type: event_wait, event_key: released, timeout: 30d, on_event: Pack_End, on_timeout: Pack_End}
  Pack_End: {type: end_branch}
  All_Packs: {type: join, join_branches: [Packs], destination: results, on_success: Done}
  Done: {type: end}
"""
SCHEDULED = """
workflow_id: scheduled
workflow_name: At its date
entry_point: File
nodes:
  File:
    type: scheduled_request
    capability_id: a#file
    schedule_parameters: {date_context_key: date}
    on_schedule_set: {filing: SCHEDULED}
    timeout: 30d
    on_success: Told
    on_response: Mark
    on_failure: Failed
  Told: {type: end}
  Mark: {type: set_state, static_outputs: {filing: FILED}, on_success: Done}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
RULES = """
workflow_id: rules
workflow_name: What the reading rules make of it
entry_point: Begin
nodes:
  Begin: {type: set_state, static_outputs: {country: NO, chapter: 0101, set.before: 1}, on_success: Ask}
  Ask: {type: async_request, capability_id: a#ask, timeout: 30d, on_response: After, on_failure: Failed}
  After: {type: set_state, static_outputs: {cutoff: 22:30:00, voyage: 123_4, set.after: 2}, on_success: Check}
  Check: {type: condition, condition_on_key: country, branches: {false: Move, NO: Move, _default: Failed}}
  Move:
    type: library_call
    library_function_id: core#calculate_timedelta
    parameters: {date_context_key: date, timedelta: {hours: 1}}
    output_key: moved.date
    on_success: Read
  Read:
    type: library_call
    library_function_id: s3#read_jsonpath
    parameters: {input_s3_uri_key: document, jsonpath_expression: "$.lines[*].n"}
    output_key: numbers
    on_success: Wait
  Wait: {type: event_wait, event_key: customs.status, timeout: 30d, on_event: Done, on_timeout: Failed}
  Failed: {type: end, status: failed}
  Done: {type: end}
"""
ENDS = """
workflow_id: ends
workflow_name: What the rules of ends make of it
entry_point: Ask
nodes:
  Ask:
    {type: async_request, capability_id: a#ask, timeout: 30d, max_visits: 1, on_response: Check, on_failure: Quiet}
  Check: {type: condition, condition_on_key: status, branches: {SUCCESS: Ask, never: Done}}
  Quiet: {type: set_state, static_outputs: {quiet: true}}
  Done: {type: end}
"""
DIALECT = """
workflow_id: dialect
workflow_name: As the first implementation means it
dialect: lambda_orchestrator
entry_point: Items
nodes:
  Items: {type: map_fork, execution: inline, input_list_key: items, branch_key: id, branch_entry_node: Ask}
  Ask: {type: async_request, capability_id: a#ask, timeout: 30d, on_response: Again, on_failure: Failed}
  Again: {type: async_request, capability_id: a#again, timeout: 30d, on_response: Item_End, on_failure: Failed}
  Item_End: {type: end_branch}
  All: {type: join, join_branches: [Items], on_success: Check}
  Check: {type: condition, condition_on_key: urgent, branches: {"True": Done, _default: Failed}}
  Failed: {type: end, status: failed}
  Done: {type: end, static_outputs: {status: COMPLETED}}
"""
ERROR = ("ERROR", {"messages": [{"code": "HITL"}]})
BUSY = ("ERROR", {"messages": [{"code": "BUSY"}]})


def ok(**payload: Any) -> tuple[str, dict[str, Any]]:
    return "SUCCESS", payload


@dataclass(frozen=True, kw_only=True)
class Story:
    """A definition, and what happens before and after the recording.

    Answers are by branch, node and visit; ``waiting`` are those of the requests, and ``for_events`` the
    (branch, node) of the waits that are open when the recording is made. ``expected`` and ``status`` are how it ends.
    """

    text: str
    context: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    for_events: frozenset[tuple[str, str]] = frozenset()
    after: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    later: int = 0
    visited: Mapping[str, int] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)
    status: str = "completed"


LINES = [{"id": "p-1", "lines": [{"lineNo": 1}, {"lineNo": 2}]}, {"id": "p-2", "lines": [{"lineNo": 3}]}]
STORIES = {
    "sequence": Story(
        text=SEQUENCE,
        context={"shipmentId": "S-1"},
        before={"Ask/1": ok(asked=1), "Left/1": ok(left=1)},
        waiting=frozenset({"Right/1"}),
        after={"Right/1": ok(right=1), "Last/1": ok(last=1)},
        visited={"Begin": 1, "Ask": 1, "Left": 1, "Right": 1, "Both": 1, "Last": 1, "Done": 1},
        expected={"stage": "begun", "left": 1, "right": 1, "last": 1},
    ),
    "whole_workflow_in_one_task": Story(
        text=f"{SEQUENCE}execution: {{granularity: workflow}}\n",
        context={"shipmentId": "S-1"},
        before={"Ask/1": ok(asked=1), "Left/1": ok(left=1)},
        waiting=frozenset({"Right/1"}),
        after={"Right/1": ok(right=1), "Last/1": ok(last=1)},
        visited={"Begin": 1, "Ask": 1, "Left": 1, "Right": 1, "Both": 1, "Last": 1, "Done": 1},
        expected={"stage": "begun", "left": 1, "right": 1, "last": 1},
    ),
    "loop_waits_for_a_person": Story(
        text=LOOP,
        before={"Ask/1": BUSY},
        for_events=frozenset({("", "Correct")}),
        events=(("", {"messages": [], "corrected": True}),),
        after={"Ask/2": ok(enriched=1)},
        visited={"Ask": 2, "Check": 2, "Correct": 1, "Clear": 1, "Done": 1},
        expected={"enriched": 1, "corrected": True, "status": "SUCCESS"},
    ),
    "map_in_a_map": Story(
        text=MAP,
        context={"packs": LINES},
        before={"1/Classify/1": ok(hs="a"), "3/Classify/1": ok(hs="c"), "p-2/File/1": ok(entry=2)},
        waiting=frozenset({"2/Classify/1"}),
        for_events=frozenset({("p-2", "Released")}),
        after={"2/Classify/1": ok(hs="b"), "p-1/File/1": ok(entry=1)},
        events=(("p-2", {"released": 2}), ("p-1", {"released": 1})),
        visited={"Packs": 1, "All_Packs": 1, "Done": 1, "Classify[1]": 1, "Classify[2]": 1, "File[p-2]": 1},
        expected={
            "results": [
                {
                    "id": "p-1", "lines": [{"lineNo": 1, "hs": "a", "status": "SUCCESS"},
                                           {"lineNo": 2, "hs": "b", "status": "SUCCESS"}],
                    "entry": 1, "released": 1, "status": "SUCCESS",
                },
                {
                    "id": "p-2", "lines": [{"lineNo": 3, "hs": "c", "status": "SUCCESS"}],
                    "entry": 2, "released": 2, "status": "SUCCESS",
                },
            ]
        },
    ),
    "scheduled": Story(
        text=SCHEDULED,
        context={"date": "2026-01-15T08:00:00Z"},
        after={"File/2": ok(number=7)},
        later=11 * DAY,
        visited={"File": 2, "Told": 1, "Mark": 1, "Done": 1},
        expected={"filing": "FILED", "number": 7},
    ),
    "in_the_dialect": Story(
        text=DIALECT,
        context={"urgent": True, "items": [{"id": "p", "weight": 1}, {"id": "q", "weight": 2}]},
        before={"p/Ask/1": ok(weight=3)},
        waiting=frozenset({"p/Again/1", "q/Ask/1"}),
        after={"p/Again/1": ok(p=1), "q/Ask/1": ERROR, "q/Again/1": ok(q=1)},
        visited={"Items": 1, "Ask[p]": 1, "Again[p]": 1, "Ask[q]": 1, "Again[q]": 1, "Check": 1, "Done": 1},
        expected={"status": "COMPLETED"},
    ),
    "by_the_first_rules": Story(
        text=RULES,
        context={"date": "2026-01-31T10:00:00+00:00", "document": '{"lines": [{"n": 7}]}'},
        waiting=frozenset({"Ask/1"}),
        after={"Ask/1": ok(asked=1)},
        events=(("", {"customs": {"status": "nested"}}), ("", {"customs.status": "literal"})),
        visited={"Begin": 1, "Ask": 1, "After": 1, "Move": 1, "Read": 1, "Wait": 1, "Done": 1},
        expected={
            "country": False, "chapter": 65, "set.before": 1, "cutoff": 81000, "voyage": 1234, "set.after": 2,
            "moved": {"date": "2026-01-31T11:00:00Z"}, "numbers": 7, "customs.status": "literal",
        },
    ),
    "by_the_second_rules": Story(
        text=RULES,
        context={"date": "2026-01-31T10:00:00+00:00", "document": '{"lines": [{"n": 7}]}'},
        waiting=frozenset({"Ask/1"}),
        after={"Ask/1": ok(asked=1)},
        events=(("", {"customs.status": "literal"}), ("", {"customs": {"status": "nested"}})),
        visited={"Begin": 1, "Ask": 1, "After": 1, "Move": 1, "Read": 1, "Wait": 1, "Done": 1},
        expected={
            "country": "NO", "chapter": "0101", "set": {"before": 1, "after": 2}, "cutoff": "22:30:00",
            "voyage": "123_4", "moved": {"date": "2026-01-31T11:00:00+00:00"}, "numbers": [7],
            "customs": {"status": "nested"},
        },
    ),
    "ends_by_the_second_rules": Story(
        text=ENDS,
        waiting=frozenset({"Ask/1"}),
        after={"Ask/1": ok(asked=1)},
        visited={"Ask": 2, "Check": 1, "Quiet": 1},
        expected={"asked": 1, "quiet": True},
    ),
    "ends_by_the_third_rules": Story(
        text=ENDS,
        waiting=frozenset({"Ask/1"}),
        after={"Ask/1": ok(asked=1)},
        visited={"Ask": 2, "Check": 1},
        expected={"asked": 1},
        status="failed",
    ),
}  # fmt: skip


def _shown(request: RequestRecord) -> str:
    return "/".join(filter(None, [request.branch, request.node, str(request.visit)]))


class Told(World):
    """A world whose capabilities answer by request key, and say nothing to requests without an answer."""

    told: dict[str, tuple[str, dict[str, Any]]]

    async def serve(self) -> None:
        platform = self.platform
        requests = await platform.queues.find(platform.settings.names.fallback_queue)
        assert requests is not None
        while True:
            for received in await requests.receive(0.05):
                header = json.loads(received.body)["header"]
                asked = await platform.ledger.requests.get(header["commandId"])
                assert asked is not None
                key = _shown(asked)
                if key in self.told:
                    await self.reply(header["commandId"], json.loads(received.body)["body"]["capability_id"], key)
            await asyncio.sleep(0)

    async def reply(self, command_id: str, source: str, key: str) -> None:
        status, payload = self.told[key]
        queue = await self.platform.queues.find(self.platform.settings.names.reply_queue)
        assert queue is not None
        command = {
            "type": "ASYNC_RESP", "id": f"reply to {command_id}", "source": f"Capability:{source}", "status": status,
            "timestamp": "2026-01-05T08:00:00Z", "payload": payload, "inReplyTo": command_id,
        }  # fmt: skip
        await queue.send(json.dumps({"workflowInstanceId": self.instance, "command": command}))

    async def open_requests(self) -> dict[str, RequestRecord]:
        found = await self.platform.ledger.requests_of((await self.view()).instance)
        return {_shown(r): r for r in found if r.state == "open" and r.sent_at}

    async def open_waits(self) -> set[tuple[str, str]]:
        ledger = self.platform.ledger
        boxes = await ledger.boxes((await self.view()).instance)
        waits = [wait for box in boxes for wait in await ledger.waits.of_box(box)]
        return {(wait.branch, wait.node) for wait in waits if wait.state == "open"}

    async def run_all(self) -> None:
        while heads := live_regions(self.plan, await self.view()):
            await asyncio.gather(*(self.execute(head) for head in heads))


def as_json(store: MemoryStore) -> list[dict[str, Any]]:
    """Items as JSON values, sets as lists in an object, without what belongs to a process."""
    items = list(store._items)
    return [
        {key: {"set": sorted(value)} if isinstance(value, frozenset) else value for key, value in item.items()}
        for item in sorted(items, key=lambda item: (item["PK"], item["SK"]))
        if not item["PK"].startswith(("ROUTER#", "WAKE#"))
    ]


def fill(store: MemoryStore, items: list[dict[str, Any]]) -> None:
    store.refill(
        {key: frozenset(value["set"]) if isinstance(value, dict) else value for key, value in item.items()}
        for item in items
    )


def clock_from(now: int) -> Callable[[], int]:
    begun = time.monotonic()
    return lambda: now + int((time.monotonic() - begun) * 1000)


def told(platform: Platform, story: Story, answers: Mapping[str, Any]) -> Told:
    world = Told(platform, story.text, context=dict(story.context), instance=INSTANCE)
    world.told = dict(answers)
    return world


async def half_way(world: Told, story: Story) -> bool:
    """Whether the instance stands where it is to be recorded."""
    if story.later:
        journal = await world.platform.ledger.store.scan("RGN#")
        return len(journal) > 1
    return frozenset(await world.open_requests()) == story.waiting and await world.open_waits() == story.for_events


async def record(name: str, story: Story, tmp_path: Path) -> None:
    """Run the first half and write the ledger down as it is then."""
    store = MemoryStore()
    async with open_memory_platform(tmp_path, story.text, store=store, clock=clock_from(NOW)) as platform:
        world = told(platform, story, story.before)
        await world.create()
        work = [asyncio.create_task(world.serve()), asyncio.create_task(world.run_all())]
        await eventually(lambda: half_way(world, story))
        for task in work:
            task.cancel()
        blobs = platform.ledger.journal._payloads._blobs
        assert isinstance(blobs, MemoryBlobs)
        content = {"definition": story.text, "items": as_json(store), "blobs": blobs.texts}
    RECORDED.mkdir(parents=True, exist_ok=True)
    (RECORDED / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", STORIES)
async def test_a_recorded_instance_goes_on_to_its_end(tmp_path: Path, name: str) -> None:
    """What was recorded is read, nothing is done or asked again, and the rest happens as if nothing had been."""
    story, file = STORIES[name], RECORDED / f"{name}.json"
    if os.environ.get("CCH_RECORD") and not file.exists():
        (tmp_path / "record").mkdir()
        await record(name, story, tmp_path / "record")
    recorded = json.loads(file.read_text())
    store = MemoryStore()
    fill(store, recorded["items"])
    clock = clock_from(NOW + story.later)
    async with open_memory_platform(tmp_path, recorded["definition"], store=store, clock=clock) as platform:
        world = told(platform, story, story.after)
        world.text = recorded["definition"]
        world.define()
        for queue in (platform.settings.names.reply_queue, platform.settings.names.command_queue):
            platform.queues.make(queue)._numbers = itertools.count(1000)  # type: ignore[attr-defined]
        assert frozenset(await world.open_requests()) == story.waiting
        assert await world.open_waits() == story.for_events
        asked_before = len(await platform.ledger.requests_of((await world.view()).instance))
        seen = await Inspector(platform).look(INSTANCE)
        assert seen is not None
        assert not seen.ended

        server, work = asyncio.create_task(world.serve()), asyncio.create_task(world.run_all())
        for key, request in (await world.open_requests()).items():
            await world.reply(request.command_id, request.source, key)
        for branch, payload in story.events:
            await world.event(payload, branch=branch)
        await finished(work)
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server

        seen = await Inspector(platform).look(INSTANCE)
        assert seen is not None
        assert seen.instance.status == story.status
        visits = Counter(seen.visited)
        assert {node: visits[node] for node in story.visited} == story.visited
        assert {key: seen.context[key] for key in story.expected} == story.expected
        new = {*story.after} - story.waiting
        assert len(await platform.ledger.requests_of((await world.view()).instance)) == asked_before + len(new)
