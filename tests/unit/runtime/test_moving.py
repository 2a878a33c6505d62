"""Moving an instance to another version: at once with everything else, and over any crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from changed import FIRST, RENAMED, SECOND, Moved, Tables, gates, waiting
from faults import Died, FragileStore
from tests.patience import finished
from world import eventually, open_memory_platform

from cch.capabilities import sync_capability
from cch.definition.version import parse_version
from cch.graph.planners import planner_for, version_of
from cch.ledger.gates import GateTakenError
from cch.runtime.changing import finish_interrupted, go_on
from cch.runtime.moving import move, preview
from cch.runtime.standing_still import RefusedChangeError
from cch.runtime.task_wishes import RunBusyError, RunGoneError


async def test_what_waits_goes_on_by_the_other_version(tmp_path: Path) -> None:
    """The open request is kept and answered; behind it come the nodes of the version, and what was done is told."""
    async with waiting(tmp_path) as (world, request):
        tables = Tables()
        planned = await move(world.platform, tables, world.instance, world.wish())
        await world.reply(request)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})
        visited = await finished(world.has_ended())

        (record,) = await world.platform.ledger.actions.of_instance(world.instance)
        assert (planned.before, planned.after) == (("Ask",), ("Ask",))
        assert visited == ["Ask", "Set", "Wait", "E"]
        assert [each.command_id for each in await world.asked()] == [request.command_id]
        assert (record.by, record.reason, record.before) == ("ada", "a mistake", ("Ask",))
        assert {name: wish.wish for name, wish in tables.wishes[0].tasks.items()} == {
            "Ask": "run", "Set": "open", "Wait": "open", "E": "open",
        }  # fmt: skip


async def test_a_renamed_node_keeps_its_request(tmp_path: Path) -> None:
    """The capability is not asked again, and the history says the name of today."""
    async with waiting(tmp_path) as (world, request):
        tables = Tables()
        await move(world.platform, tables, world.instance, world.wish(RENAMED, Ask="Enquire"))
        await world.reply(request)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})
        await finished(world.has_ended())

        flow = (await world.view()).outcomes()
        assert {outcome.node for outcome in flow} >= {"Enquire", "Set", "Wait"}
        assert [each.command_id for each in await world.asked()] == [request.command_id]
        assert tables.wishes[0].renamed == {"Ask": "Enquire"}


async def test_a_node_that_is_gone_is_asked_no_more(tmp_path: Path) -> None:
    """Its request is superseded, its reply is late, and the token goes where the way before it leads now."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        then = await world.one_open("a#then")
        await move(world.platform, Tables(), world.instance, world.wish())
        await world.reply(then)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})

        assert await finished(world.has_ended()) == ["Ask", "Set", "Wait", "E"]
        closed = await world.platform.ledger.requests.get(then.command_id)
        assert closed is not None
        assert closed.state == "superseded"


#: Calls ``b#call`` in the triggerer; in the version after it, other calls come first in the order of their names.
CALLING = FIRST.replace(
    "Then: {type: async_request, capability_id: a#then, on_response: E, error_reply: failure}",
    """\
Then: {type: sync_call, capability_id: b#call, on_success: E}""",
)
CALLING_MORE = """
workflow_id: moved
workflow_name: After
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Then, error_reply: failure}
  Then: {type: sync_call, capability_id: b#call, on_success: More}
  More: {type: sync_call, capability_id: a#more, on_success: E}
  E: {type: end}
"""


async def test_calls_stay_where_they_are_made(tmp_path: Path) -> None:
    """The number of a planner says that by places in the text: it is another one for another text."""
    sync_capability("a#more")(lambda _: {})
    sync_capability("b#call")(lambda _: {})
    async with waiting(tmp_path, text=CALLING, awaited=frozenset({"b#call"})) as (world, request):
        tables = Tables()
        assert (await world.plan_now()).regions["Then"].kind == "wait"
        await move(world.platform, tables, world.instance, world.wish(CALLING_MORE))
        plan = await world.plan_now()
        await world.reply(request)
        await finished(world.has_ended())

        instance = (await world.view()).instance
        assert {head: region.kind for head, region in plan.regions.items()} == {
            "Ask": "wait", "Then": "wait", "More": "call",
        }  # fmt: skip
        assert instance.planner == planner_for(world.version(CALLING_MORE), {"b#call"}) == 514
        assert tables.wishes[0].version == str(instance.version)
        (record,) = await world.platform.ledger.actions.of_instance(world.instance)
        assert parse_version(record.came_from) == version_of(world.version(CALLING), {"b#call"})


async def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    """It says the same as the move does then."""
    async with waiting(tmp_path) as (world, _):
        before = world.platform.ledger.store
        content = dict(before.content()) if isinstance(before, FragileStore) else {}
        planned = await preview(world.platform, world.instance, world.wish())

        assert (planned.before, planned.after) == (("Ask",), ("Ask",))
        assert await gates(world.platform, world.instance) == []
        assert not isinstance(before, FragileStore) or dict(before.content()) == content


