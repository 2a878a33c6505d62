"""Holds of whole workflows and capabilities: whom they hold, and who goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from changed import FIRST, Moved, gates, waiting
from scripted import ManualClock
from tests.patience import finished
from world import eventually, open_memory_platform

from cch.ledger.gates import Gate, GateTakenError
from cch.ledger.holds import Hold, HoldTakenError
from cch.runtime.gatekeeper import FRESH
from cch.runtime.gating import HeldError
from cch.runtime.holding import go_on_releasing, held_for, hold_for, is_held_back
from cch.runtime.mending import release
from cch.runtime.passing import pass_gate
from cch.runtime.platform import Platform

START = 1_767_600_000_000
CUSTOMS = Hold(kind="capability", name="a#then", by="ada", since=START, reason="customs is down")


async def is_held(world: Moved) -> None:
    async def look() -> bool:
        return await gates(world.platform, world.instance) == ["held"]

    await eventually(look)


async def released(platform: Platform, hold: Hold) -> list[str]:
    """The hold is released, and each of its instances."""
    await platform.ledger.holds.release(hold, platform.clock(), 10)
    held = await held_for(platform, hold)
    for instance in held:
        await release(platform, instance, by="ada")
    await platform.ledger.holds.remove(hold)
    return [instance.id for instance in held]


async def test_who_would_ask_a_held_capability_is_held(tmp_path: Path) -> None:
    """Nothing is sent, the instance says why, and goes on when it is released; others never noticed."""
    clock = ManualClock(START)
    async with waiting(tmp_path, clock=clock) as (world, request):
        await world.platform.ledger.holds.put(CUSTOMS)
        clock.advance(1)
        await world.reply(request)
        await is_held(world)

        head = await world.platform.ledger.instances.head(world.instance)
        assert head is not None
        assert (head.closed[0].by, head.closed[0].reason) == ("ada", "capability a#then is held: customs is down")
        assert [each.source for each in await world.asked() if each.sent_at] == ["a#ask"]
        assert await released(world.platform, CUSTOMS) == [world.instance]
        clock.advance(2)
        await world.reply(await world.one_open("a#then"))
        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
        told = await world.platform.ledger.actions.of_instance(world.instance)
        assert [each.kind for each in sorted(told, key=lambda each: each.at)] == ["held", "released"]


async def test_an_instance_of_a_held_workflow_does_not_begin(tmp_path: Path) -> None:
    """It is there, held, and asks for the first time when it is released."""
    clock = ManualClock(START)
    hold = Hold(kind="workflow", name="moved", by="ada", since=START)
    async with open_memory_platform(tmp_path, FIRST, clock=clock) as platform:
        await platform.ledger.holds.put(hold)
        world = Moved(platform, FIRST)
        await world.create()
        world.go_on()
        try:
            await is_held(world)
            assert [each for each in await world.asked() if each.sent_at] == []
            await released(platform, hold)
            clock.advance(2)
            assert (await world.one_open("a#ask")).sent_at
        finally:
            assert world.running is not None
            world.running.cancel()


@asynccontextmanager
async def held_back(tmp_path: Path) -> AsyncIterator[tuple[Moved, ManualClock]]:
    """An instance that waits for its first reply, and a hold of what it asks next."""
    clock = ManualClock(START)
    async with waiting(tmp_path, clock=clock) as (world, _):
        await world.platform.ledger.holds.put(CUSTOMS)
        clock.advance(FRESH / 1000)
        yield world, clock


async def test_a_hold_is_seen_within_a_second_and_asked_for_once_in_one(tmp_path: Path) -> None:
    """However many ask."""
    async with held_back(tmp_path) as (world, clock):
        keeper = world.platform.gatekeeper
        for _ in range(50):
            assert await keeper.hold_over("moved", "a#then") == CUSTOMS
        assert await keeper.hold_over("moved", "a#other") is None
        await world.platform.ledger.holds.remove(CUSTOMS)
        assert await keeper.hold_over("moved", "a#then") == CUSTOMS, "as read before"
        clock.advance(FRESH / 1000)
        assert await keeper.hold_over("moved", "a#then") is None


async def test_who_has_not_seen_the_release_yet_holds_nobody(tmp_path: Path) -> None:
    """Nobody would look for an instance that is held for a hold that is over."""
    async with held_back(tmp_path) as (world, _):
        head = await world.platform.ledger.instances.head(world.instance)
        assert head is not None
        await world.platform.gatekeeper.hold_over("moved", "a#then")
        await world.platform.ledger.holds.release(CUSTOMS, START + 1, 10)

        assert not await is_held_back(world.platform, head, "a#then")
        assert await gates(world.platform, world.instance) == []


async def test_an_ended_instance_is_not_held_and_not_listed(tmp_path: Path) -> None:
    """A task of it that runs for some reason does not wait for ever."""
    async with held_back(tmp_path) as (world, _):
        head = await world.platform.ledger.instances.head(world.instance)
        assert head is not None
        await world.platform.ledger.instances.end(world.instance, "failed", START)

        assert not await hold_for(world.platform, head, CUSTOMS)
        assert await world.platform.ledger.gates.closed("held") == []
        with pytest.raises(GateTakenError, match="has ended"):
            await world.platform.ledger.gates.close(world.instance, Gate(kind="held", by="ada", since=START))


async def test_who_is_held_by_a_person_stays_so(tmp_path: Path) -> None:
    """The release of the hold does not release it."""
    async with held_back(tmp_path) as (world, _):
        head = await world.platform.ledger.instances.head(world.instance)
        assert head is not None
        await world.platform.ledger.gates.close(world.instance, Gate(kind="held", by="bob", since=START))

        assert await hold_for(world.platform, head, CUSTOMS)
        assert await held_for(world.platform, CUSTOMS) == []


async def test_a_worker_does_not_wait_for_the_release(tmp_path: Path) -> None:
    """Its task gives up its place, and resumes when a trigger says that it may."""
    async with held_back(tmp_path) as (world, _):
        head = await world.platform.ledger.instances.head(world.instance)
        assert head is not None
        await hold_for(world.platform, head, CUSTOMS)
        assert world.running is not None
        world.running.cancel()
        world.platform.yields = True
        with pytest.raises(HeldError) as held:
            await world.execute("Ask", "t-Ask")
        assert held.value.instance == world.instance


async def test_a_hold_is_made_once(tmp_path: Path) -> None:
    """To repeat it changes nothing; another one is refused until the first one is gone."""
    async with held_back(tmp_path) as (world, _):
        holds = world.platform.ledger.holds
        await holds.put(CUSTOMS)
        other = Hold(kind="capability", name="a#then", by="bob", since=START + 5)
        with pytest.raises(HoldTakenError, match="is held already"):
            await holds.put(other)
        await holds.release(CUSTOMS, START + 9, 10)
        await holds.released_by(CUSTOMS, "b-1")
        with pytest.raises(HoldTakenError, match="still being released"):
            await holds.put(other)
        assert (await holds.all())[0].batch == "b-1"
        await holds.remove(other)
        assert len(await holds.all()) == 1, "it is another one"
        await holds.remove(CUSTOMS)
        await holds.put(other)


async def test_a_released_hold_is_gone_on_with_until_nobody_is_held_for_it(tmp_path: Path) -> None:
    """By one batch at a time, however many servers look; one that a person has stopped is not begun again."""
    async with held_back(tmp_path) as (world, _):
        platform = world.platform
        head = await platform.ledger.instances.head(world.instance)
        assert head is not None
        await hold_for(platform, head, CUSTOMS)
        assert await go_on_releasing(platform) == 0, "it is in force"

        await platform.ledger.holds.release(CUSTOMS, START + 2000, 5)
        await platform.ledger.holds.released_by(CUSTOMS, "never-came")  # whoever released it died
        await asyncio.gather(*(go_on_releasing(platform) for _ in range(3)))
        (batch,) = await platform.ledger.batches.active(platform.clock())
        assert (batch.action, batch.rate, await platform.ledger.batches.members(batch)) == (
            {"kind": "release"}, 5.0, [world.instance],
        )  # fmt: skip
        stopped = await platform.ledger.batches.steer(batch, "stopped", platform.clock())
        assert stopped is not None
        assert await go_on_releasing(platform) == 1
        (still,) = await platform.ledger.holds.all()
        assert still.batch == batch.id

        held = await platform.ledger.instances.head(world.instance)
        assert held is not None
        await release(platform, held, by="ada")
        await platform.ledger.batches.leave(batch, "", platform.clock(), {}, done=True)
        await platform.ledger.holds.released_by(still, "another-that-never-came")
        assert await go_on_releasing(platform) == 0
        assert await platform.ledger.holds.all() == []


async def test_what_is_not_held_passes(tmp_path: Path) -> None:
    """Also an instance that nobody knows."""
    async with held_back(tmp_path) as (world, _):
        await pass_gate(world.platform, world.instance, "a#other")
        await pass_gate(world.platform, "unknown", "a#then")
        await asyncio.sleep(0)
