"""Batches: each member once, at the rate, over any crash; paused, resumed, stopped, and by several servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from batched import Airflow, Killed, Time, batch_of, failed, killing, live, outcome, server, tempo
from changed import FIRST, gates, waiting
from faults import FragileStore
from scripted import ManualClock
from tests.patience import finished
from world import open_memory_platform

from cch.ledger.audit import audit
from cch.ledger.batches import LEASE, Batch
from cch.ledger.gates import Gate, Reopening
from cch.ledger.listing import Wanted
from cch.runtime.batching import BatchRunner
from cch.runtime.changing import finish_interrupted
from cch.runtime.mending import hold
from cch.runtime.platform import Platform
from cch.runtime.task_wishes import RunBusyError

FAILED = Wanted(statuses=("failed",))


@contextmanager
def killed() -> Iterator[list[bool]]:
    """What happens inside may be killed; whether it was."""
    was: list[bool] = []
    try:
        yield was
    except BaseExceptionGroup as group:
        if group.split(Killed)[1] is not None:
            raise
        was.append(True)
    except Killed:
        was.append(True)


async def work(platform: Platform, time: Time, airflow: Airflow | None = None, beat: float = 3600) -> None:
    await finished(server(platform, time, airflow, beat).work_on_all())


async def test_every_member_is_done_and_has_a_result(tmp_path: Path) -> None:
    """The instances keep the batch, the audit log has the person, and nothing is left to do."""
    time, airflow = Time(), Airflow()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        ids = await live(platform, 12)
        batch = await batch_of(platform, ids)
        await work(platform, time, airflow)

        assert await outcome(platform, batch) == ("done", {"done": 12}, ["done"] * 12)
        assert [await gates(platform, each) for each in ids] == [["held"]] * 12
        (record,) = await platform.ledger.actions.of_instance(ids[3])
        assert (record.by, record.reason, record.about) == ("ada", "a mistake", {"batch": batch.id})
        assert sorted(airflow.told) == sorted(("ada", "cch_held", each) for each in ids)
        assert await platform.ledger.batches.active(time()) == []


async def test_what_does_not_match_any_more_is_skipped_and_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    """Each with its reason; the others are done."""
    time = Time()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        done, ended, held = await live(platform, 3)
        await platform.ledger.instances.end(ended, "completed", time())
        instance = await platform.ledger.instances.head(held)
        assert instance is not None
        await hold(platform, instance, by="bob")
        batch = await batch_of(platform, [done, ended, held, "nobody"], wanted=Wanted(statuses=("running",)))
        await work(platform, time)

        results = {each.instance: each for each in await platform.ledger.batches.results(batch.id)}
        assert {name: each.result for name, each in results.items()} == {
            done: "done", ended: "skipped", held: "refused", "nobody": "skipped",
        }  # fmt: skip
        assert results[ended].reason == "it is completed and does not match the search any more"
        assert "held already" in results[held].reason
        assert "by bob" in results[held].reason


async def test_failed_instances_are_retried_from_where_they_have_failed(tmp_path: Path) -> None:
    """No node is named: each knows its own. One that somebody has mended meanwhile is left alone."""
    time, airflow = Time(), Airflow()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        worlds = [await failed(platform) for _ in range(3)]
        batch = await batch_of(platform, [world.instance for world in worlds], "retry", wanted=FAILED)
        await platform.ledger.instances.reopen(worlds[1].instance, 1)
        await work(platform, time, airflow)

        assert (await outcome(platform, batch))[2] == ["done", "skipped", "done"]
        (record,) = await platform.ledger.actions.of_instance(worlds[0].instance)
        assert (record.kind, record.about) == ("retried", {"node": "Ask", "batch": batch.id})
        assert airflow.tasks.revived == [True, True]
        worlds[0].go_on()
        await worlds[0].reply(await worlds[0].one_open("a#ask"))
        await worlds[0].reply(await worlds[0].one_open("a#then"))
        assert await finished(worlds[0].has_ended()) == ["Ask", "Then", "E"]


async def test_whose_time_was_up_is_retried_where_it_waited(tmp_path: Path) -> None:
    """It has failed at no node."""
    clock = ManualClock(1_767_600_000_000)
    text = FIRST.replace("entry_point", "timeout: 1h\nentry_point", 1)
    async with waiting(tmp_path, text=text, clock=clock) as (world, request):
        clock.advance(3601)
        world.go_on()
        assert world.running is not None
        await finished(world.running)
        batch = await batch_of(world.platform, [world.instance], "retry", wanted=replace(FAILED, since=1))
        await work(world.platform, Time())

        (result,) = await world.platform.ledger.batches.results(batch.id)
        assert (result.result, result.reason) == ("done", "")
        world.go_on()
        again = await world.one_open("a#ask")
        assert again.command_id != request.command_id


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
async def test_a_death_at_any_call_retries_nothing_twice(tmp_path: Path, lost: bool) -> None:
    """Another server finishes the batch: the instance is retried once, and its result is that it was."""
    for at in range(1, 200):
        time, shared, folder = Time(), FragileStore(), tmp_path / f"{at}"
        folder.mkdir()
        async with open_memory_platform(folder, FIRST, store=shared, clock=time) as platform:
            world = await failed(platform)
            batch = await batch_of(platform, [world.instance], "retry", wanted=FAILED)
            dying = killing(shared, at, lost=lost)
            async with open_memory_platform(folder, store=dying, clock=time) as other:
                with killed() as was:
                    await work(other, time)
            time.now += LEASE + 1
            airflow = Airflow()
            await finish_interrupted(platform, airflow.tasks, patience=0)
            await dispatched(platform, world.instance)
            await work(platform, time, airflow)

            assert await outcome(platform, batch) == ("done", {"done": 1}, ["done"]), at
            assert len(await platform.ledger.actions.of_instance(world.instance)) == 1
            assert (await world.view()).instance.amendments.count == 1
            assert await gates(platform, world.instance) == []
            assert await platform.ledger.batches.active(time()) == []
            if not was:
                break
    else:
        pytest.fail("the batch never came through")


async def dispatched(platform: Platform, instance_id: str) -> None:
    """What the dispatcher does to an instance that was opened again, and whose run has not begun again."""
    if not await platform.ledger.actions.of_instance(instance_id):
        await platform.ledger.instances.end(instance_id, "failed", platform.clock(), "its run has failed")


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("kind", ["hold", "release", "cancel"])
async def test_a_death_at_any_call_finishes_what_was_begun(tmp_path: Path, kind: str, lost: bool) -> None:
    """Two members: each is done, is said to be done, and has one record of it."""
    for at in range(1, 200):
        time, shared = Time(), FragileStore()
        async with open_memory_platform(tmp_path, FIRST, store=shared, clock=time) as platform:
            ids = await live(platform, 2)
            if kind == "release":
                for each in ids:
                    instance = await platform.ledger.instances.head(each)
                    assert instance is not None
                    await hold(platform, instance, by="bob")
            batch = await batch_of(platform, ids, kind, wanted=Wanted(statuses=("running",)))
            async with open_memory_platform(tmp_path, store=killing(shared, at, lost=lost), clock=time) as other:
                with killed() as was:
                    await work(other, time)
            time.now += LEASE + 1
            await work(platform, time)

            assert await outcome(platform, batch) == ("done", {"done": 2}, ["done"] * 2), at
            for each in ids:
                records = [r.kind for r in await platform.ledger.actions.of_instance(each)]
                head = await platform.ledger.instances.head(each)
                assert head is not None
                expected = {"hold": (["held"], 1), "release": (["held", "released"], 0), "cancel": ([], 0)}[kind]
                assert (sorted(records), len(head.closed)) == expected
                assert head.status == ("cancelled" if kind == "cancel" else "running")
            if not was:
                break
    else:
        pytest.fail("the batch never came through")


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
async def test_a_batch_is_there_with_all_of_its_members_or_not_at_all(tmp_path: Path, lost: bool) -> None:
    """Whoever confirms it may die at any call, and confirm it again under the same id."""
    for at in range(1, 20):
        time, shared = Time(), FragileStore()
        async with open_memory_platform(tmp_path, store=shared, clock=time) as platform:
            ids = await live(platform, 3)
            batch = Batch(
                id="b", state="running", action={"kind": "hold"}, search={"wanted": {}}, by="ada", created=time(),
                total=3, rate=1000.0,
            )  # fmt: skip
            async with open_memory_platform(tmp_path, store=killing(shared, at, lost=lost), clock=time) as other:
                with killed() as was:
                    await other.ledger.batches.create(batch, ids)
            time.now += 1
            found = await platform.ledger.batches.get("b")
            assert found is None or await platform.ledger.batches.members(found) == ids
            await platform.ledger.batches.create(batch, ids)
            assert [each.id for each in (await platform.ledger.batches.latest(10))[0]] == ["b"]
            await work(platform, time)
            assert (await outcome(platform, batch))[0] == "done"
            if not was:
                break
    else:
        pytest.fail("it was never confirmed")


async def test_of_several_servers_one_works_on_it(tmp_path: Path) -> None:
    """The others find its lease; each member has one record."""
    time, airflow = Time(), Airflow()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        ids = await live(platform, 20)
        batch = await batch_of(platform, ids)
        await asyncio.gather(*(work(platform, time, airflow) for _ in range(3)))

        assert await outcome(platform, batch) == ("done", {"done": 20}, ["done"] * 20)
        assert len(airflow.told) == 20
        found = await platform.ledger.batches.get(batch.id)
        assert found is not None
        assert found.turns == 1


@pytest.mark.parametrize("where", ["before its gate", "behind its gate"])
async def test_who_has_slept_for_longer_than_its_lease_does_nothing_twice(tmp_path: Path, where: str) -> None:
    """Another server has taken the batch over, and does the member that the first one had begun."""
    time, shared = Time(), FragileStore()
    async with (
        open_memory_platform(tmp_path, FIRST, store=shared, clock=time) as platform,
        open_memory_platform(tmp_path, store=FragileStore(shared), clock=time) as sleepy,
    ):
        world = await failed(platform)
        batch = await batch_of(platform, [world.instance], "retry", wanted=FAILED)
        airflow, others, loop = Airflow(), Airflow(), asyncio.get_running_loop()

        async def others_sleep(seconds: float) -> None:
            await time.sleep(seconds)
            await finish_interrupted(platform, others.tasks, patience=0)
            await dispatched(platform, world.instance)
            await asyncio.sleep(0.001)

        async def meanwhile() -> None:
            time.now += LEASE + 1
            await BatchRunner(platform, others, replace(tempo(time), sleep=others_sleep)).work_on_all()

        if where == "behind its gate":
            airflow.tasks.before = lambda: asyncio.run_coroutine_threadsafe(meanwhile(), loop).result()
        else:
            close = sleepy.ledger.gates.close

            async def closed(instance_id: str, gate: Gate, reopening: Reopening | None = None) -> int:
                await meanwhile()
                return await close(instance_id, gate, reopening)

            sleepy.ledger.gates.close = closed  # type: ignore[method-assign]
        await work(sleepy, time, airflow)
        await finish_interrupted(platform, others.tasks, patience=0)

        assert await outcome(platform, batch) == ("done", {"done": 1}, ["done"])
        assert len(await platform.ledger.actions.of_instance(world.instance)) == 1
        assert (await world.view()).instance.amendments.count == 1
        assert others.tasks.revived == [True]
        assert airflow.tasks.revived == []


async def test_it_is_paused_resumed_and_stopped_between_two_members(tmp_path: Path) -> None:
    """What is being done is finished; what is left stays as it is, and is counted as left."""
    time = Time()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        ids = await live(platform, 30)
        batch = await batch_of(platform, ids)
        batches, airflow = platform.ledger.batches, Airflow()
        loop = asyncio.get_running_loop()
        audit = airflow.audit

        def steer(when: int, state: str) -> None:
            def told(*given: object) -> None:
                audit(*given)  # type: ignore[arg-type]
                if len(airflow.told) == when:
                    asyncio.run_coroutine_threadsafe(steered(state), loop).result()

            airflow.audit = told  # type: ignore[method-assign]

        async def steered(state: str) -> None:
            found = await batches.get(batch.id)
            assert found is not None
            assert await batches.steer(found, state, time()) is not None  # type: ignore[arg-type]

        steer(5, "paused")
        await work(platform, time, airflow, beat=0)
        state, counts, _ = await outcome(platform, batch)
        paused = counts["done"]
        await work(platform, time, airflow, beat=0)
        assert state == "paused"
        assert 5 <= paused == len(airflow.told) < 30

        await steered("running")
        steer(paused + 5, "stopped")
        await work(platform, time, airflow, beat=0)
        found = await batches.get(batch.id)
        assert found is not None
        assert found.state == "stopped"
        assert found.ended == time()
        assert paused + 5 <= found.counts["done"] == len(airflow.told) < 30
        assert found.left == 30 - found.counts["done"]
        assert await batches.active(time()) == []


async def test_it_keeps_its_rate(tmp_path: Path) -> None:
    """Two a second: between two of them half a second is waited for."""
    time = Time()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        batch = await batch_of(platform, await live(platform, 4), rate=2.0)
        await work(platform, time)

        assert (await outcome(platform, batch))[0] == "done"
        assert [seconds for seconds in time.slept if seconds < 3600] == [0.5, 0.5, 0.5]


async def test_what_is_busy_is_tried_again_later_and_given_up_at_last(tmp_path: Path) -> None:
    """The others do not wait for it; in the end its result says what it waited for."""
    time, airflow = Time(), Airflow()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        first, second = await failed(platform), await failed(platform)
        busy = {"left": 2}

        def before() -> None:
            if busy["left"]:
                busy["left"] -= 1
                raise RunBusyError("Ask is on a worker")

        airflow.tasks.before = before
        batch = await batch_of(platform, [first.instance], "retry", node="Ask")
        await work(platform, time, airflow)
        assert await outcome(platform, batch) == ("done", {"done": 1}, ["done"])
        assert [seconds for seconds in time.slept if 1 <= seconds < 3600] == [1.0, 2.0]

        busy["left"] = 1000
        batch = await batch_of(platform, [second.instance], "retry", node="Ask")
        await work(platform, time, airflow)
        assert (await outcome(platform, batch))[2] == ["refused"]
        (result,) = await platform.ledger.batches.results(batch.id)
        assert result.reason == "Ask is on a worker"


async def test_an_outage_loses_nothing(tmp_path: Path) -> None:
    """The table is away in the middle: the batch rests, and goes on when the lease has run out."""
    time, shared = Time(), FragileStore()
    async with open_memory_platform(tmp_path, FIRST, store=shared, clock=time) as platform:
        ids = await live(platform, 10)
        batch = await batch_of(platform, ids)
        airflow = Airflow()
        audit = airflow.audit

        def told(*given: object) -> None:
            audit(*given)  # type: ignore[arg-type]
            if len(airflow.told) == 4:
                shared.broken = True

        airflow.audit = told  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup):
            await work(platform, time, airflow)
        shared.broken = False
        time.now += LEASE + 1
        await work(platform, time)

        assert await outcome(platform, batch) == ("done", {"done": 10}, ["done"] * 10)
        for each in ids:
            assert [record.kind for record in await platform.ledger.actions.of_instance(each)] == ["held"]


async def test_a_server_finds_batches_by_itself(tmp_path: Path) -> None:
    """It looks again and again; when it ends, it gives its lease back."""
    time = Time()
    async with open_memory_platform(tmp_path, FIRST, clock=time) as platform:
        runner = server(platform, time)
        running = asyncio.create_task(runner.run())
        batch = await batch_of(platform, await live(platform, 3))
        runner.call()

        async def ended() -> None:
            while (await outcome(platform, batch))[0] != "done":
                await asyncio.sleep(0.001)

        await finished(ended())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_audit_finds_batches_that_do_not_add_up(tmp_path: Path) -> None:
    """A batch that no server looks for, and one that is done without all of its results; others are no finding."""
    time, store = Time(), FragileStore()
    async with open_memory_platform(tmp_path, FIRST, store=store, clock=time) as platform:
        ids = await live(platform, 4)
        done = await batch_of(platform, ids[:2])
        await work(platform, time)
        waits = await batch_of(platform, ids[2:])

        async def findings() -> list[str]:
            found = await audit(platform.ledger, platform.plans.of, pause=0)
            return [finding.where for finding in found.findings if finding.where.startswith("BATCH")]

        assert await findings() == []
        await platform.ledger.batches.settled(waits.id)
        await store.delete((f"BATCH#{done.id}", "RESULT#0000001"))
        assert sorted(await findings()) == sorted([f"BATCH#{done.id}", f"BATCH#{waits.id}"])
