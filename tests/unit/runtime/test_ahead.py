"""Copies of tasks that Airflow has not let begin yet: they do the work, and the tasks find it done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from faults import Died, JostlingStore
from workflows import JOINED, definition_text
from workshop import INSTANCE, Answer, Workshop
from world import World, eventually, open_memory_platform, with_answers

from cch.errors import ServiceUnavailableError
from cch.graph.plan import plan_of
from cch.graph.planners import planner_for
from cch.identity import Box
from cch.interpreter.replay import replay
from cch.ledger.gates import Gate
from cch.ledger.records import ENDED
from cch.pauses import Pauses
from cch.runtime.ahead import Copies
from cch.runtime.cancelling import cancel
from cch.runtime.execution import execute_region
from cch.runtime.gating import hold_behind
from cch.runtime.region_task import RegionEnd

CHAIN = """
A: {type: async_request, capability_id: 'a#x', on_response: B}
B: {type: async_request, capability_id: 'a#y', on_response: C}
C: {type: async_request, capability_id: 'a#z', on_response: E}
E: {type: end}
"""
CALLS = """
A: {type: async_request, capability_id: 'a#x', on_response: B}
B: {type: sync_call, capability_id: 'a#call', on_success: E}
E: {type: end}
"""
#: With another request behind the first one after the join.
_LAST = "  Last: {type: async_request, capability_id: c#x, on_response: Done, on_failure: Done}\n"
JOINED_CHAIN = JOINED.replace(
    "c#x, on_response: Done, on_failure: Done", "c#x, on_response: Last, on_failure: Last"
).replace("  Done:", f"{_LAST}  Done:")


@dataclass
class Airflow:
    """Knows which tasks have begun. ``paused``: it lets none begin. ``answers``: it has our hook.

    Their ids are ``0-<task>``, and ``1-<task>`` once they were cleared: older than those that a cancellation writes.
    """

    begun: set[str] = field(default_factory=set)
    paused: bool = False
    answers: bool = True
    asked: list[tuple[str, ...]] = field(default_factory=list)
    cleared: Counter[str] = field(default_factory=Counter)

    async def to_come(
        self, workflow_id: str, run_id: str, task_ids: Sequence[str], rests_on: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        assert workflow_id
        assert run_id
        self.asked.append(tuple(task_ids))
        if not self.answers:
            return None
        if self.paused or any(self.id_of(task) != left for task, left in rests_on.items()):
            return {}
        return {each: self.id_of(each) for each in task_ids if each not in self.begun}

    def id_of(self, task: str) -> str:
        return f"{self.cleared[task]}-{task}"

    def clear(self, *tasks: str) -> None:
        """Each gets another id, and no state."""
        self.cleared.update(tasks)
        self.begun.difference_update(tasks)


@dataclass
class Triggerer:
    """A workshop whose process runs ahead of Airflow."""

    workshop: Workshop
    airflow: Airflow
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new process: its copies are gone."""
        self.workshop.new_process()
        self.copies = Copies(self.airflow.to_come, **self.options)
        self.workshop.platform.ahead = self.copies

    async def task(self, region: str, task_instance: str = "") -> RegionEnd:
        """Airflow lets a task begin: it takes its copy over, or executes its region."""
        self.airflow.begun.add(region)
        task = self.workshop.task(region, task_instance or self.airflow.id_of(region))
        end = await self.copies.taken_over(task.task_instance)
        return end or await execute_region(task, self.workshop.platform)

    async def begin_task(self, region: str) -> asyncio.Task[RegionEnd]:
        """The task has begun, and its request is sent."""
        asked = len(self.workshop.requests)
        task = asyncio.create_task(self.task(region))
        await eventually(lambda: len(self.workshop.requests) > asked)
        return task

    def running(self) -> list[str]:
        """The tasks whose copies run."""
        return sorted(self.copies._copies)


def made(folder: Path, nodes: str, answers: Mapping[str, Any] | None = None, **options: Any) -> Triggerer:
    workshop = Workshop(folder=folder, definitions={"w": definition_text(nodes)}, answers=answers or {})
    return Triggerer(workshop, Airflow(), options)


