"""The ``timeout`` of a whole workflow: its end, and what moves it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from changed import FIRST, Moved, Tables, waiting
from faults import FragileStore
from scripted import ManualClock
from tests.patience import finished
from world import eventually

from cch.ledger.records import ENDED, Instance, RequestRecord
from cch.runtime.deadlines import Deadlines
from cch.runtime.journaling import StoppedError
from cch.runtime.mending import apply, decide, hold, release, retry
from cch.runtime.moving import move

HOUR = 3_600_000
START = 1_767_600_000_000
LIMITED = FIRST.replace("entry_point", "timeout: 1h\nentry_point", 1)
REASON = "the workflow's timeout of 3600 s is up"
BRANCHES = """
workflow_id: moved
workflow_name: All that waits
timeout: 1h
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Split, error_reply: failure}
  Split: {type: fork, branches: [Wait, Date, Map, Again]}
  Wait: {type: event_wait, event_key: go, on_event: Wait_End}
  Wait_End: {type: end_branch}
  Date:
    type: scheduled_request
    schedule_parameters: {date_context_key: date}
    capability_id: a#date
    on_success: Date_End
    on_response: Date_End
  Date_End: {type: end_branch}
  Map: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Each, on_failure: Map_End}
  Each: {type: async_request, capability_id: a#each, on_response: Each_End}
  Each_End: {type: end_branch}
  Map_End: {type: end_branch}
  Again:
    type: async_request
    capability_id: a#again
    retry: {max_attempts: 3, delay: 2d}
    on_response: Again_End
    error_reply: failure
  Again_End: {type: end_branch}
  All: {type: join, join_branches: [Wait, Map, Date, Again], on_success: E}
  E: {type: end}
"""


def limited(
    tmp_path: Path, clock: ManualClock, text: str = LIMITED, store: FragileStore | None = None
) -> AbstractAsyncContextManager[tuple[Moved, RequestRecord]]:
    return waiting(tmp_path, store, text=text, clock=clock)


async def head(world: Moved) -> Instance:
    found = await world.platform.ledger.instances.head(world.instance)
    assert found is not None
    return found


async def ended(world: Moved) -> Instance:
    async def look() -> bool:
        return (await head(world)).status in ENDED

    await finished(eventually(look))
    return await head(world)


async def test_an_instance_fails_when_its_time_is_up(tmp_path: Path) -> None:
    """What it waits for is closed, its task fails with the reason, and a reply is late."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, request):
        assert (await head(world)).due == START + HOUR
        clock.advance(3601)
        world.go_on()

        assert ((await ended(world)).status, (await head(world)).reason) == ("failed", REASON)
        closed = await world.platform.ledger.requests.get(request.command_id)
        assert closed is not None
        assert closed.state == "superseded"
        end = await world.tasks["t-Ask"]
        assert (end.state, end.reason) == ("failed", REASON)


async def test_the_time_between_two_steps_counts_too(tmp_path: Path) -> None:
    """Nothing is sent any more by a task that begins, or comes to its next step, too late."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, request):
        clock.advance(3600)
        await world.reply(request)

        assert (await ended(world)).status == "failed"
        assert [each.source for each in await world.asked() if each.sent_at] == ["a#ask"]


async def test_an_instance_without_a_limit_takes_as_long_as_it_likes(tmp_path: Path) -> None:
    """As one of an earlier release, over whose limit Airflow watches."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock, FIRST) as (world, request):
        clock.advance(10 * 86_400)
        world.go_on()
        await world.reply(request)
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]


