"""A triggerer tells at once what has ended, looks often for a while, and rests when nothing happens."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from airflow.jobs import triggerer_job_runner

from cch.scheduling import prompt
from cch.scheduling.prompt import install
from cch.settings import Settings
from cch.triggers.pulse import LASTS, Pulse, pulse_of, quicken

pytestmark = pytest.mark.hooks


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's module and this process's pulse, as they were before."""
    monkeypatch.setattr(triggerer_job_runner, "anyio", triggerer_job_runner.anyio)
    monkeypatch.setattr(Pulse, "of_process", None)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _returns(waiting: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return waiting.done()


async def test_while_nothing_ends_it_rests() -> None:
    """Airflow's own second bounds it; nothing here returns earlier."""
    waiting = asyncio.create_task(Pulse(anyio.Event(), Clock()).wait())

    assert not await _returns(waiting)
    waiting.cancel()


async def test_what_ends_is_told_at_once_and_what_follows_is_looked_for() -> None:
    """After the end it looks every so often, until the time for that is over."""
    clock = Clock()
    beating = Pulse(anyio.Event(), clock)
    resting = asyncio.create_task(beating.wait())
    assert not await _returns(resting)

    beating.quicken()
    assert await _returns(resting)
    await beating.wait()  # short, by the real clock
    clock.now += LASTS
    again = asyncio.create_task(beating.wait())

    assert not await _returns(again)
    again.cancel()


@pytest.mark.parametrize("busy", [False, True])
async def test_the_end_of_the_process_ends_every_wait(busy: bool) -> None:
    """Also a wait that begins after it."""
    beating = Pulse(anyio.Event(), Clock())
    if busy:
        beating.quicken()
    waiting = asyncio.create_task(beating.wait())
    await asyncio.sleep(0)

    beating.set()

    await waiting
    await beating.wait()
    assert beating.is_set()


async def test_the_pulse_is_where_airflow_sleeps() -> None:
    """Installed twice it is one; what is not an event is anyio's own."""
    assert install(Settings(run_ahead=False)) is False
    assert install(Settings())
    assert install(Settings())

    stop = triggerer_job_runner.anyio.Event()
    assert isinstance(stop, Pulse)
    waiting = asyncio.create_task(stop.wait())
    await asyncio.sleep(0)
    quicken()

    await waiting
    assert triggerer_job_runner.anyio.move_on_after is anyio.move_on_after
    assert prompt.HOOK.reason_against(Settings()) == ""


async def test_a_process_that_runs_no_triggers_has_none() -> None:
    """A worker, or ``airflow dags test``."""
    quicken()
    assert isinstance(pulse_of(anyio.Event()), Pulse)
