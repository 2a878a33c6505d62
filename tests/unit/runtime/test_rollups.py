"""Figures of workflows: what is counted, and that each end is counted once whatever happens."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from faults import Died, FragileStore, JostlingStore
from scripted import ManualClock
from test_retention import DAY, EVERYTHING, finished_world
from world import open_memory_platform

from cch.definition.rules import NEWEST
from cch.interpreter.outcome import Outcome
from cch.ledger.figures import Figures
from cch.ledger.records import Exit, Instance, InstanceStatus
from cch.runtime.platform import Platform
from cch.runtime.retention import expire_due
from cch.runtime.rollups import count_ended

NOW = 1_700_000_000_000


async def ended(
    platform: Platform, name: str, status: InstanceStatus = "completed", at: int = NOW, **changes: Any
) -> None:
    """An instance of a definition that nobody has any more, which has visited A for two seconds."""
    known = {"workflow_id": "w", "correlation_id": name, "started": at - 5000, "reading_rules": NEWEST, **changes}
    instances = platform.ledger.instances
    await instances.create(Instance(id=name, status="running", **known))
    visit = Outcome(
        node="A", visit=1, stamp=at - 1000, started=at - 3000, label="ok", targets=("B",), cause={"kind": "call"}
    )
    await instances.put_exit(name, Exit(region="A", generation=0, task_instance="t", outcomes=(visit,)))
    await instances.end(name, status, at, "A failed" if status == "failed" else "")


async def figures(platform: Platform, workflow: str = "w") -> Figures:
    """All that is counted of a workflow."""
    whole = Figures()
    for rollup in await platform.ledger.rollups.of_workflow(workflow, "2000-01-01", "2100-01-01"):
        whole.merge(rollup.figures)
    return whole


async def test_an_instance_leaves_its_figures(tmp_path: Path) -> None:
    """Visits of nodes, ways, items of maps and lengths of time; nothing is left to count."""
    clock = ManualClock(NOW)
    async with finished_world(tmp_path, clock, FragileStore()) as world:
        platform = world.platform

        counted = [await count_ended(platform) for _ in range(2)]
        found = await figures(platform, "everything")

        assert counted == [1, 0]
        assert found.ended == {"completed": 1}
        assert {name: node.visits for name, node in found.nodes.items()} == {
            "Again": 25, "Turn": 25, "Fan": 1, "Ask": 2, "Wait": 2, "Out": 2, "All": 1, "Done": 1,
        }  # fmt: skip
        assert found.ways["Turn", "yes", "Again"] == 24
        assert found.ways["Fan", "item", "Ask"] == 2
        assert found.nodes["Again"].took.count == 25
        assert found.nodes["Turn"].took.count == 0
        assert found.took.count == 1
        assert (await platform.ledger.instances.head(world.instance)).counted == NOW  # type: ignore[union-attr]


async def test_ends_are_kept_by_day_and_version(tmp_path: Path) -> None:
    """The day is that of the end, in UTC."""
    async with open_memory_platform(tmp_path, EVERYTHING) as platform:
        for number, (digest, at) in enumerate((("d1", NOW), ("d1", NOW + DAY), ("d2", NOW), ("d2", NOW), ("", NOW))):
            await ended(platform, f"i{number}", at=at, definition_digest=digest)
        await count_ended(platform)

        rollups = await platform.ledger.rollups.of_workflow("w", "2023-11-14", "2023-11-15")
        one_day = await platform.ledger.rollups.of_workflow("w", "2023-11-15", "2023-11-15")

        assert {(each.key.day, each.key.digest): each.figures.ended["completed"] for each in rollups} == {
            ("2023-11-14", ""): 1, ("2023-11-14", "d1"): 1, ("2023-11-14", "d2"): 2, ("2023-11-15", "d1"): 1,
        }  # fmt: skip
        assert [each.key.digest for each in one_day] == ["d1"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_death_at_any_call_counts_nothing_twice(tmp_path: Path, *, lost: bool) -> None:
    """Nor is anything forgotten: whoever counts next goes on."""
    at = 0
    while True:
        at += 1
        store = FragileStore()
        async with open_memory_platform(tmp_path, EVERYTHING, store=store) as platform:
            await platform.router.stop()
            for number in range(3):
                await ended(platform, f"i{number}")
            await ended(platform, "failed", "failed", definition_digest="d")
            store.arm(at, lost=lost)
            try:
                await count_ended(platform)
                died = False
            except Died:
                died = True
            store.arm(0, lost=False)
            await count_ended(platform)
            await ended(platform, "later")
            await count_ended(platform)

            found = await figures(platform)
            assert (found.ended, found.nodes["A"].visits) == ({"completed": 4, "failed": 1}, 5)
            assert [item["PK"] for item in await store.listed("by_live", "unmended")] == ["INST#failed"]
            assert await store.listed("by_live", "uncounted") == []
        if not died:
            break
    assert at > 10


@pytest.mark.parametrize("seed", range(10))
async def test_several_who_count_at_the_same_time_count_each_end_once(tmp_path: Path, seed: int) -> None:
    """Instances end, and some run again, meanwhile."""
    chance = random.Random(seed)
    async with open_memory_platform(tmp_path, EVERYTHING, store=JostlingStore(seed)) as platform:

        async def work() -> None:
            for number in range(30):
                await ended(platform, f"i{number}")
                if chance.random() < 0.2:
                    again = f"i{chance.randint(0, number)}"
                    await platform.ledger.instances.reopen(again, 1)
                    await platform.ledger.instances.end(again, "completed", NOW + 1 + number)

        await asyncio.gather(work(), *(count_ended(platform) for _ in range(3)))
        await asyncio.gather(*(count_ended(platform) for _ in range(3)))

        found = await figures(platform)
        assert found.nodes["A"].visits == 30
        assert found.ended["completed"] - found.again == 30


async def test_an_instance_that_runs_again_is_counted_with_what_it_did_since(tmp_path: Path) -> None:
    """Its second end too; what it had done before is in the figures of the first."""
    async with open_memory_platform(tmp_path, EVERYTHING) as platform:
        await ended(platform, "i", "failed")
        await count_ended(platform)
        await platform.ledger.instances.reopen("i", 1)
        visit = Outcome(node="B", visit=1, stamp=NOW + 500, started=NOW + 100, cause={"kind": "call"})
        await platform.ledger.instances.put_exit(
            "i", Exit(region="B", generation=0, task_instance="t", outcomes=(visit,))
        )
        await platform.ledger.instances.end("i", "completed", NOW + 600)
        await count_ended(platform)

        found = await figures(platform)
        assert (found.ended, found.again) == ({"failed": 1, "completed": 1}, 1)
        assert {name: node.visits for name, node in found.nodes.items()} == {"A": 1, "B": 1}


async def test_one_that_was_counted_but_not_marked_runs_again(tmp_path: Path) -> None:
    """The process died in between, and the instance ends again on another day before anybody counts."""
    store = FragileStore()
    async with open_memory_platform(tmp_path, EVERYTHING, store=store) as platform:
        await platform.router.stop()
        await ended(platform, "i")
        marks = platform.ledger.rollups._mark

        async def dies(batch: Any) -> None:
            if batch:
                raise Died
            await marks(batch)

        platform.ledger.rollups._mark = dies  # type: ignore[method-assign]
        with pytest.raises(Died):
            await count_ended(platform)
        platform.ledger.rollups._mark = marks  # type: ignore[method-assign]
        await platform.ledger.instances.reopen("i", 1)
        await platform.ledger.instances.end("i", "completed", NOW + DAY)
        await count_ended(platform)

        found = await figures(platform)
        assert (found.nodes["A"].visits, found.ended["completed"], found.again) == (1, 2, 1)


async def test_what_counting_costs(tmp_path: Path) -> None:
    """A read and a write for each instance, and a few calls for each fifty; nothing for those that are counted."""
    store = FragileStore()
    async with open_memory_platform(tmp_path, EVERYTHING, store=store) as platform:
        await platform.router.stop()
        for number in range(100):
            await ended(platform, f"i{number}")
        store.count = 0
        await count_ended(platform)
        first, store.count = store.count, 0
        await count_ended(platform)

        assert first <= 2 * 100 + 12
        assert store.count == 1


async def test_figures_outlive_their_instances(tmp_path: Path) -> None:
    """Also of one that ended under a release without figures, and expires now."""
    clock = ManualClock(NOW)
    store = FragileStore()
    async with finished_world(tmp_path, clock, store) as world:
        await store.update((f"INST#{world.instance}", "META"), _without("live"))
        assert await count_ended(world.platform) == 0
        clock.now += 31 * DAY
        await expire_due(world.platform)

        found = await figures(world.platform, "everything")
        assert found.ended == {"completed": 1}
        assert found.nodes["Again"].visits == 25


def _without(name: str) -> Any:
    from cch.ledger.store import Change

    return Change(remove=(name,))


async def test_where_and_why_an_instance_failed_is_kept_with_it(tmp_path: Path) -> None:
    """Of a failure that has no node, what its reason says."""
    async with open_memory_platform(tmp_path, EVERYTHING) as platform:
        await ended(platform, "i", "failed")
        await platform.ledger.instances.create(
            Instance(id="n", workflow_id="w", correlation_id="n", status="pending", started=1)
        )
        await platform.ledger.instances.end("n", "failed", NOW, "not started within a day: 404")
        await count_ended(platform)

        found = {one.id: (one.failed_node, one.error_code) for one in await platform.ledger.instances.many(["i", "n"])}
        assert found == {"i": ("", ""), "n": ("", "NOT_STARTED")}