async def test_whatever_waits_notices(tmp_path: Path) -> None:
    """A wait for an event, for a date that is far away, items of a map, and a pause between two attempts."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock, BRANCHES) as (world, request):
        await world.reply(request, date="2027-01-01T00:00:00Z", items=[{"id": "one"}, {"id": "two"}])
        await world.one_open("a#each")
        await world.reply(await world.one_open("a#again"), status="ERROR")

        async def all_wait() -> bool:
            asked = await world.asked()
            boxes = await world.platform.ledger.boxes(await head(world))
            waits = [wait for box in boxes for wait in await world.platform.ledger.waits.of_box(box)]
            items = [each for each in asked if each.source == "a#each" and each.sent_at]
            return len(items) == 2 and bool(waits) and any(each.state == "answered" for each in asked)

        await eventually(all_wait)
        clock.advance(3601)
        before = dict(world.tasks)
        world.go_on()

        assert (await ended(world)).status == "failed"
        assert before, "regions were running"
        later = {head: await world.execute(head, f"t-{head}") for head in ("Wait", "Date", "Map", "Again")}
        assert {(end.state, end.reason) for end in later.values()} == {("failed", REASON)}
        assert not [each for each in await world.asked() if each.state == "open"]


async def test_a_held_instance_has_as_much_time_as_before(tmp_path: Path) -> None:
    """The limit moves by the length of each hold, once."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, request):
        for _ in range(2):
            clock.advance(600)
            await hold(world.platform, await head(world), by="ada")
            clock.advance(2 * 86_400)
            world.go_on()
            await asyncio.sleep(0.05)
            assert (await head(world)).status == "running"
            await release(world.platform, await head(world), by="ada")

        assert (await head(world)).due == START + HOUR + 4 * 86_400_000
        clock.advance(2401)
        world.go_on()
        assert (await ended(world)).reason == REASON
        assert request.node == "Ask"


async def test_a_task_that_is_cleared_later_has_the_whole_time_again(tmp_path: Path) -> None:
    """As a run that Airflow clears."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, _):
        clock.advance(3601)
        world.go_on()
        await ended(world)
        assert world.running is not None
        await world.running

        clock.advance(86_400)
        world.tasks["t-Ask"] = asyncio.create_task(world.execute("Ask", "u-Ask"))
        await world.reply(await world.one_open("a#ask"))
        assert (await world.tasks["t-Ask"]).state == "success"

        assert (await head(world)).due == START + HOUR + 3_601_000 + 86_400_000
        assert (await head(world)).status == "running"


@pytest.mark.parametrize("way", ["retried", "decided"])
async def test_what_was_under_way_is_mended_after_the_end(tmp_path: Path, way: str) -> None:
    """The node that waited is asked again, or decided; the instance has the whole time again."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, request):
        clock.advance(3601)
        world.go_on()
        await ended(world)

        mend = retry("Ask", by="ada") if way == "retried" else decide("Ask", "skipped", by="ada", now=clock())
        await apply(world.platform, Tables(), world.instance, mend)
        world.go_on()
        if way == "retried":
            again = await world.one_open("a#ask")
            assert again.command_id != request.command_id
            await world.reply(again)
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        ("timeout: 1h", "timeout: 3h", START + 3 * HOUR),
        ("timeout: 1h", "description: none", 0),
        ("description: none", "timeout: 3h", START + 600_000 + 3 * HOUR),
    ],
)
async def test_a_moved_instance_has_the_time_of_its_new_version(
    tmp_path: Path, before: str, after: str, due: int
) -> None:
    """Counted from its beginning; from now, if it had all the time."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock, FIRST.replace("entry_point", f"{before}\nentry_point", 1)) as (world, _):
        clock.advance(600)
        text = FIRST.replace("entry_point", f"{after}\nentry_point", 1)
        await move(world.platform, Tables(), world.instance, world.wish(text))

        assert (await head(world)).due == due


async def test_a_wrong_clock_ends_no_instance(tmp_path: Path) -> None:
    """It is an hour ahead of the table's."""
    clock = ManualClock(START)
    store = FragileStore()

    async def table_time() -> int:
        return START

    store.server_time = table_time  # type: ignore[method-assign]
    async with limited(tmp_path, clock, store=store) as (world, request):
        clock.advance(3700)
        world.go_on()
        await asyncio.sleep(0.1)

        assert (await head(world)).status == "running"
        assert request.state == "open"


async def test_a_node_whose_own_time_is_up_at_the_same_moment_times_out(tmp_path: Path) -> None:
    """Its way for that is the more special one; whatever it leads to finds that the instance's time is up."""
    clock = ManualClock(START)
    async with limited(tmp_path, clock) as (world, _):
        clock.advance(3600)
        deadlines = Deadlines(clock, world.platform.ledger.store, START + HOUR)

        assert await deadlines.expires(asyncio.Event(), START + HOUR)
        with pytest.raises(StoppedError):
            await deadlines.expires(asyncio.Event(), START + HOUR + 1)
        with pytest.raises(StoppedError):
            await deadlines.sleep_until(START + HOUR + 1)