def silent(_: dict[str, Any]) -> Answer:
    return None


async def test_the_next_regions_run_before_their_tasks_and_the_tasks_find_them_done(tmp_path: Path) -> None:
    """The whole chain is done after its first task; the others tell Airflow the way and write nothing more."""
    triggerer = made(tmp_path, CHAIN)
    await triggerer.workshop.create()

    first = await triggerer.task("A")
    await eventually(lambda: _has_ended(triggerer))
    stored = triggerer.workshop.stored()
    others = [await triggerer.task(region) for region in ("B", "C")]

    assert [first, *others] == [
        RegionEnd(state="success", followed=(after,)) for after in ("B", "C", "E")
    ]  # fmt: skip
    assert triggerer.workshop.stored() == stored
    assert Counter(each["body"]["capability_id"] for each in triggerer.workshop.requests) == {
        "a#x": 1, "a#y": 1, "a#z": 1
    }  # fmt: skip
    assert triggerer.running() == []


async def _has_ended(triggerer: Triggerer) -> bool:
    return await triggerer.workshop.status() in ENDED


async def test_what_ran_ahead_is_recorded_as_if_the_task_had_done_it(tmp_path: Path) -> None:
    """Nobody who reads the ledger can tell whether a region ran ahead."""
    ahead, behind = made(tmp_path / "1", CHAIN), made(tmp_path / "2", CHAIN, most=0)
    for triggerer in (ahead, behind):
        await triggerer.workshop.create()
        for region in ("A", "B", "C"):
            await triggerer.task(region)

    assert ahead.workshop.stored() == behind.workshop.stored()
    assert behind.airflow.asked == []


async def test_a_task_takes_over_the_copy_that_still_waits(tmp_path: Path) -> None:
    """One request, one waiter: the task waits for the copy, however long, and ends with it."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent}, patience=0.05)
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(workshop.requests) == 2)

    task = asyncio.create_task(triggerer.task("B"))
    await asyncio.sleep(0.1)  # longer than a copy lasts that nobody has taken over
    assert not task.done()
    await workshop.reply(workshop.requests[1], "SUCCESS", {})

    assert (await task).state == "success"
    assert len([each for each in workshop.requests if each["body"]["capability_id"] == "a#y"]) == 1


async def test_a_copy_that_no_task_takes_over_ends(tmp_path: Path) -> None:
    """Its request stays open; the task, whenever it comes, goes on from it."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent}, patience=0.05)
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(workshop.requests) == 2)
    await eventually(lambda: not triggerer.running())

    task = asyncio.create_task(triggerer.task("B"))
    await asyncio.sleep(0)
    await workshop.reply(workshop.requests[1], "SUCCESS", {})

    assert (await task).state == "success"
    assert [each["body"]["capability_id"] for each in workshop.requests].count("a#y") == 1


async def test_nothing_runs_ahead_of_a_paused_dag(tmp_path: Path) -> None:
    """Airflow would let no task begin, so no copy does."""
    triggerer = made(tmp_path, CHAIN)
    triggerer.airflow.paused = True
    await triggerer.workshop.create()

    await triggerer.task("A")
    await eventually(lambda: triggerer.airflow.asked == [("B",)])
    await asyncio.sleep(0.01)

    assert triggerer.running() == []
    assert len(triggerer.workshop.requests) == 1


async def test_nothing_runs_ahead_of_a_task_of_a_worker(tmp_path: Path) -> None:
    """A call is somebody's code, which no triggerer executes."""
    triggerer = made(tmp_path, CALLS)
    await triggerer.workshop.create()

    await triggerer.task("A")
    await asyncio.sleep(0.01)

    assert triggerer.airflow.asked == []
    assert triggerer.running() == []


