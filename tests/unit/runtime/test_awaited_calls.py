"""Calls that the triggerer makes: killed, repeated, held, crowded, and bound to something else meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from endpoint import Endpoint, serving
from tests.patience import finished
from workflows import definition_text
from workshop import INSTANCE, NOW, Workshop
from world import eventually

from cch import values
from cch.capabilities import registry, sync_capability
from cch.errors import ServiceUnavailableError
from cch.graph.plan import Plan, plan_of
from cch.graph.planners import planner_for
from cch.interpreter.host import Call
from cch.ledger.gates import Gate
from cch.pauses import Pauses
from cch.runtime.cancelling import cancel
from cch.runtime.execution import execute_region
from cch.runtime.gating import hold_behind
from cch.runtime.region_task import RegionEnd, RegionTask
from cch.settings import Settings

NODES = """
Pay: {type: sync_call, capability_id: 'test#pay', on_success: E, on_failure: F, on_timeout: T%s}
E: {type: end}
F: {type: end}
T: {type: end}
"""


@pytest.fixture(autouse=True)
def _own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone afterwards."""
    registry.load(Settings())
    monkeypatch.setattr(registry, "_capabilities", dict(registry._capabilities))


class Triggerer(Workshop):
    """A workshop whose process is a triggerer, and whose tasks the second planner has laid out."""

    awaited: frozenset[str] = frozenset({"test#pay"})

    def bind(self, **changes: Any) -> None:
        """Other settings, and a process that has just begun with them."""
        self.settings = replace(self.settings, **changes)
        self.begin()

    def begin(self) -> None:
        self.new_process()
        self.platform.caller.share()

    @property
    def planner(self) -> int:
        return planner_for(self.definition, self.awaited)

    @property
    def plan(self) -> Plan:
        return plan_of(self.definition, self.planner)

    def task(self, region: str, task_instance: str = "t1", **changes: Any) -> RegionTask:
        return super().task(region, task_instance, planner=self.planner, **changes)


async def triggerer(folder: Path, endpoint: Endpoint, changes: str = "", nodes: str = NODES) -> Triggerer:
    """An instance of these nodes whose payments go to the endpoint."""
    made = Triggerer(folder=folder, definitions={"w": definition_text(nodes % changes)})
    made.bind(capability_bindings=json.dumps({"test#pay": endpoint.url}))
    await made.create()
    return made


async def test_a_call_waits_like_anything_else_and_completes_the_instance(tmp_path: Path) -> None:
    """With the keys and the body that it has on a worker."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        endpoint.body = b'{"paid": true}'
        end = await here.run("Pay")

        assert here.plan.regions["Pay"].kind == "wait"
        assert end == RegionEnd(state="success", followed=("E",))
        view = await here.view()
        assert (view.instance.status, view.instance.planner) == ("completed", 258)
        ((body, headers),) = endpoint.seen
        assert (body["workflowInstanceId"], body["attempt"]) == (INSTANCE, 1)
        assert headers["idempotency-key"] == body["requestKey"]


async def test_a_kill_in_the_middle_repeats_the_call_with_the_same_key(tmp_path: Path) -> None:
    """Another triggerer goes on with the same task: what an endpoint has done once it recognises."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        endpoint.hold()
        killed = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
        await eventually(lambda: endpoint.open == 1)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        here.begin()
        endpoint.answers.set()

        assert (await here.run("Pay")).state == "success"
        assert len(endpoint.seen) == 2
        assert len(set(endpoint.keys())) == 1
        assert [body["attempt"] for body, _ in endpoint.seen] == [1, 1]
        assert await here.status() == "completed"


