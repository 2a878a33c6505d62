"""Maps whose items have tasks of their own: the items are run by theirs, the map's region collects them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from changed import Tables
from world import World, eventually, open_memory_platform, with_answers

from cch.errors import ServiceUnavailableError
from cch.identity import Box
from cch.interpreter.context import merge
from cch.interpreter.host import Call
from cch.ledger.records import RequestRecord
from cch.pauses import Pauses
from cch.runtime import journaling, mapped
from cch.runtime.cancelling import cancel
from cch.runtime.execution import list_items
from cch.runtime.mending import Mend, apply, preview, retry
from cch.runtime.platform import Platform
from cch.runtime.standing_still import RefusedChangeError

MAPPED = """
workflow_id: simple
workflow_name: Simple map
entry_point: Start
nodes:
  Start: {type: condition, condition_on_key: skip, branches: {"true": Done, _default: Prepare}}
  Prepare: {type: set_state, static_outputs: {prepared: true}, on_success: Fan}
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Ask}
  Ask: {type: async_request, capability_id: some#thing, on_response: Then, on_failure: Bad}
  Then: {type: async_request, capability_id: some#thing, on_response: Out, on_failure: Bad}
  Bad: {type: end, status: failed}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done, destination: results}
  Done: {type: end}
"""
OK = ("SUCCESS", {"filed": True})
BROKEN = ("ERROR", {"messages": [{"code": "X"}]})


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, MAPPED) as opened:
        yield opened


async def begun(platform: Platform, *keys: str, **context: Any) -> World:
    """An instance whose first region has come to the map."""
    items = [{"id": key} for key in keys]
    world = World(platform, MAPPED, context={"items": items, **context}, answers=[OK])
    await world.create()
    assert (await world.execute("Start", "t0")).state == "success"
    return world


async def keys(world: World) -> list[str] | None:
    return await list_items(world.task("Fan", "t1"), world.platform)


async def all_items(world: World, task_instance: str = "t2") -> dict[str, str]:
    """Run every item in a task of its own; how each ended."""
    named = await keys(world)
    assert named is not None
    ends = await with_answers(
        world, asyncio.gather(*(world.execute("Fan", f"{task_instance}-{key}", key) for key in named))
    )
    return {key: end.state for key, end in zip(named, ends, strict=True)}


async def context_of(world: World) -> dict[str, Any]:
    final = dict(world.context)
    outcomes = [outcome for exit_ in (await world.view()).exits for outcome in exit_.outcomes]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.stamp):
        final = merge(final, outcome.patch)
    return final


async def asked(world: World, *branches: str) -> list[int]:
    return [len(await world.platform.ledger.requests.of_box(Box(world.instance, branch))) for branch in branches]


async def test_items_run_in_their_tasks_and_the_region_collects_them(platform: Platform) -> None:
    """The region asks nobody: what the items' tasks committed is what counts."""
    world = await begun(platform, "a", "b")

    assert await keys(world) == ["a", "b"]
    assert await all_items(world) == {"a": "success", "b": "success"}
    end = await world.execute("Fan", "t3")

    assert (end.state, end.followed) == ("success", ("All",))
    assert (await world.view()).instance.status == "completed"
    assert (await context_of(world))["results"] == [
        {"id": "a", "filed": True, "status": "SUCCESS"},
        {"id": "b", "filed": True, "status": "SUCCESS"},
    ]
    assert await asked(world, "a", "b") == [2, 2]


async def test_what_a_task_of_an_item_says_decides_nothing_behind_it(platform: Platform) -> None:
    """An item's end names no task that follows: Airflow must not skip the gate behind the items."""
    world = await begun(platform, "a")

    end = await with_answers(world, world.execute("Fan", "t2", "a"))

    assert (end.state, end.followed) == ("success", None)


async def test_clearing_a_failed_item_repeats_that_item_alone(platform: Platform) -> None:
    """Its newer task asks anew, the region collects again, and the instance completes."""
    world = await begun(platform, "a", "b", "c")
    world.by_branch = {"b": BROKEN}
    assert await all_items(world) == {"a": "success", "b": "failed", "c": "success"}
    end = await world.execute("Fan", "t3")
    assert end.state == "failed"
    assert "1 item failed: b: ended at 'Bad' as failed: some#thing answered ERROR: X" in end.reason
    world.by_branch.clear()

    assert (await with_answers(world, world.execute("Fan", "t4-b", "b"))).state == "success"
    end = await world.execute("Fan", "t5")

    assert end.state == "success"
    assert (await world.view()).instance.status == "completed"
    assert await asked(world, "a", "b", "c") == [2, 3, 2]


@pytest.mark.parametrize(("node", "more"), [("Ask", 2), ("Then", 1)])
async def test_a_person_retries_an_item_from_one_of_its_nodes(platform: Platform, node: str, more: int) -> None:
    """Its task runs again, and the map's region behind it; what the item did before the node is kept."""
    world = await begun(platform, "a", "b", "c")
    assert await all_items(world) == {"a": "success", "b": "success", "c": "success"}
    await world.execute("Fan", "t3")
    assert (await world.view()).instance.status == "completed"
    world.by_branch = {"b": ("SUCCESS", {"filed": "again"})}

    tables = Tables()
    seen = await preview(platform, world.instance, retry(node, item="b", by="ada"))
    await apply(platform, tables, world.instance, retry(node, item="b", by="ada", reason="nonsense"))
    (wish,) = tables.wishes
    plan = await platform.plans.of((await world.view()).instance)
    assert plan is not None
    results = wish.tasks[plan.task_of["Fan"]].wish
    assert (wish.items, results, tables.revived) == ((("Fan__items", 1),), "open", [True])
    assert [sorted(each.drop) for each in seen.todo.items] == [sorted(["Ask#1", "Then#1", "Out#1"][2 - more :])]

    assert (await with_answers(world, world.execute("Fan", "t4-b", "b"))).state == "success"
    assert (await world.execute("Fan", "t5")).state == "success"
    assert (await world.view()).instance.status == "completed"
    assert [item["filed"] for item in (await context_of(world))["results"]] == [True, "again", True]
    assert await asked(world, "a", "b", "c") == [2, 2 + more, 2]
    (record,) = await platform.ledger.actions.of_instance(world.instance)
    assert record.about == {"node": node, "item": "b"}


async def test_a_map_that_is_retried_does_all_of_it_anew(platform: Platform) -> None:
    """It lists its items again, their tasks run again, and it collects them again."""
    world = await begun(platform, "a", "b")
    await all_items(world)
    await world.execute("Fan", "t3")

    tables = Tables()
    await apply(platform, tables, world.instance, retry("Fan", by="ada"))
    plan = await platform.plans.of((await world.view()).instance)
    assert plan is not None
    wishes = {
        task.kind: tables.wishes[0].tasks[task.task_id].wish for task in plan.tasks.values() if task.node == "Fan"
    }
    assert wishes == {"list": "run", "item": "open", "region": "open"}

    assert await all_items(world, "t4") == {"a": "success", "b": "success"}
    assert (await world.execute("Fan", "t5")).state == "success"
    assert (await world.view()).instance.status == "completed"
    assert await asked(world, "a", "b") == [4, 4]


async def test_a_map_under_way_is_not_retried(platform: Platform) -> None:
    """Its items are."""
    world = await begun(platform, "a", "b")
    await with_answers(world, world.execute("Fan", "t2-a", "a"))
    with pytest.raises(RefusedChangeError, match="'Fan' is under way: retry one of its items"):
        await preview(platform, world.instance, retry("Fan", by="ada"))


async def test_an_item_that_waits_goes_back_too(platform: Platform) -> None:
    """While the others and the map's region are under way; its open request is superseded."""
    world = await begun(platform, "a", "b")
    await with_answers(world, world.execute("Fan", "t2-a", "a"))
    waits = asyncio.create_task(world.execute("Fan", "t2-b", "b"))
    (first,) = await eventually_asked(world, "b", 1)
    reply = {"filed": True}
    closed = await platform.ledger.requests.close(first.command_id, "answered", 5, status="SUCCESS", reply=reply)
    assert closed is not None
    platform.exchange.waiters.wake(first.command_id, closed)
    await eventually_asked(world, "b", 2)

    await apply(platform, Tables(), world.instance, retry("Ask", item="b", by="ada"))
    waits.cancel()
    await asyncio.wait([waits])
    assert (await with_answers(world, world.execute("Fan", "t2-b", "b"))).state == "success"
    assert (await world.execute("Fan", "t3")).state == "success"

    # Not in their order: two of them may be made in the same millisecond.
    asked = await platform.ledger.requests.of_box(Box(world.instance, "b"))
    assert sorted(each.state for each in asked) == ["answered", "answered", "answered", "superseded"]
    assert [each.node == first.node for each in asked if each.state == "superseded"] == [False]
    assert (await world.view()).instance.status == "completed"


async def eventually_asked(world: World, branch: str, number: int) -> list[RequestRecord]:
    async def look() -> list[RequestRecord]:
        found = await world.platform.ledger.requests.of_box(Box(world.instance, branch))
        return found if len(found) == number and all(each.sent_at for each in found) else []

    await eventually(look)
    return await look()


@pytest.mark.parametrize(
    ("mend", "words"),
    [
        (retry("Ask", item="z", by="ada"), "no item 'z' has begun: there are"),
        (retry("Prepare", item="a", by="ada"), "no map of its definition has a node 'Prepare'"),
        (retry("Bad", item="a", by="ada"), "item 'a' has no such visit of 'Bad'"),
        (retry("Ask", 7, item="a", by="ada"), "item 'a' has no such visit of 'Ask'"),
        (retry("Ask", by="ada"), "name the item"),
    ],
)
async def test_what_cannot_be_meant_of_an_item_is_refused(platform: Platform, mend: Mend, words: str) -> None:
    """The reason says what there is."""
    world = await begun(platform, "a")
    await all_items(world)
    with pytest.raises(RefusedChangeError, match=words):
        await preview(platform, world.instance, mend)


async def test_items_that_run_in_one_task_are_retried_with_their_map(platform: Platform) -> None:
    """The refusal says so."""
    world = await begun(platform, "a")
    assert (await with_answers(world, world.execute("Fan", "t3"))).state == "success"  # no task of an item had begun
    with pytest.raises(RefusedChangeError, match="run in one task: retry 'Fan'"):
        await preview(platform, world.instance, retry("Ask", item="a", by="ada"))


async def test_clearing_an_item_that_succeeded_does_it_anew(platform: Platform) -> None:
    """People clear a task because they want its work done again."""
    world = await begun(platform, "a", "b")
    await all_items(world)
    await world.execute("Fan", "t3")
    world.by_branch = {"a": ("SUCCESS", {"filed": "again"})}

    await with_answers(world, world.execute("Fan", "t4-a", "a"))
    await world.execute("Fan", "t5")

    assert [item["filed"] for item in (await context_of(world))["results"]] == ["again", True]
    assert await asked(world, "a", "b") == [4, 2]


async def test_an_item_that_somebody_stopped_is_a_failed_item(platform: Platform) -> None:
    """Its task was marked failed while it waited; the region says so and does not begin it again."""
    world = await begun(platform, "a", "b")
    await with_answers(world, world.execute("Fan", "t2-a", "a"))
    stopped = asyncio.create_task(world.execute("Fan", "t2-b", "b"))
    await eventually(lambda: platform.ledger.requests.of_box(Box(world.instance, "b")))
    stopped.cancel()
    await asyncio.wait([stopped])

    end = await world.execute("Fan", "t3")

    assert end.state == "failed"
    assert "1 item failed: b: its task ended before its work was done" in end.reason


async def test_an_item_that_begins_after_a_cancellation_asks_nobody(platform: Platform) -> None:
    """Airflow lets items begin until it has stopped the map's task."""
    world = await begun(platform, "a")
    await cancel(platform, (await world.view()).instance, "by telephone")

    item = asyncio.create_task(world.execute("Fan", "t2-a", "a"))
    await asyncio.sleep(0.05)

    assert not item.done()
    item.cancel()
    assert (await world.view()).instance.status == "cancelled"
    requests = await platform.ledger.requests.of_box(Box(world.instance, "a"))
    assert [(each.state, each.sent_at) for each in requests] == [("superseded", 0)]


async def test_a_map_that_was_cleared_after_a_cancellation_is_done(platform: Platform) -> None:
    """No item had begun: the list's own task says that a person wants it."""
    world = await begun(platform, "a")
    await keys(world)
    await cancel(platform, (await world.view()).instance, "by telephone")
    assert (await world.view()).instance.status == "cancelled"

    assert await list_items(world.task("Fan", "t3"), platform) == ["a"]

    item = await with_answers(world, world.execute("Fan", "t4-a", "a"))
    results = await with_answers(world, world.execute("Fan", "t5"))
    assert (item.state, results.state) == ("success", "success")
    assert (await world.view()).instance.status == "completed"


async def test_a_table_that_refuses_the_journal_of_an_item_repeats_no_call_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The region does the items that no task has begun, one beside the other."""
    asks = "Ask: {type: async_request, capability_id: some#thing, on_response: Then"
    assert asks in MAPPED
    nodes = MAPPED.replace(asks, "Ask: {type: sync_call, capability_id: some#call, on_success: Then")
    called: list[Call] = []
    refused = asyncio.Event()
    reads = 0

    async def call(call: Call) -> Any:
        called.append(call)
        await refused.wait()
        return {}

    async def read(ledger: Any, key: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            await eventually(lambda: called)
            refused.set()
            raise ServiceUnavailableError("ProvisionedThroughputExceededException")
        return await journaling.read(ledger, key)

    monkeypatch.setattr(mapped, "read", read)
    async with open_memory_platform(tmp_path, nodes) as platform:
        platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
        platform.caller.run = call  # type: ignore[method-assign]
        world = World(platform, nodes, context={"items": [{"id": "a"}, {"id": "b"}]}, answers=[OK])
        await world.create()
        await world.execute("Start", "t0")
        end = await with_answers(world, world.execute("Fan", "t3"))

    assert (end.state, len(called), reads) == ("success", 2, 3)


async def test_an_item_whose_task_never_began_is_done_by_the_region(platform: Platform) -> None:
    """Whatever kept Airflow from starting it, the work is not lost."""
    world = await begun(platform, "a", "b")
    await with_answers(world, world.execute("Fan", "t2-a", "a"))

    end = await with_answers(world, world.execute("Fan", "t3"))

    assert end.state == "success"
    assert await asked(world, "a", "b") == [2, 2]


@pytest.mark.parametrize("dies_at", range(4))
async def test_an_item_that_is_killed_asks_nothing_twice(platform: Platform, dies_at: int) -> None:
    """Whatever commit its process dies at, the same task goes on from its journal."""
    world = await begun(platform, "a")
    plain, calls = platform.ledger.journal.append, 0

    async def dies(*arguments: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls > dies_at:
            raise OSError("killed")
        return await plain(*arguments)

    platform.ledger.journal.append = dies  # type: ignore[method-assign]
    run = asyncio.create_task(with_answers(world, world.execute("Fan", "t2", "a")))
    await asyncio.wait([run])
    platform.ledger.journal.append = plain  # type: ignore[method-assign]

    assert (await with_answers(world, world.execute("Fan", "t2", "a"))).state == "success"

    assert run.exception() is not None or dies_at >= 3
    assert await asked(world, "a") == [2]


async def test_an_item_that_the_list_no_longer_has_is_skipped(platform: Platform) -> None:
    """Airflow mapped over a list that the predecessor has replaced since."""
    world = await begun(platform, "a")

    end = await world.execute("Fan", "t2-z", "z")

    assert end.state == "skipped"
    assert "no item 'z'" in end.reason


async def test_a_map_that_nothing_leads_to_has_no_list(platform: Platform) -> None:
    """Somebody cleared or ran the task by hand."""
    world = await begun(platform, "a", skip=True)

    assert await keys(world) is None
    assert (await world.execute("Fan", "t2-a", "a")).state == "skipped"


async def test_a_list_that_cannot_be_mapped_names_nobody(platform: Platform) -> None:
    """The region then finds the error and goes the map's way for it."""
    world = await begun(platform, "a", "a")

    assert await keys(world) == []
    end = await world.execute("Fan", "t3")

    assert end.state == "failed"
    assert "id a appears more than once" in end.reason