@pytest.mark.parametrize(
    "nodes",
    [
        (
            "B: {type: sync_call, capability_id: 'a#call', on_success: C}\n"
            "C: {type: condition, condition_on_key: again, branches: {'true': B, _default: E}}"
        ),
        (
            "B: {type: map_fork, input_list_key: list, branch_key: k, branch_entry_node: M, execution: inline}\n"
            "M: {type: map_fork, input_list_key: list, branch_key: k, branch_entry_node: I}\n"
            "I: {type: sync_call, capability_id: 'a#call', on_success: X}\nX: {type: end_branch}\n"
            "N: {type: join, join_branches: [M], destination: d, on_success: X}\n"
            "J: {type: join, join_branches: [B], destination: d, on_success: E}"
        ),
        (
            "B: {type: library_call, library_function_id: 'own#one', parameters: {}, output_key: k, on_success: C}\n"
            "C: {type: condition, condition_on_key: again, branches: {'true': B, _default: E}}"
        ),
    ],
    ids=["loop", "inner map", "library"],
)
async def test_nothing_that_calls_runs_ahead(tmp_path: Path, nodes: str) -> None:
    """Not in a triggerer either: a copy in one and the task in another would call twice, without any kill."""
    first = "A: {type: async_request, capability_id: 'a#x', on_response: B, error_reply: response}\n"
    triggerer = made(tmp_path, f"{first}{nodes}\nE: {{type: end}}")
    await triggerer.workshop.create()
    assert triggerer.workshop.plan.regions["B"].kind == "wait"

    await triggerer.task("A")
    await asyncio.sleep(0.01)

    assert triggerer.airflow.asked == []


async def test_what_the_triggerer_calls_does_not_run_ahead(tmp_path: Path) -> None:
    """Its region waits, by its version, and its task comes."""
    triggerer = made(tmp_path, CALLS)
    workshop = triggerer.workshop
    plan = plan_of(workshop.definition, planner_for(workshop.definition, {"a#call"}))
    await workshop.create()
    assert plan.regions["B"].kind == "wait"

    task = replace(workshop.task("A"), planner=258, structure_digest=plan.structure_digest)
    end = await execute_region(task, workshop.platform)
    await asyncio.sleep(0.01)

    assert (end.followed, triggerer.airflow.asked) == (("B",), [])


async def test_copies_are_bounded(tmp_path: Path) -> None:
    """A process that has enough copies leaves the rest to Airflow."""
    triggerer = made(tmp_path, CHAIN, most=0)
    await triggerer.workshop.create()

    await triggerer.task("A")
    await asyncio.sleep(0.01)

    assert triggerer.airflow.asked == []


async def test_a_triggerer_that_answers_nothing_is_asked_once(tmp_path: Path) -> None:
    """Its Airflow is another one than we know: each question would go to where its Variables are kept."""
    triggerer = made(tmp_path, CHAIN)
    triggerer.airflow.answers = False
    await triggerer.workshop.create()

    for region in ("A", "B", "C"):
        assert (await triggerer.task(region)).state == "success"
        await asyncio.sleep(0)

    assert triggerer.airflow.asked == [("B",)]


async def test_airflow_cannot_be_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The tasks begin when Airflow lets them, and a log says why."""
    triggerer = made(tmp_path, CHAIN)
    await triggerer.workshop.create()

    async def refuse(*_: Any) -> Mapping[str, str]:
        raise ConnectionError("the supervisor is gone")

    triggerer.copies._to_come = refuse
    assert (await triggerer.task("A")).state == "success"
    await eventually(lambda: "cannot ask which tasks are to come" in caplog.text)

    assert (await triggerer.task("B")).state == "success"


async def test_a_held_instance_sends_nothing_ahead(tmp_path: Path) -> None:
    """A copy that meets a closed gate ends; the task goes on behind it when the gate has opened."""
    triggerer = made(tmp_path, CHAIN, {"a#x": silent})
    workshop = triggerer.workshop
    await workshop.create()
    first = asyncio.create_task(triggerer.task("A"))
    await eventually(lambda: len(workshop.requests) == 1)
    instance = (await workshop.view()).instance
    gate = Gate(kind="held", since=1, by="sam", reason="customs is down")
    await hold_behind(workshop.platform, instance, gate)
    await workshop.reply(workshop.requests[0], "SUCCESS", {})
    await asyncio.sleep(0.02)

    assert [len(workshop.requests), triggerer.running()] == [1, []]
    await workshop.platform.ledger.gates.open(INSTANCE, gate)

    assert (await first).state == "success"
    await eventually(lambda: _has_ended(triggerer))


async def test_a_cancelled_instance_goes_no_further_ahead(tmp_path: Path) -> None:
    """The copy waits for a reply when somebody cancels: it stops, and what comes then is late."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent})
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(workshop.requests) == 2)

    await cancel(workshop.platform, (await workshop.view()).instance, "by telephone")
    await workshop.reply(workshop.requests[1], "SUCCESS", {})
    await asyncio.sleep(0.02)

    assert await workshop.status() == "cancelled"
    assert len(workshop.requests) == 2