async def test_two_triggerers_may_make_the_call_and_one_outcome_counts(tmp_path: Path) -> None:
    """One was stopped and continues when another has taken over: both use one key."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        endpoint.hold()
        first = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
        await eventually(lambda: endpoint.open == 1)
        here.begin()
        second = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
        await eventually(lambda: endpoint.open == 2)
        endpoint.answers.set()
        ends = await finished(asyncio.gather(first, second))

        assert ends == [RegionEnd(state="success", followed=("E",))] * 2
        assert len(set(endpoint.keys())) == 1
        assert [outcome.node for exit_ in (await here.view()).exits for outcome in exit_.outcomes] == ["Pay", "E"]


async def test_waiting_for_a_place_is_no_part_of_the_timeout(tmp_path: Path) -> None:
    """A few milliseconds stand for minutes: all others have taken their time, and this call has its own."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint, ", timeout: 500ms")
        here.bind(calls_at_once=1)
        async with here.platform.caller.place():
            running = asyncio.create_task(here.run("Pay"))
            await eventually(lambda: here.journal("Pay"))
            await asyncio.sleep(0.6)
            assert endpoint.seen == []

        assert (await running).followed == ("E",)


async def test_a_call_that_takes_too_long_takes_on_timeout_and_leaves_its_place(tmp_path: Path) -> None:
    """The endpoint sees that nobody waits any more."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint, ", timeout: 50ms")
        here.bind(calls_at_once=1)
        endpoint.hold()

        assert (await here.run("Pay")).followed == ("T",)
        await eventually(lambda: endpoint.open == 0)
        async with here.platform.caller.place():
            pass


async def test_attempts_are_counted_and_keyed_as_on_a_worker(tmp_path: Path) -> None:
    """A status that says no is a failure with its code, and the key stays."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint, ", retry: {max_attempts: 3, on: [HTTP_5XX]}")
        endpoint.status = "503 Service Unavailable"

        assert (await here.run("Pay")).followed == ("F",)
        assert [body["attempt"] for body, _ in endpoint.seen] == [1, 2, 3]
        assert len(set(endpoint.keys())) == 1


async def test_who_is_held_while_it_waits_for_a_place_calls_nobody(tmp_path: Path) -> None:
    """The gate is looked at right before the call; at the release the call is made."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        here.bind(calls_at_once=1)
        gate = Gate(kind="held", by="ada", since=NOW)
        async with here.platform.caller.place():
            running = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
            await eventually(lambda: here.journal("Pay"))
            await hold_behind(here.platform, (await here.view()).instance, gate)
        await asyncio.sleep(0.05)
        assert endpoint.seen == []
        await here.platform.ledger.gates.open(INSTANCE, gate)

        assert (await finished(running)).state == "success"
        assert len(endpoint.seen) == 1


async def test_who_is_cancelled_while_it_waits_for_a_place_calls_nobody(tmp_path: Path) -> None:
    """Nothing is sent after a cancellation, and a call is no exception."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        here.bind(calls_at_once=1)
        called: list[Call] = []

        async def run(call: Call) -> Any:
            called.append(call)
            return {}

        here.platform.caller.run = run  # type: ignore[method-assign]
        async with here.platform.caller.place():
            running = asyncio.create_task(execute_region(here.task("Pay", "0"), here.platform))
            await eventually(lambda: here.journal("Pay"))
            await cancel(here.platform, (await here.view()).instance, "by telephone")
        for _ in range(100):
            await asyncio.sleep(0)
        running.cancel()  # as Airflow does with the trigger

        assert (called, await here.status()) == ([], "cancelled")


class Refusing:
    """Stands before a method of the ledger, and refuses some of its calls, as a table does that is asked too much."""

    def __init__(self, holder: Any, name: str, times: int, refuses: Callable[..., bool] = lambda *_: True) -> None:
        self._original = getattr(holder, name)
        self._refuses = refuses
        self.left = times
        setattr(holder, name, self)

    async def __call__(self, *given: Any, **named: Any) -> Any:
        if self.left and self._refuses(*given):
            self.left -= 1
            raise ServiceUnavailableError("ProvisionedThroughputExceededException")
        return await self._original(*given, **named)


def _is_turn(_: Any, __: int, entry: Any) -> bool:
    return bool(entry.kind == "turn")


