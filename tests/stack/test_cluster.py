"""Many instances of a realistic workflow on PostgreSQL, Redis and Celery, two of everything: `make stack-test`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.account import cpu_by_process
from bench.airflow import Airflow
from bench.figures import Figures, percentile
from rich.console import Console
from rich.table import Table

from cch.ledger.records import InstanceView
from cch.runtime.platform import Platform, open_platform
from cch.stack import programs, redis
from cch.stack.layout import usual_stand_in
from cch.stack.patience import Stillness
from cch.stack.topology import TOPOLOGIES
from tests.chaos.fleet import Fleet
from tests.chaos.harness import settled
from tests.chaos.world import EFFECTS, ROOT, ChaosStack, World

COUNT = int(os.environ.get("CCH_STACK_INSTANCES", "1000"))
WORKFLOW = "cluster_v1"
#: Seconds without any progress after which waiting is given up.
STILL = 300.0

pytestmark = pytest.mark.skipif(bool(programs.missing() or redis.missing()), reason="; ".join(
    filter(None, (programs.missing(), redis.missing()))
))  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The cluster, with the workflow published and a mock whose loop ends after three turns."""
    # Not in pytest's folder: PostgreSQL, which root starts as somebody else, may not pass that one.
    home = Path(os.environ.get("CCH_HOME") or tempfile.mkdtemp(prefix="cch-cluster-"))
    monkeypatch.setenv("CCH_HOME", str(home))
    monkeypatch.setenv("CCH_MOCK_EFFECTS", str(home / EFFECTS))
    stack = ChaosStack.open(TOPOLOGIES["cluster"].on(usual_stand_in()))
    world = World(stack=stack, hold=0.0, random=random.Random(1), say=print)
    try:
        stack.start(print)
        for name, value in world.environment.items():
            monkeypatch.setenv(name, value)
        world.cch("publish", str(Path(__file__).with_name(f"{WORKFLOW}.yaml")))
        world.script_mock()
        Airflow(stack).wait_for_dag(WORKFLOW)
        yield world
    finally:
        stack.stop()


def hops(view: InstanceView) -> list[float]:
    """Seconds from the end of a task to the first thing that the next one does, for each hop of an instance."""
    region_of = {outcome.id: exit_.region for exit_ in view.exits for outcome in exit_.outcomes}
    ended = {outcome.id: outcome.stamp for exit_ in view.exits for outcome in exit_.outcomes}
    found = []
    for exit_ in view.exits:
        before = [p for o in exit_.outcomes for p in o.parents if region_of.get(p) != exit_.region]
        if before:
            began = min(outcome.started for outcome in exit_.outcomes)
            found.append((began - max(ended[parent] for parent in before if parent in ended)) / 1000)
    return found


def visits(view: InstanceView) -> int:
    return sum(len(exit_.outcomes) for exit_ in view.exits)


def computed(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, float]]:
    """(kind of service, its seconds of CPU between the two, with what it has started), the largest first."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, seconds in after.items():
        found[re.sub(r"-\d+$", "", name.removesuffix(": what it starts"))] += seconds - before.get(name, 0.0)
    return sorted(found.items(), key=lambda each: -each[1])


async def run(world: World, platform: Platform, count: int) -> tuple[Fleet, float]:
    """All instances from their start to their end; how long it took (s)."""
    fleet = Fleet(world=world, workflows=(WORKFLOW,))
    begun = time.monotonic()
    fleet.start(count)
    shown, watch = 0.0, Stillness(still=STILL)
    while (ended := (await fleet.look(platform)).total()) < count:
        if time.monotonic() - shown > 10.0:
            shown = time.monotonic()
            world.say(f"{time.monotonic() - begun:6.0f} s  {ended} of {count} have ended")
        if watch.due:
            watch.see(fleet.signs())
        watch.give_up_on(f"the end of {count} instances")
        await asyncio.sleep(fleet.pause)
    return fleet, time.monotonic() - begun


async def measure(world: World, count: int) -> tuple[Figures, list[str]]:
    async with open_platform() as platform:
        world.aws_calls_anew()
        before = cpu_by_process(world.stack)
        fleet, seconds = await run(world, platform, count)
        calls, after = world.aws_calls(), cpu_by_process(world.stack)
        views = [view for i in fleet.instances if (view := await platform.ledger.instances.view(i))]
        lasted = [(view.instance.ended - view.instance.started) / 1000 for view in views]
        between = [hop for view in views for hop in hops(view)]
        problems = await settled(platform, fleet, STILL)
    services = {"DynamoDB": -fleet.looks / count}
    for name, number in calls.items():
        service = name.split(".", maxsplit=1)[0]
        services[service] = services.get(service, 0.0) + number / count
    rows: Sequence[tuple[str, Sequence[Any]]] = [
        ("instances", [float(count)]),
        ("hop latency p50 (s)", [percentile(between, 0.5)]),
        ("hop latency p95 (s)", [percentile(between, 0.95)]),
        ("instance p50 (s)", [percentile(lasted, 0.5)]),
        ("instance p95 (s)", [percentile(lasted, 0.95)]),
        ("instances/min", [60 * count / seconds]),
        ("visits/s", [sum(map(visits, views)) / seconds]),
        *((f"AWS calls per instance: {service}", [number]) for service, number in sorted(services.items())),
        *((f"CPU s per instance: {kind}", [number / count]) for kind, number in computed(before, after)),
    ]
    title = f"{count} instances at the same time on a cluster, on {usual_stand_in()} in place of AWS"
    return Figures(title=title, columns=["value"], rows=rows), problems


def test_many_instances_on_a_cluster(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Every instance completes once, the ledger balances, and how fast it was is told."""
    with capsys.disabled():
        figures, problems = asyncio.run(measure(world, COUNT))
        table = Table("what", "value", title=figures.title)
        for label, values in figures.rows:
            table.add_row(label, f"{values[0]:,.4g}")
        Console().print(table)
    target = ROOT / "build" / "cluster.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures.as_json(), indent=2) + "\n")

    assert problems == []