@pytest.mark.parametrize(
    ("text", "words"),
    [(FIRST, "runs that version already"), (SECOND.replace("id: moved", "id: other"), "is one of other")],
)
async def test_a_move_to_nowhere_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The version that it runs, or one of another workflow."""
    async with waiting(tmp_path) as (world, _):
        with pytest.raises(RefusedChangeError, match=words):
            await move(world.platform, Tables(), world.instance, world.wish(text))
        assert await gates(world.platform, world.instance) == []


@pytest.mark.parametrize("error", [RunBusyError("Ask is on a worker"), RunGoneError("there is no run")])
async def test_what_airflow_cannot_change_now_stays_as_it_is(tmp_path: Path, error: Exception) -> None:
    """The gate is open again, and the instance ends by its own version."""

    def refuse() -> None:
        raise error

    async with waiting(tmp_path) as (world, request):
        with pytest.raises((RunBusyError, RefusedChangeError)):
            await move(world.platform, Tables(refuse), world.instance, world.wish())
        assert await gates(world.platform, world.instance) == []
        await world.reply(request)
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]


async def test_of_two_people_one_is_told(tmp_path: Path) -> None:
    """Who comes second learns that the instance is being moved, and nothing of theirs happens."""
    async with waiting(tmp_path) as (world, _):
        loop = asyncio.get_running_loop()
        told: list[str] = []

        async def second() -> None:
            try:
                await move(world.platform, Tables(), world.instance, world.wish(RENAMED, Ask="Enquire"))
            except GateTakenError as taken:
                told.append(str(taken))

        def meanwhile() -> None:
            asyncio.run_coroutine_threadsafe(second(), loop).result()

        await move(world.platform, Tables(meanwhile), world.instance, world.wish())
        assert "changing already" in told[0]
        assert "by ada" in told[0]


async def test_a_reply_in_the_same_moment_is_used_once(tmp_path: Path) -> None:
    """It comes behind the closed gate: the request is answered, and the other version takes the answer."""
    async with waiting(tmp_path) as (world, request):
        loop = asyncio.get_running_loop()

        async def answered() -> None:
            await world.reply(request)

            async def look() -> bool:
                found = await world.platform.ledger.requests.get(request.command_id)
                return found is not None and found.state == "answered"

            await eventually(look)

        def meanwhile() -> None:
            asyncio.run_coroutine_threadsafe(answered(), loop).result()

        await move(world.platform, Tables(meanwhile), world.instance, world.wish())
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})

        assert await finished(world.has_ended()) == ["Ask", "Set", "Wait", "E"]
        assert len(await world.asked()) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
async def test_a_death_at_any_call_leaves_it_moved_or_not(tmp_path: Path, lost: bool) -> None:
    """Whoever finds the closed gate opens it or finishes the move; the instance ends once, by one of the versions."""
    ways: set[tuple[str, ...]] = set()
    for at in range(1, 200):
        store, folder = FragileStore(), tmp_path / f"{at}"
        folder.mkdir()
        async with waiting(folder, store) as (world, request):
            mover = FragileStore(store)
            async with open_memory_platform(folder, store=mover) as other:
                other.router.stop  # noqa: B018 - it moves only
                mover.arm(at, lost=lost)
                died = False
                try:
                    await move(other, Tables(), world.instance, world.wish())
                except Died:
                    died = True
            tables = Tables()
            await go_on(world.platform, tables, world.instance)
            assert await gates(world.platform, world.instance) == []
            await world.reply(request)
            await finished(carry_on(world))
            ways.add(tuple(await finished(world.has_ended())))
            assert sum(each.source == "a#ask" for each in await world.asked()) == 1
            if not died:
                break
    else:
        pytest.fail("the move never came through")
    assert ways == {("Ask", "Then", "E"), ("Ask", "Set", "Wait", "E")}


async def carry_on(world: Moved) -> None:
    """Answer what is asked next, by whichever version."""

    async def look() -> bool:
        for each in await world.asked():
            if each.source == "a#then" and each.state == "open" and each.sent_at:
                await world.reply(each)
                return True
        instance = (await world.view()).instance
        if any(wait.state == "open" for wait in await world.platform.ledger.waits.of_box(instance.box())):
            await world.event({"go": 1})
            return True
        return False

    await eventually(look)


async def test_a_move_that_nobody_works_on_any_more_is_finished(tmp_path: Path) -> None:
    """Not before its time: somebody may be at it. Whoever died had decided, or had not."""
    store = FragileStore()
    async with waiting(tmp_path, store) as (world, request):
        mover = FragileStore(store)
        async with open_memory_platform(tmp_path, store=mover) as other:
            other.ledger.instances.amend = dying(other.ledger.instances.amend)  # type: ignore[method-assign]
            with pytest.raises(Died):
                await move(other, Tables(), world.instance, world.wish())

        assert await finish_interrupted(world.platform, Tables()) == 0
        assert await gates(world.platform, world.instance) == ["changing"]
        assert await finish_interrupted(world.platform, Tables(), patience=0) == 1
        assert await gates(world.platform, world.instance) == []
        assert await finish_interrupted(world.platform, Tables(), patience=0) == 0
        await world.reply(request)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})
        assert await finished(world.has_ended()) == ["Ask", "Set", "Wait", "E"]


def dying(work: Callable[..., Any]) -> Callable[..., Any]:
    """Does the work, and dies before anybody learns of it."""

    async def die(*given: Any, **named: Any) -> Any:
        await work(*given, **named)
        raise Died

    return die