async def test_a_ledger_that_takes_no_outcome_repeats_no_call(tmp_path: Path) -> None:
    """The call was answered: its outcome waits until the table takes it."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        here.platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
        refusing = Refusing(here.platform.ledger.journal, "append", 20, _is_turn)

        assert (await here.run("Pay")).state == "success"
        assert (refusing.left, len(endpoint.seen)) == (0, 1)


async def test_a_ledger_that_does_not_answer_before_a_call_costs_no_attempt(tmp_path: Path) -> None:
    """Nor is it a part of the timeout: nobody was called."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint, ", timeout: 500ms")
        here.bind(calls_at_once=1)
        here.platform.pauses = lambda: Pauses(first=0.6, longest=0.6, draw=lambda: 1.0)
        async with here.platform.caller.place():
            running = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
            await eventually(lambda: here.journal("Pay"))
            refusing = Refusing(here.platform.ledger.instances, "head", 2)

        assert (await finished(running)).followed == ("E",)
        assert refusing.left == 0
        assert [body["attempt"] for body, _ in endpoint.seen] == [1]


async def test_an_attempt_that_the_ledger_held_up_is_not_counted(tmp_path: Path) -> None:
    """Two attempts are two calls, whatever the ledger does before one of them, or at the end of the pause between."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint, ", retry: {max_attempts: 2, delay: 1ms, on: [HTTP_5XX]}")
        here.bind(calls_at_once=1)
        here.platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
        endpoint.status = "503 Service Unavailable"

        async def server_time() -> int:
            return here.clock()

        here.platform.ledger.store.server_time = server_time  # type: ignore[method-assign]
        async with here.platform.caller.place():
            running = asyncio.create_task(execute_region(here.task("Pay"), here.platform))
            await eventually(lambda: here.journal("Pay"))
            refusing = [
                Refusing(here.platform.ledger.instances, "head", 1),
                Refusing(here.platform.ledger.store, "server_time", 1),
            ]

        async def ended() -> bool:
            here.clock.advance(1)
            await asyncio.sleep(0.01)
            return running.done()

        await eventually(ended)

        assert (await running).followed == ("F",)
        assert [each.left for each in refusing] == [0, 0]
        assert [body["attempt"] for body, _ in endpoint.seen] == [1, 2]


@pytest.mark.parametrize("what", ["time", "hold", "cancel"])
async def test_what_asks_a_service_that_never_answers_can_be_stopped(tmp_path: Path, what: str) -> None:
    """Credentials that lack a right, for example: what asks again looks at gates and the time limit meanwhile."""
    nodes = "A: {type: async_request, capability_id: 'a#x', on_response: E}\nE: {type: end}\n"
    here = Workshop(folder=tmp_path, definitions={"w": definition_text(nodes, timeout="1h")})
    here.platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
    here.platform.yields = True
    await here.create()
    refusing = Refusing(here.platform.queues, "address", -1)
    running = asyncio.create_task(execute_region(here.task("A", "0-A"), here.platform))
    await eventually(lambda: refusing.left < -3)
    if what == "time":
        here.clock.advance(2 * 3600)
    elif what == "hold":
        await hold_behind(here.platform, (await here.view()).instance, Gate(kind="held", by="ada", since=NOW))
    else:
        await cancel(here.platform, (await here.view()).instance, "by telephone")

    if what != "cancel":  # the task ends, or gives its worker up
        await finished(asyncio.wait([running]))
        assert running.done()
    else:
        await eventually(lambda: _is_quiet(refusing))
        running.cancel()


async def _is_quiet(refusing: Refusing) -> bool:
    asked = refusing.left
    await asyncio.sleep(0.05)
    return refusing.left == asked


PARALLEL = """
F: {type: fork, branches: [X, Y]}
X: {type: sync_call, capability_id: 'test#pay', on_success: XE}
XE: {type: end_branch}
Y: {type: async_request, capability_id: 'a#b', on_response: W}
W: {type: event_wait, event_key: k, timeout: 10ms, on_event: V, on_timeout: V}
V: {type: async_request, capability_id: 'a#c', on_response: Z}
Z: {type: sync_call, capability_id: 'test#pay', on_success: YE}
YE: {type: end_branch}
J: {type: join, join_branches: [X, Y], on_success: E}
E: {type: end}
"""


@pytest.mark.parametrize("refused", ["append", "ask", "await_event", "address"])
async def test_a_ledger_that_refuses_something_beside_a_call_repeats_no_call(tmp_path: Path, refused: str) -> None:
    """One task does both branches: what goes on in one must not begin the other anew."""
    async with serving() as endpoint:
        here = Triggerer(
            folder=tmp_path,
            answers={"a#b": lambda _: None, "a#c": lambda _: None},
            definitions={"w": definition_text(PARALLEL, execution={"granularity": "workflow"})},
        )
        here.bind(capability_bindings=json.dumps({"test#pay": endpoint.url}))
        platform = here.platform
        platform.pauses = lambda: Pauses(first=0.001, longest=0.001)
        await here.create()
        endpoint.hold()
        (head,) = here.plan.regions
        running = asyncio.create_task(execute_region(here.task(head), platform))
        await eventually(lambda: endpoint.open == 1 and len(here.requests) == 1)

        holders: dict[str, Any] = {"append": platform.ledger.journal, "address": platform.queues}
        refusing = Refusing(holders.get(refused, platform.exchange), refused, 2)
        await here.reply(here.requests[0], "SUCCESS", {})
        await eventually(lambda: len(here.requests) == 2)
        await here.reply(here.requests[1], "SUCCESS", {})
        await eventually(lambda: len(endpoint.seen) == 2)
        endpoint.answers.set()

        assert (await finished(running)).state == "success"
        assert (refusing.left, len(endpoint.seen)) == (0, 2)


async def test_a_large_answer_is_walked_through_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait in it; a small one is not worth a thread."""
    threads: list[threading.Thread] = []
    stored = values.storable

    def seen(value: Any, place: str = "") -> Any:
        threads.append(threading.current_thread())
        return stored(value, place)

    monkeypatch.setattr(values, "storable", seen)
    for number, rows in enumerate((1, 10_000)):
        async with serving() as endpoint:
            here = await triggerer(tmp_path / str(number), endpoint)
            endpoint.body = json.dumps({"rows": list(range(rows))}).encode()
            assert (await here.run("Pay")).state == "success"

    assert [thread is threading.main_thread() for thread in threads] == [True, False]


