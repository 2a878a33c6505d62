"""Maps in one region: items, their branch keys, failures, and what a restart repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from world import World, eventually, open_memory_platform, with_answers

from cch.identity import Box
from cch.interpreter.context import merge
from cch.runtime.platform import Platform

PACKS = """
workflow_id: packs
workflow_name: Filing packs
entry_point: Fan
nodes:
  Fan:
    type: map_fork
    input_list_key: consignment.packs
    branch_key: id
    branch_entry_node: Submit
    on_failure: Handle_Error
  Submit:
    type: async_request
    capability_id: declaration#submit
    input_keys: [current_map_item]
    on_response: Wait
    on_failure: Handle_Error
  Wait: {type: event_wait, event_key: customStatus, on_success: Released}
  Released:
    type: condition
    condition_on_key: customStatus.latestStatus.status
    branches: {RELEASED: Pack_Done, _default: Wait}
  Pack_Done: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done, destination: results}
  Handle_Error: {type: log_error, default_error_code: E, default_message: m, on_success: Done}
  Done: {type: end}
"""
SIMPLE = """
workflow_id: simple
workflow_name: Simple map
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Ask, item_key: it, concurrency: 2}
  Ask: {type: async_request, capability_id: some#thing, on_response: Out, on_failure: Bad}
  Bad: {type: end, status: failed}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done, on_failure: Some_Failed}
  Some_Failed: {type: set_state, static_outputs: {partly: true}, on_success: Done}
  Done: {type: end}
"""
NESTED = """
workflow_id: nested
workflow_name: A map in a map, with a fork inside
entry_point: Outer
nodes:
  Outer: {type: map_fork, input_list_key: packs, branch_key: id, branch_entry_node: Inner}
  Inner:
    type: map_fork
    input_list_key: current_map_item.lines
    branch_key: lineNo
    branch_entry_node: Both
    item_key: line
  Both: {type: fork, branches: [Ask, Note]}
  Ask: {type: async_request, capability_id: some#thing, on_response: Ask_Out, on_failure: Ask_Out}
  Note: {type: set_state, static_outputs: {noted: true}, on_success: Note_Out}
  Ask_Out: {type: end_branch}
  Note_Out: {type: end_branch}
  Line: {type: join, join_branches: [Ask_Out, Note_Out], on_success: Line_Out}
  Line_Out: {type: end_branch}
  Lines: {type: join, join_branches: [Inner], on_success: Pack_Out}
  Pack_Out: {type: end_branch}
  Packs: {type: join, join_branches: [Outer], on_success: Done}
  Done: {type: end}
"""
LARGE = """
workflow_id: simple
workflow_name: Large
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Mark}
  Mark: {type: set_state, static_outputs: {marked: true}, on_success: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""
RELEASED = {"customStatus": {"latestStatus": {"status": "RELEASED"}}}
PENDING = {"customStatus": {"latestStatus": {"status": "PENDING"}}}
OK = ("SUCCESS", {"filed": True})


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, PACKS, SIMPLE, NESTED) as opened:
        yield opened


def publish(platform: Platform, text: str) -> None:
    (platform.catalogue._source._folder / "simple.yaml").write_text(text)  # type: ignore[attr-defined]


async def final(world: World) -> dict[str, Any]:
    outcomes = [outcome for exit_ in (await world.view()).exits for outcome in exit_.outcomes]
    context = dict(world.context)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.stamp):
        context = merge(context, outcome.patch)
    return context


async def asked(world: World, count: int) -> list[int]:
    """Requests for each item."""
    requests = world.platform.ledger.requests
    return [len(await requests.of_box(Box(world.instance, str(number)))) for number in range(count)]


async def open_waits(world: World, branch: str) -> bool:
    return any(wait.state == "open" for wait in await world.platform.ledger.waits.of_box(Box(world.instance, branch)))


async def test_each_pack_waits_for_its_own_events(platform: Platform) -> None:
    """Requests and events carry the branch key; a pack turns its loop until it is released; results are merged."""
    packs = [{"id": "fpk-1", "kind": "import"}, {"id": "fpk-2", "kind": "transit"}]
    world = World(platform, PACKS, context={"consignment": {"packs": packs}}, answers=[OK])
    await world.create()
    run = asyncio.create_task(with_answers(world, world.execute("Fan")))
    for branch in ("fpk-1", "fpk-2"):
        await eventually(lambda branch=branch: open_waits(world, branch))

    await world.event(PENDING, branch="fpk-1")
    await world.event(RELEASED, branch="fpk-2")
    await world.event(RELEASED, branch="fpk-1")

    assert (await run).state == "success"
    assert (await world.view()).instance.status == "completed"
    context = await final(world)
    assert [pack["id"] for pack in context["results"]] == ["fpk-1", "fpk-2"]
    assert context["consignment"]["packs"] == context["results"]
    assert all(pack["filed"] and pack["status"] == "SUCCESS" for pack in context["results"])
    assert [pack["kind"] for pack in context["results"]] == ["import", "transit"]
    assert await world.fates() == ["matched", "matched", "matched"]


async def test_a_pack_that_fails_goes_its_own_error_route(platform: Platform) -> None:
    """The common error handler is a copy in the item's scope: the other pack and the join go on."""
    world = World(
        platform, PACKS, context={"consignment": {"packs": [{"id": "a"}, {"id": "b"}]}}, answers=[OK],
        by_branch={"b": ("ERROR", {"messages": [{"code": "X"}]})},
    )  # fmt: skip
    await world.create()
    await world.event(RELEASED, branch="a")

    await with_answers(world, world.execute("Fan"))

    assert (await world.view()).instance.status == "completed"
    results = (await final(world))["results"]
    assert [pack["status"] for pack in results] == ["SUCCESS", "ERROR"]


