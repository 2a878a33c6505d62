"""The message of a request is made again, byte for byte, wherever it was sent from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from world import World, eventually, open_memory_platform

from cch.identity import Scope
from cch.ledger.records import RequestRecord
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.runtime.resending import BodyLostError, Rebuilder

#: Three maps deep; each scope adds something to what the request says.
DEEP = """
workflow_id: deep
workflow_name: A map in a map in a map
entry_point: Before
nodes:
  Before: {type: set_state, static_outputs: {before: 1}, on_success: Ships}
  Ships:
    type: map_fork
    execution: mapped
    input_list_key: ships
    branch_key: id
    branch_entry_node: Board
    item_key: ship
  Board: {type: set_state, static_outputs: {on_board: true}, on_success: Packs}
  Packs: {type: map_fork, input_list_key: ship.packs, branch_key: id, branch_entry_node: Ask_Pack, item_key: pack}
  Ask_Pack: {type: async_request, capability_id: some#pack, on_response: Lines}
  Lines: {type: map_fork, input_list_key: pack.lines, branch_key: id, branch_entry_node: Ask_Line, item_key: line}
  Ask_Line: {type: async_request, capability_id: some#line, on_response: Line_Out}
  Line_Out: {type: end_branch}
  All_Lines: {type: join, join_branches: [Lines], on_success: Pack_Out}
  Pack_Out: {type: end_branch}
  All_Packs: {type: join, join_branches: [Packs], on_success: Ship_Out}
  Ship_Out: {type: end_branch}
  All_Ships: {type: join, join_branches: [Ships], on_success: Done}
  Done: {type: end}
"""
INLINE = DEEP.replace("workflow_id: deep", "workflow_id: deep_inline").replace("mapped", "inline")
#: What requests bring is said by expressions, which know the item, the instance, and when the newest answer came.
SAID = '{ship: "{% ship %}", pack: "{% pack %}", line: "{% line %}", item: "{% $item %}", now: "{% $now %}"}'
EXPRESSED = (
    DEEP.replace("workflow_id: deep", "workflow_id: deep_expressed")
    .replace("input_list_key: ship.packs", 'items: "{% ship.packs %}", output_key: ship.packs')
    .replace("capability_id: some#pack,", f"capability_id: some#pack, input: {SAID},")
    .replace("capability_id: some#line,", f"capability_id: some#line, input: {SAID},")
)
#: Branch keys are data: these look like steps of a path.
SHIPS, PACKS, LINES = ("s", "s/Packs#1@0[p]"), ("p", "p]/Lines#1@0[x"), ("l", "]")
CONTEXT = {
    "ships": [
        {"id": ship, "packs": [{"id": pack, "lines": [{"id": line} for line in LINES]} for pack in PACKS]}
        for ship in SHIPS
    ]
}
ALL = len(SHIPS) * len(PACKS) * (1 + len(LINES))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, DEEP, INLINE, EXPRESSED) as opened:
        yield opened


async def collect(world: World, sent: dict[str, str]) -> None:
    """Take requests by their command ids; only those for packs are answered."""
    queues, names = world.platform.queues, world.platform.settings.names
    requests, replies = await queues.find(names.fallback_queue), await queues.find(names.reply_queue)
    assert requests is not None
    assert replies is not None
    while True:
        for received in await requests.receive(0.05):
            request = json.loads(received.body)
            command_id = request["header"]["commandId"]
            sent[command_id] = received.body
            if request["body"]["capability_id"] == "some#pack":
                command = {
                    "type": "ASYNC_RESP", "id": f"reply-{command_id}", "source": "Capability:some#pack",
                    "timestamp": "2026-01-05T08:00:00Z", "payload": {"checked": command_id}, "inReplyTo": command_id,
                }  # fmt: skip
                await replies.send(json.dumps({"workflowInstanceId": world.instance, "command": command}))
        await asyncio.sleep(0)


async def asked(world: World, *items: str | None) -> dict[str, str]:
    """Everything that the instance asks for, by command id; the lines are still waiting."""
    await world.create()
    sent: dict[str, str] = {}
    tasks = [asyncio.create_task(world.execute("Ships", "t1", item)) for item in items]
    tasks.append(asyncio.create_task(collect(world, sent)))
    try:
        await eventually(lambda: len(sent) == ALL)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sent


async def record_of(platform: Platform, command_id: str) -> RequestRecord:
    record = await platform.ledger.requests.get(command_id)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("text", "items"),
    [(DEEP, SHIPS), (INLINE, (None,)), (EXPRESSED, SHIPS)],
    ids=["a task for each item", "one task for all", "by expressions"],
)
async def test_a_request_of_a_map_inside_maps_is_made_again(
    platform: Platform, text: str, items: tuple[str | None, ...]
) -> None:
    """Answered or open, at each depth, whatever the branch keys look like."""
    sent = await asked(World(platform, text, context=CONTEXT), *items)
    rebuilder = Rebuilder(platform, Inspector(platform))

    made = {command_id: await rebuilder.body(await record_of(platform, command_id)) for command_id in sent}

    assert made == sent
    contexts = [json.loads(body)["body"]["context"] for body in sent.values()]
    places = {(c["ship"]["id"], c["pack"]["id"], c.get("line", {}).get("id")) for c in contexts}
    assert len(places) == ALL


async def test_what_was_of_an_item_that_is_gone_says_so(platform: Platform) -> None:
    """Nothing is sent that differs from what was sent before."""
    sent = await asked(World(platform, INLINE, context=CONTEXT), None)
    line = await record_of(platform, next(key for key, body in sent.items() if "some#line" in body))
    rebuilder = Rebuilder(platform, Inspector(platform))

    for path, reason in {
        line.scope.text.removesuffix("]") + "x]": "no longer the item",
        line.scope.text.replace("/Lines#1", "/Lines#7"): "nothing is recorded",
        "/Ships": "nothing is recorded",
    }.items():
        with pytest.raises(BodyLostError, match=reason):
            await rebuilder.body(replace(line, scope=Scope(path)))