async def test_a_copy_that_pauses_asks_nobody_after_a_cancellation(tmp_path: Path) -> None:
    """Its task may be in another triggerer, and nobody ends the copy."""
    nodes = CHAIN.replace("'a#y'", "'a#y', retry: {max_attempts: 2, delay: 100ms}")
    triggerer = made(tmp_path, nodes, {"a#y": lambda _: ("ERROR", {})})
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: _has_closed(workshop, "B"))
    assert triggerer.running() == ["0-B"]

    await cancel(workshop.platform, (await workshop.view()).instance, "by telephone")
    workshop.clock.advance(1)
    await asyncio.sleep(0.1)

    assert (await workshop.status(), len(workshop.requests)) == ("cancelled", 2)
    asked = await workshop.platform.ledger.requests.of_box(Box(INSTANCE))
    assert [each.command_id for each in asked if each.state == "open"] == []


async def _has_closed(workshop: Workshop, node: str) -> bool:
    asked = await workshop.platform.ledger.requests.of_box(Box(INSTANCE))
    return any(each.node == node and each.state != "open" for each in asked)


async def test_a_copy_that_cannot_send_yet_sends_nothing_after_a_cancellation(tmp_path: Path) -> None:
    """SQS is away until the instance has been cancelled."""
    triggerer = made(tmp_path, CHAIN, {"a#x": silent})
    workshop = triggerer.workshop
    workshop.platform.pauses = lambda: Pauses(first=0.01, longest=0.01)
    await workshop.create()
    queue = workshop.queues.make(workshop.settings.names.capability_queue("a#x"))
    send, tried = queue.send, 0
    first = await triggerer.begin_task("A")

    async def away(*_: Any, **__: Any) -> None:
        nonlocal tried
        tried += 1
        raise ServiceUnavailableError("SQS: ThrottlingException")

    queue.send = away  # type: ignore[method-assign]
    await workshop.reply(workshop.requests[0], "SUCCESS", {})
    await first
    await eventually(lambda: tried > 0)
    await cancel(workshop.platform, (await workshop.view()).instance, "by telephone")
    queue.send = send  # type: ignore[method-assign]
    await asyncio.sleep(0.1)

    assert (await workshop.status(), len(workshop.requests)) == ("cancelled", 1)