async def test_a_layout_outlives_its_setting_and_its_bindings(tmp_path: Path) -> None:
    """The instance goes on as it began, with whatever address is bound now."""
    async with serving() as endpoint, serving() as other:
        here = await triggerer(tmp_path, endpoint)
        here.bind(calls_in_triggerer=False, capability_bindings=json.dumps({"test#pay": other.url}))

        assert (await here.run("Pay")).state == "success"
        assert (len(endpoint.seen), len(other.seen)) == (0, 1)


async def test_a_python_function_is_left_to_a_worker(tmp_path: Path) -> None:
    """The binding has changed since the tasks were laid out: nothing is recorded here, and the worker goes on."""
    threads: list[threading.Thread] = []

    @sync_capability("test#pay")
    def pay(_: Call) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {}

    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        here.bind(capability_bindings="")
        given = await here.run("Pay")
        assert (given.state, threads, await here.journal("Pay")) == ("worker", [], [])
        assert "test#pay" in given.reason

        here.new_process()  # a worker's: the task is the same
        assert (await here.run("Pay")).followed == ("E",)
        assert len(threads) == 1


async def test_what_waits_besides_keeps_no_worker(tmp_path: Path) -> None:
    """A task that also asks somebody stays where it is; the function runs in a thread."""
    threads: list[threading.Thread] = []

    @sync_capability("test#pay")
    def pay(_: Call) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {}

    nodes = "A: {type: async_request, capability_id: 'a#b', on_response: Pay, error_reply: response}\n" + NODES
    async with serving() as endpoint:
        here = Triggerer(
            folder=tmp_path, definitions={"w": definition_text(nodes % "", execution={"granularity": "workflow"})}
        )
        here.bind(capability_bindings="")
        await here.create()

        assert list(here.plan.regions) == ["A"]
        assert (await here.run("A")).state == "success"
    assert endpoint.seen == []
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_nothing_bound_fails_the_node(tmp_path: Path) -> None:
    """As on a worker, with what would bind it."""
    async with serving() as endpoint:
        here = await triggerer(tmp_path, endpoint)
        here.bind(capability_bindings="")

        assert (await here.run("Pay")).followed == ("F",)
        ((outcome, _),) = [exit_.outcomes for exit_ in (await here.view()).exits]
        assert "nothing is bound to capability 'test#pay'" in outcome.cause["reason"]