@pytest.mark.parametrize(
    ("packs", "reason"),
    [
        ([{"id": "a"}, {"id": "a"}, {"id": "b"}], "id a appears more than once"),
        ([{"id": "a"}, {"no": 1}], "items 1 of consignment.packs have no 'id'"),
        ([{"id": "a"}, {"id": ""}], "items 1 of consignment.packs have no 'id'"),
        ([{"id": "a"}, {"id": "b" * 201}], "the 'id' of items 1 of consignment.packs has more than 200 characters"),
        (["text"], "items 0"),
        ({"id": "a"}, "not a list"),
        (None, "not a list"),
    ],
)
async def test_a_list_that_cannot_be_mapped_fails_and_is_named(platform: Platform, packs: Any, reason: str) -> None:
    """Duplicate or missing branch keys, or no list at all: on_failure, with the culprits."""
    world = World(platform, PACKS, context={"consignment": {"packs": packs}}, answers=[OK])
    await world.create()

    await with_answers(world, world.execute("Fan"))

    (fan,) = [o for exit_ in (await world.view()).exits for o in exit_.outcomes if o.node == "Fan"]
    assert fan.label == "on_failure"
    assert reason in fan.patch["_internalError"]


async def test_an_empty_list_goes_straight_to_the_join(platform: Platform) -> None:
    """Nothing is asked, the result is an empty list."""
    world = World(platform, PACKS, context={"consignment": {"packs": []}}, answers=[OK])
    await world.create()

    await with_answers(world, world.execute("Fan"))

    assert (await final(world))["results"] == []
    assert (await world.view()).instance.status == "completed"


async def test_the_join_fails_when_an_item_did_without_a_way_on(platform: Platform) -> None:
    """Its on_failure is taken, and the reason names the items."""
    items = [{"id": number} for number in range(5)]
    world = World(platform, SIMPLE, context={"items": items}, answers=[OK], by_branch={"3": ("ERROR", {})})
    await world.create()

    await with_answers(world, world.execute("Fan"))

    context = await final(world)
    assert context["partly"] is True
    assert "1 item failed: 3:" in context["_internalError"]


async def test_clearing_repeats_only_the_items_that_did_not_finish(platform: Platform) -> None:
    """A newer task asks anew for the failed item alone, and the instance completes."""
    text = SIMPLE.replace(", on_failure: Some_Failed", "")
    publish(platform, text)
    items = [{"id": number} for number in range(4)]
    world = World(platform, text, context={"items": items}, answers=[OK], by_branch={"2": ("ERROR", {})})
    await world.create()
    end = await with_answers(world, world.execute("Fan", "t1"))
    assert end.state == "failed"
    assert (await world.view()).instance.status == "failed"
    world.by_branch.clear()

    end = await with_answers(world, world.execute("Fan", "t2"))

    assert end.state == "success"
    assert (await world.view()).instance.status == "completed"
    assert await asked(world, 4) == [1, 1, 2, 1]


async def test_a_map_in_a_map_with_a_fork_inside(platform: Platform) -> None:
    """Inner results are in the outer items; joins list end_branch nodes."""
    packs = [{"id": p, "lines": [{"lineNo": f"{p}{n}"} for n in range(3)]} for p in ("x", "y")]
    world = World(platform, NESTED, context={"packs": packs}, answers=[OK])
    await world.create()

    end = await with_answers(world, world.execute("Outer"))

    assert end.state == "success"
    result = (await final(world))["packs"]
    assert [[line["lineNo"] for line in pack["lines"]] for pack in result] == [["x0", "x1", "x2"], ["y0", "y1", "y2"]]
    assert all(line["filed"] and line["noted"] for pack in result for line in pack["lines"])


@pytest.mark.parametrize("dies_at", range(0, 10, 2))
async def test_a_killed_map_asks_nothing_twice(platform: Platform, dies_at: int) -> None:
    """Whatever commit the process dies at, the same task finishes, with one request an item."""
    items = [{"id": number} for number in range(4)]
    world = World(platform, SIMPLE, context={"items": items}, answers=[OK])
    await world.create()
    journal = platform.ledger.journal
    plain, calls = journal.append, 0

    async def dies(*arguments: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls > dies_at:
            raise OSError("killed")
        return await plain(*arguments)

    journal.append = dies  # type: ignore[method-assign]
    run = asyncio.create_task(with_answers(world, world.execute("Fan")))
    await asyncio.wait([run])
    assert run.exception() is not None
    journal.append = plain  # type: ignore[method-assign]

    end = await with_answers(world, world.execute("Fan"))

    assert end.state == "success"
    assert await asked(world, 4) == [1, 1, 1, 1]
    assert all(item["filed"] for item in (await final(world))["items"])


async def test_five_thousand_items(platform: Platform) -> None:
    """A large list runs in one task, and every item keeps its place."""
    publish(platform, LARGE)
    world = World(platform, LARGE, context={"items": [{"id": number} for number in range(5000)]}, answers=[OK])
    await world.create()

    end = await world.execute("Fan")

    assert end.state == "success"
    assert (await final(world))["items"] == [{"id": number, "marked": True} for number in range(5000)]