async def test_a_task_that_was_cleared_supersedes_the_copy(tmp_path: Path) -> None:
    """A newer task instance is another try: it asks anew, and the copy of the older one changes nothing any more."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent})
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(workshop.requests) == 2)

    newer = asyncio.create_task(triggerer.task("B", "0-B-2"))
    await eventually(lambda: len(workshop.requests) == 3)
    await workshop.reply(workshop.requests[2], "SUCCESS", {})

    assert (await newer).state == "success"
    tries = [each.task_instance for each in await workshop.journal("B") if each.kind == "try"]
    assert tries == ["0-B", "0-B-2"]


BRANCHES = """
F: {type: fork, branches: [A, B]}
A: {type: async_request, capability_id: 'a#x', on_response: A_End}
A_End: {type: end_branch}
B: {type: async_request, capability_id: 'a#y', on_response: B_End}
B_End: {type: end_branch}
J: {type: join, join_branches: [A, B], on_success: After}
After: {type: async_request, capability_id: 'a#z', on_response: E}
E: {type: end}
"""


async def test_nothing_runs_ahead_behind_a_task_that_is_done_again(tmp_path: Path) -> None:
    """A branch before a join was cleared, and the other one leaves: what follows waits, as Airflow lets it wait."""
    triggerer = made(tmp_path, BRANCHES, dict.fromkeys(("a#x", "a#y", "a#z"), silent))
    workshop = triggerer.workshop
    await workshop.create()
    triggerer.airflow.begun |= {"A", "B"}  # which have no copies: both begin as tasks
    await triggerer.task("F")
    left, right = await triggerer.begin_task("A"), await triggerer.begin_task("B")
    await workshop.reply(asked(workshop, "a#x")[0], "SUCCESS", {"v": "old"})
    await left
    triggerer.airflow.clear("A")
    again = await triggerer.begin_task("A")

    await workshop.reply(asked(workshop, "a#y")[0], "SUCCESS", {})
    await right
    await asyncio.sleep(0.02)
    assert asked(workshop, "a#z") == []
    await workshop.reply(asked(workshop, "a#x")[1], "SUCCESS", {"v": "new"})
    await again
    await eventually(lambda: len(asked(workshop, "a#z")) == 1)

    assert asked(workshop, "a#z")[0]["body"]["context"]["v"] == "new"


async def cleared_behind_a_copy(folder: Path, *tasks: str) -> tuple[Triggerer, asyncio.Task[RegionEnd]]:
    """These tasks of the chain were cleared while the copy of B waited, which has left since; A's task that is anew."""
    triggerer = made(folder, CHAIN, dict.fromkeys(("a#x", "a#y", "a#z"), silent))
    workshop = triggerer.workshop
    await workshop.create()
    first = await triggerer.begin_task("A")
    await workshop.reply(asked(workshop, "a#x")[0], "SUCCESS", {"v": "old"})
    await first
    await eventually(lambda: len(asked(workshop, "a#y")) == 1)  # of the copy of B
    triggerer.airflow.clear(*tasks)
    again = await triggerer.begin_task("A")
    await workshop.reply(asked(workshop, "a#y")[0], "SUCCESS", {})
    await eventually(lambda: triggerer.running() == [])
    await asyncio.sleep(0.02)
    return triggerer, again


async def test_nothing_runs_ahead_of_what_a_cleared_task_led_to_further_back(tmp_path: Path) -> None:
    """A copy goes on with what the task had left before; what would come after the copy waits for the task."""
    triggerer, again = await cleared_behind_a_copy(tmp_path, "A")  # and nothing behind it
    workshop = triggerer.workshop

    assert (asked(workshop, "a#z"), await workshop.status()) == ([], "running")
    again.cancel()


async def test_a_copy_whose_task_was_cleared_lets_nothing_begin(tmp_path: Path) -> None:
    """It goes on until its newer task comes, and what it leaves is nothing that another task may rest on."""
    triggerer, again = await cleared_behind_a_copy(tmp_path, "A", "B", "C")
    workshop = triggerer.workshop

    assert (asked(workshop, "a#z"), await workshop.status()) == ([], "running")
    await workshop.reply(asked(workshop, "a#x")[1], "SUCCESS", {"v": "new"})
    await again
    for region, capability, number in (("B", "a#y", 2), ("C", "a#z", 1)):
        task = asyncio.create_task(triggerer.task(region))
        await eventually(lambda capability=capability, number=number: len(asked(workshop, capability)) == number)
        await workshop.reply(asked(workshop, capability)[-1], "SUCCESS", {})
        assert (await task).state == "success"

    assert asked(workshop, "a#z")[0]["body"]["context"]["v"] == "new"


def asked(workshop: Workshop, capability: str) -> list[dict[str, Any]]:
    """The requests to a capability."""
    return [each for each in workshop.requests if each["body"]["capability_id"] == capability]


