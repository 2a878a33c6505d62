"""Messages that nobody has come for within a minute."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from scripted import ManualClock
from workflows import definition_text
from world import World, eventually, open_memory_platform

from cch.checkup.findings import Findings
from cch.checkup.running import look_at_running
from cch.runtime import lingering
from cch.runtime.dispatch import Dispatcher, Runs
from cch.runtime.platform import Platform
from cch.settings import Settings

NOW = 1_700_000_000_000
TEXT = definition_text("W: {type: event_wait, event_key: released, on_event: D}\nD: {type: end}")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setattr("cch.testing.memory_queue.time.time", lambda: NOW / 1000)
    async with open_memory_platform(tmp_path, TEXT, clock=clock) as opened:
        yield opened


async def world_with_event(platform: Platform, payload: dict[str, Any]) -> World:
    """An instance for which an event has come that it does not wait for."""
    world = World(platform, TEXT)
    await world.create()
    await platform.ledger.instances.dispatched(world.instance, world.instance)
    await world.event(payload)
    await eventually(lambda: platform.ledger.messages.unmatched("held"))
    return world


async def test_an_event_lingers_after_a_minute(platform: Platform, clock: ManualClock) -> None:
    """Before that it is only early."""
    world = await world_with_event(platform, {"other": 1})
    instance = (await world.view()).instance

    assert await lingering.of_instance(platform.ledger, instance, clock(), 10) == []
    clock.advance(lingering.LINGERS_AFTER + 1)
    (found,) = await lingering.of_instance(platform.ledger, instance, clock(), 10)
    (everywhere,) = await lingering.everywhere(platform.ledger, clock(), 10)

    assert found == everywhere
    assert found.would_match == "a node that waits for an event of the instance itself; none waits now"
    assert found.attach.startswith("cch messages attach ")


async def test_the_advice_names_the_key_that_is_waited_for(platform: Platform, clock: ManualClock) -> None:
    """And the wait to attach the event to, if there is only one."""
    world = await world_with_event(platform, {"other": 1})
    run = asyncio.create_task(world.execute("W"))
    await eventually(lambda: platform.ledger.waiting.of_instance(world.instance, 10))
    (wait,) = await platform.ledger.waiting.of_instance(world.instance, 10)
    clock.advance(lingering.LINGERS_AFTER + 1)
    (found,) = await lingering.everywhere(platform.ledger, clock(), 10)
    run.cancel()

    assert found.would_match == (
        "the key that is waited for ('released' at W); it brings other for the instance itself"
    )
    assert found.attach.endswith(f"--to {wait.id} --force")


async def test_doctor_and_metric_tell_of_it(
    platform: Platform, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure is written by the dispatcher, also when it is zero again."""
    gauges: list[tuple[str, float, str]] = []
    monkeypatch.setattr("cch.metrics.gauge", lambda name, value, kind: gauges.append((name, value, kind)))
    world = await world_with_event(platform, {"other": 1})
    clock.advance(lingering.LINGERS_AFTER + 1)
    found = Findings()

    await look_at_running(platform, found)
    await Dispatcher(platform, NoRuns()).reconcile()

    (said,) = [finding for finding in found.all if finding.area == "messages"]
    assert (said.level, world.instance in said.what) == ("warning", True)
    assert "cch messages attach" in said.mend
    assert gauges == [("cch.held", 0, "reply"), ("cch.held", 1, "event")]


class NoRuns(Runs):
    """Nothing is asked of Airflow here."""

    def start(self, run: Any) -> None:
        raise AssertionError(json.dumps(str(run)))

    def state(self, dag_id: str, run_id: str) -> Any:
        return "running"

    def pins(self, dag_id: str) -> bool:
        return True

    def reason_against_pinning(self) -> str:
        return ""

    def airflow(self) -> str:
        return "3.3.1"

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        return {}
