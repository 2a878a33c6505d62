"""Many instances, and servers that work on batches of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from changed import FIRST, Moved, Tables
from faults import FragileStore

from cch.definition.rules import NEWEST
from cch.ledger.batches import Batch
from cch.ledger.listing import Wanted
from cch.ledger.records import Instance
from cch.pauses import Pauses
from cch.runtime.batching import BatchRunner, Tempo
from cch.runtime.platform import Platform


class Killed(BaseException):
    """The server is gone. Nobody takes this for a failure of one instance."""


class Airflow:
    """Airflow in memory: what a batch has asked it for."""

    def __init__(self) -> None:
        self.tasks = Tables()
        self.failed: list[str] = []
        self.told: list[tuple[str, str, str]] = []

    def fail_run(self, dag_id: str, run_id: str) -> None:
        self.failed.append(run_id)

    def audit(self, by: str, event: str, instance: Instance, facts: Mapping[str, Any]) -> None:
        self.told.append((by, event, instance.id))


@dataclass
class Time:
    """A clock that somebody sets; ``slept``: what was waited for (s), which another clock counts."""

    now: int = 1_700_000_000_000
    slept: list[float] = field(default_factory=list)
    monotonic: float = 0.0

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.monotonic += max(seconds, 0.0001) if seconds < 3600 else 0
        await asyncio.sleep(3600 if seconds >= 3600 else 0)


def tempo(time: Time, beat: float = 3600) -> Tempo:
    return Tempo(
        sleep=time.sleep, now=lambda: time.monotonic, beat=beat, look=0.01,
        busy=lambda: Pauses(first=1.0, longest=15.0, draw=lambda: 1.0),
    )  # fmt: skip


def server(platform: Platform, time: Time, airflow: Airflow | None = None, beat: float = 3600) -> BatchRunner:
    return BatchRunner(platform, airflow or Airflow(), tempo(time, beat))


async def live(platform: Platform, number: int) -> list[str]:
    """Instances that run and have done nothing yet."""
    ids = [str(uuid.uuid4()) for _ in range(number)]
    for place, identifier in enumerate(ids):
        await platform.ledger.instances.create(
            Instance(
                id=identifier, workflow_id="moved", run_id=identifier, correlation_id=f"MEDU{place:04d}",
                status="running", started=platform.clock() + place, start_message=identifier,
            )
        )  # fmt: skip
    return ids


async def failed(platform: Platform) -> Moved:
    """An instance that has failed because its capability answered nonsense."""
    world = Moved(platform, FIRST)
    world.define()
    await platform.ledger.instances.create(
        Instance(
            id=world.instance, workflow_id="moved", run_id=world.instance, correlation_id="c", status="pending",
            started=platform.clock(), start_message="m", reading_rules=NEWEST,
        )
    )  # fmt: skip
    world.go_on()
    await world.reply(await world.one_open("a#ask"), "ERROR")
    assert world.running is not None
    await world.running
    assert (await world.view()).instance.status == "failed"
    return world


async def batch_of(
    platform: Platform, members: Sequence[str], kind: str = "hold", *, wanted: Wanted | None = None,
    rate: float = 1000.0,
    **arguments: Any,
) -> Batch:  # fmt: skip
    made, new = await platform.ledger.batches.create(
        Batch(
            id=str(uuid.uuid4()), state="running", action={"kind": kind, **arguments}, by="ada", reason="a mistake",
            search={"wanted": (wanted or Wanted()).to_json()}, created=platform.clock(), total=len(members), rate=rate,
            workflows=("moved",),
        ),
        members,
    )  # fmt: skip
    assert new
    return made


async def outcome(platform: Platform, batch: Batch) -> tuple[str, dict[str, int], list[str]]:
    """State, counts, and what has become of each member."""
    found = await platform.ledger.batches.get(batch.id)
    assert found is not None
    return found.state, dict(found.counts), [each.result for each in await platform.ledger.batches.results(batch.id)]


def killing(shared: FragileStore, at: int, *, lost: bool) -> FragileStore:
    """A view of the table for a server that is killed at a call."""
    store = FragileStore(shared)
    store.death = Killed
    store.arm(at, lost=lost)
    return store