async def test_a_task_that_comes_while_its_copy_is_given_up_goes_on_by_itself(tmp_path: Path) -> None:
    """The time is up right before: it must not be cancelled with the copy."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent})
    workshop = triggerer.workshop
    await workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(workshop.requests) == 2)
    (copy,) = triggerer.copies._copies.values()

    timer: Any = copy.timer
    timer._callback(*timer._args)
    task = asyncio.create_task(triggerer.task("B"))
    await asyncio.sleep(0)
    await workshop.reply(workshop.requests[1], "SUCCESS", {})

    assert (await task).state == "success"


async def test_a_failure_ahead_is_the_failure_of_the_task(tmp_path: Path) -> None:
    """The task neither repeats nor forgives what its copy has failed at."""
    triggerer = made(tmp_path, CHAIN.replace("a#y", "nobody#y"))  # it has no queue
    await triggerer.workshop.create()
    await triggerer.task("A")
    await eventually(lambda: _has_ended(triggerer))

    end = await triggerer.task("B")

    assert end.state == "failed"
    assert "no queue for nobody#y" in end.reason
    assert await triggerer.workshop.status() == "failed"
    assert len(triggerer.workshop.requests) == 1


async def test_a_trigger_that_airflow_cancels_takes_its_copy_with_it(tmp_path: Path) -> None:
    """Airflow has moved the task to another triggerer, or cleared it."""
    triggerer = made(tmp_path, CHAIN, {"a#y": silent})
    await triggerer.workshop.create()
    await triggerer.task("A")
    await eventually(lambda: len(triggerer.workshop.requests) == 2)
    (copy,) = (each.work for each in triggerer.copies._copies.values())

    task = asyncio.create_task(triggerer.task("B"))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert copy.cancelled()


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_is_repaired_by_the_tasks(tmp_path: Path, lost: bool) -> None:
    """The process dies while it runs ahead: another one finishes, with each request made once in the ledger."""
    whole = made(tmp_path / "whole", CHAIN)
    await whole.workshop.create()
    ends = [await whole.task(region) for region in ("A", "B", "C")]
    expected = whole.workshop.stored()

    deaths = 0
    for at in range(1, 200):
        triggerer = made(tmp_path / str(at), CHAIN)
        workshop = triggerer.workshop
        await workshop.create()
        workshop.store.arm(at, lost=lost)
        workshop.store.death = SystemError
        found = [await _until_it_dies(triggerer, region) for region in ("A", "B", "C")]
        died = workshop.store.count >= at
        if died:
            deaths += 1
            for copy in list(triggerer.copies._copies.values()):
                copy.work.cancel()
            await workshop.deliver()
            triggerer.begin()
            found = [await triggerer.task(region) for region in ("A", "B", "C")]
        assert found == ends, f"call {at}"
        assert workshop.stored() == expected, f"call {at}"
        if not died:
            break
    else:
        pytest.fail("the regions never came through")
    assert deaths >= 20


async def _until_it_dies(triggerer: Triggerer, region: str) -> RegionEnd | None:
    try:
        return await triggerer.task(region)
    except (SystemError, Died):
        return None


@pytest.mark.parametrize("seed", range(12))
async def test_after_a_join_only_one_copy_counts(tmp_path: Path, seed: int) -> None:
    """Both branches end at the same moment, in two triggerers: what follows is asked for once."""
    async with open_memory_platform(tmp_path, JOINED_CHAIN, store=JostlingStore(seed)) as platform:
        world = World(platform, JOINED_CHAIN, answers=[("SUCCESS", {})])
        await world.create()
        airflow = Airflow()
        platform.ahead = Copies(airflow.to_come)

        async def work() -> None:
            airflow.begun |= {"F", "A", "B"}  # which have no copies: both begin as tasks
            await world.execute("F", "0-F")
            await asyncio.gather(*(world.execute(head, f"0-{head}") for head in "AB"))
            await eventually(lambda: _is_over(world))
            for head in ("After", "Last"):
                # In a process that knows of no copy.
                assert (await world.execute(head, f"0-{head}")).state == "success"

        await with_answers(world, work())

        assert Counter(await world.visited()) == {
            "F": 1, "A": 1, "A_End": 1, "B": 1, "B_End": 1, "J": 1, "After": 1, "Last": 1
        } | {name: 1 for name in await world.visited() if name == "Done"}  # fmt: skip
        asked = await platform.ledger.requests.of_box(Box(world.instance))
        assert Counter(each.node for each in asked) == {"A": 1, "B": 1, "After": 1, "Last": 1}
        for head in ("After", "Last"):
            entries = await platform.ledger.journal.read((await world.view()).instance.region(head))
            assert replay(entries).task_instance == f"0-{head}"


async def _is_over(world: World) -> bool:
    return (await world.view()).instance.status in ENDED
