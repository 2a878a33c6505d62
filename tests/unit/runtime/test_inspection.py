"""What people see of the items of maps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_maps import LARGE, NESTED, OK, PACKS, RELEASED, SIMPLE, open_waits, publish
from world import World, eventually, open_memory_platform, with_answers

from cch.cli.instance_views import detail_data, node_note
from cch.identity import ROOT, Box, ItemStep
from cch.ledger.records import MapItem, RegionKey
from cch.runtime.inspection import Inspector
from cch.runtime.items import current
from cch.runtime.platform import Platform
from cch.runtime.progress import NodeProgress, Progress


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, PACKS, SIMPLE, NESTED) as opened:
        yield opened


async def look(world: World) -> Progress:
    seen = await Inspector(world.platform).look(world.instance)
    assert seen is not None
    return seen


def node(progress: Progress, name: str) -> NodeProgress:
    (found,) = [node for node in progress.nodes if node.name == name]
    return found


async def test_items_under_way_are_shown_with_their_nodes(platform: Platform) -> None:
    """One pack is done, two wait for an event: each node says how many items stand how."""
    packs = [{"id": "done"}, {"id": "event"}, {"id": "reply"}]
    world = World(platform, PACKS, context={"consignment": {"packs": packs}}, by_branch={"done": OK, "event": OK})
    world.answers = [OK]
    await world.create()
    run = asyncio.create_task(world.execute("Fan"))
    answers = asyncio.create_task(with_answers(world, _two_waits(world)))
    await answers
    await world.event(RELEASED, branch="done")
    await eventually(lambda: _released(world))

    seen = await look(world)

    assert {each.item.branch: (each.state, each.at) for each in seen.items} == {
        "done": ("SUCCEEDED", ()), "event": ("WAITING", ("Wait",)), "reply": ("WAITING", ("Wait",)),
    }  # fmt: skip
    assert node(seen, "Wait").items == {"SUCCEEDED": 1, "WAITING": 2}
    assert (node(seen, "Wait").state, node(seen, "Submit").state) == ("WAITING", "SUCCEEDED")
    assert node_note(node(seen, "Submit")) == "items: 3 SUCCEEDED"
    assert "Pack_Done[done]" in seen.visited
    assert node(seen, "Handle_Error").state == "PENDING"
    run.cancel()


async def _two_waits(world: World) -> None:
    for branch in ("done", "event", "reply"):
        await eventually(lambda branch=branch: open_waits(world, branch))


async def _released(world: World) -> bool:
    return any("Pack_Done[done]" in name for name in (await look(world)).visited)


async def test_an_item_that_waits_for_a_reply_says_so(platform: Platform) -> None:
    """The request belongs to the item: at the root nobody waits for it."""
    world = World(platform, SIMPLE, context={"items": [{"id": "a"}]})
    await world.create()
    run = asyncio.create_task(world.execute("Fan"))
    await eventually(lambda: platform.ledger.requests.of_box(Box(world.instance, "a")))

    seen = await look(world)

    (each,) = seen.items
    assert (each.item.node, each.item.branch, each.state, each.at) == ("Fan", "a", "WAITING", ("Ask",))
    assert (node(seen, "Ask").state, node(seen, "Ask").request) == ("WAITING", None)
    run.cancel()


async def test_visits_of_items_and_their_failures_are_in_the_course(platform: Platform) -> None:
    """Items of a map in a map are named by their own branch keys; a failure names its item."""
    bad = ("ERROR", {"messages": [{"code": "BAD"}]})
    world = World(platform, SIMPLE, context={"items": [{"id": "a"}, {"id": "b"}]}, answers=[OK], by_branch={"b": bad})
    await world.create()

    await with_answers(world, world.execute("Fan"))

    seen = await look(world)
    assert sorted(seen.visited[:4]) == ["Ask[a]", "Ask[b]", "Bad[b]", "Out[a]"]
    assert seen.visited[4:] == ("Fan", "All", "Some_Failed", "Done")
    assert {each.item.branch: each.state for each in seen.items} == {"a": "SUCCEEDED", "b": "FAILED"}
    assert {error["node"] for error in seen.errors} == {"Ask[b]", "Bad[b]", "All"}
    shown = detail_data(seen, 0)
    assert shown["items"][0] == {
        "map": "Fan", "branch": "a", "index": 0, "state": "SUCCEEDED", "at": [], "visited": ["Ask", "Out"]
    }  # fmt: skip


async def test_a_map_in_a_map(platform: Platform) -> None:
    """Outer items come first; the inner ones are items of the inner map."""
    packs = [{"id": "p", "lines": [{"lineNo": 1}, {"lineNo": 2}]}]
    world = World(platform, NESTED, context={"packs": packs}, answers=[OK])
    await world.create()

    await with_answers(world, world.execute("Outer"))

    seen = await look(world)
    assert [(each.item.node, each.item.branch) for each in seen.items] == [
        ("Outer", "p"),
        ("Inner", "1"),
        ("Inner", "2"),
    ]
    assert node(seen, "Line").items == {"SUCCEEDED": 2}
    assert seen.visited.index("Line_Out[2]") < seen.visited.index("Inner[p]") < seen.visited.index("Outer")


async def test_of_thousands_of_items_the_first_are_looked_at(platform: Platform) -> None:
    """A look costs queries, so it takes a hundred, and says how many there are; a whole look takes all."""
    publish(platform, LARGE)
    world = World(platform, LARGE, context={"items": [{"id": f"{number:03}"} for number in range(150)]})
    await world.create()
    await world.execute("Fan")

    seen = await look(world)
    everything = await Inspector(platform).look(world.instance, most_items=None)

    assert (len(seen.items), seen.items_in_all) == (100, 150)
    assert everything is not None
    assert node(everything, "Mark").items == {"SUCCEEDED": 150}


@pytest.mark.parametrize("scheme", [1, 2])
def test_items_of_an_earlier_generation_do_not_count(scheme: int) -> None:
    """A region that was run anew has made its maps' items anew; names with odd characters are read right."""

    def item(branch: str, generation: int | None, visit: int = 1) -> MapItem:
        scope = ROOT.item(ItemStep("A#b@c", visit, generation, branch), scheme)
        return MapItem(node="A#b@c", index=0, branch=branch, key=RegionKey(instance="i", region="R", scope=scope))

    old, new, again = item("x@1[y]", 0), item("x@1[y]", 1), item("z", 1, visit=2)
    of_a_task = item("t", None)

    assert new.made_by == (ROOT, ItemStep("A#b@c", 1, 1, "x@1[y]"))
    assert of_a_task.made_by == (ROOT, ItemStep("A#b@c", 1, None, "t"))
    assert current([old, new, again, of_a_task]) == [new, again, of_a_task]
