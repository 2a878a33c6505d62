"""Moving an instance to another version: at once with everything else, and over any crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from faults import Died, FragileStore
from tests.patience import finished
from world import World, eventually, open_memory_platform

from cch.definition.model import Definition
from cch.graph.checks import check
from cch.graph.plan import Plan
from cch.ledger.gates import GateTakenError
from cch.ledger.records import ENDED, RequestRecord
from cch.runtime.move_plan import MoveRefusedError
from cch.runtime.moving import MoveWish, finish_interrupted, go_on, move, preview
from cch.runtime.platform import Platform
from cch.runtime.progress import live_regions
from cch.runtime.task_wishes import RunBusyError, RunGoneError, RunWish

FIRST = """
workflow_id: moved
workflow_name: Before
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Then, error_reply: failure}
  Then: {type: async_request, capability_id: a#then, on_response: E, error_reply: failure}
  E: {type: end}
"""
#: ``Ask`` may be called ``Enquire``; behind it something is set, and an event is waited for instead of ``Then``.
SECOND = """
workflow_id: moved
workflow_name: After
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Set, error_reply: failure}
  Set: {type: set_state, static_outputs: {set: true}, on_success: Wait}
  Wait: {type: event_wait, event_key: go, on_event: E}
  E: {type: end}
"""
RENAMED = SECOND.replace("Ask", "Enquire")


class Tables:
    """Airflow's tables in memory. ``before``: called while the run is locked, before it is changed."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.before = before
        self.wishes: list[RunWish] = []

    def prepare(self, dag_id: str, version: str) -> None:
        pass

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish | None]) -> None:
        if self.before is not None:
            self.before()
        wish = work()
        assert wish is not None
        self.wishes.append(wish)


class Moved(World):
    """An instance whose regions run like Airflow's tasks do, by whatever version it has."""

    def version(self, text: str) -> Definition:
        definition, problems = check(text, "d.yaml")
        assert definition is not None, problems
        return definition

    def wish(self, text: str = SECOND, **renamed: str) -> MoveWish:
        definition = self.version(text)
        self.platform.catalogue.keep(definition)  # as for every version that was served
        return MoveWish(definition=definition, renamed=renamed, by="ada", reason="a mistake")

    async def plan_now(self) -> Plan:
        plan = await self.platform.plans.of((await self.view()).instance)
        assert plan is not None
        return plan

    async def run(self) -> None:
        """Execute every region that has something to do, until the instance has ended."""
        running: dict[str, asyncio.Task[Any]] = {}
        try:
            running["first"] = asyncio.create_task(self.execute(self.definition.entry_point, "t-Ask"))
            while (view := await self.view()).instance.status not in ENDED:
                if view.instance.structure_digest:
                    amendments = view.instance.amendments
                    for head in live_regions(await self.plan_now(), view):
                        name = f"t-{amendments.recorded(head)}"
                        if name not in running or running[name].done():
                            running[name] = asyncio.create_task(self.execute(head, name))
                await asyncio.sleep(0.005)
        finally:
            for task in running.values():
                task.cancel()

    async def asked(self) -> list[RequestRecord]:
        return await self.platform.ledger.requests_of((await self.view()).instance)

    async def one_open(self, source: str) -> RequestRecord:
        found: list[RequestRecord] = []

        async def look() -> bool:
            found[:] = [r for r in await self.asked() if r.source == source and r.state == "open" and r.sent_at]
            return bool(found)

        await eventually(look)
        return found[0]

    async def reply(self, request: RequestRecord) -> None:
        queue = await self.platform.queues.find(self.platform.settings.names.reply_queue)
        assert queue is not None
        command = {
            "type": "ASYNC_RESP", "id": f"r-{request.command_id}", "source": f"Capability:{request.source}",
            "timestamp": "2026-01-05T08:00:00Z", "status": "SUCCESS", "payload": {"answered": request.node},
            "inReplyTo": request.command_id,
        }  # fmt: skip
        await queue.send(json.dumps({"workflowInstanceId": self.instance, "command": command}))

    async def has_ended(self) -> list[str]:
        async def look() -> bool:
            return (await self.view()).instance.status in ENDED

        await eventually(look)
        assert (await self.view()).instance.status == "completed", (await self.view()).instance.reason
        return await self.visited()


@asynccontextmanager
async def waiting(tmp_path: Path, store: FragileStore | None = None) -> AsyncIterator[tuple[Moved, RequestRecord]]:
    """An instance of the first version that waits for the reply to its first request."""
    async with open_memory_platform(tmp_path, FIRST, store=store) as platform:
        world = Moved(platform, FIRST)
        await world.create()
        running = asyncio.create_task(world.run())
        try:
            yield world, await world.one_open("a#ask")
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def gates(platform: Platform, instance: str) -> list[str]:
    head = await platform.ledger.instances.head(instance)
    assert head is not None
    return [gate.kind for gate in head.closed]


async def test_what_waits_goes_on_by_the_other_version(tmp_path: Path) -> None:
    """The open request is kept and answered; behind it come the nodes of the version, and what was done is told."""
    async with waiting(tmp_path) as (world, request):
        tables = Tables()
        planned = await move(world.platform, tables, world.instance, world.wish())
        await world.reply(request)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})
        visited = await finished(world.has_ended())

        (record,) = await world.platform.ledger.instances.move_records(world.instance)
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
        with pytest.raises(MoveRefusedError, match=words):
            await move(world.platform, Tables(), world.instance, world.wish(text))
        assert await gates(world.platform, world.instance) == []


@pytest.mark.parametrize("error", [RunBusyError("Ask is on a worker"), RunGoneError("there is no run")])
async def test_what_airflow_cannot_change_now_stays_as_it_is(tmp_path: Path, error: Exception) -> None:
    """The gate is open again, and the instance ends by its own version."""

    def refuse() -> None:
        raise error

    async with waiting(tmp_path) as (world, request):
        with pytest.raises((RunBusyError, MoveRefusedError)):
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
        assert "moving already" in told[0]
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
            other.ledger.instances.rebind = dying(other.ledger.instances.rebind)  # type: ignore[method-assign]
            with pytest.raises(Died):
                await move(other, Tables(), world.instance, world.wish())

        assert await finish_interrupted(world.platform, Tables()) == 0
        assert await gates(world.platform, world.instance) == ["moving"]
        assert await finish_interrupted(world.platform, Tables(), patience=0) == 1
        assert await gates(world.platform, world.instance) == []
        assert await finish_interrupted(world.platform, Tables(), patience=0) == 0
        await world.reply(request)
        await eventually(lambda: world.platform.ledger.waits.of_box(request.box))
        await world.event({"go": 1})
        assert await finished(world.has_ended()) == ["Ask", "Set", "Wait", "E"]


def dying(work: Callable[..., Any]) -> Callable[..., Any]:
    """Does the work, and dies before anybody learns of it."""

    async def die(*given: Any) -> Any:
        await work(*given)
        raise Died

    return die
