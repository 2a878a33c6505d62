"""The faults, as data: how each begins, how it is mended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import boto3

from tests.chaos.world import DEFINITIONS, ChaosStack, World

Step = Callable[[World], None]


def _nothing(_: World) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``impossible`` says why it cannot be injected into this stack, or ""."""

    name: str
    inject: Step
    heal: Step
    impossible: Callable[[World], str] = _nothing


# --- processes ------------------------------------------------------------------------------------------------


def _kill(kind: str) -> Fault:
    def impossible(world: World) -> str:
        return "" if world.services(kind) else f"there is no {kind} in this topology"

    return Fault(
        name=f"kill-{kind}",
        inject=lambda world: world.kill(world.any_of(kind)),
        heal=World.restart,
        impossible=impossible,
    )


def _kill_all(world: World) -> None:
    for name in world.stack.topology.airflow:
        world.kill(name)


def _restart_postgresql(world: World) -> None:
    world.stack.processes.stop(["postgresql"])


def _no_postgresql(world: World) -> str:
    return "" if world.services("postgresql") else "the database is SQLite"


#: Who was stopped, until it goes on.
_stopped: list[str] = []


def _stop_triggerer(world: World) -> None:
    _stopped.append(world.any_of("triggerer"))
    world.stack.processes.signal(_stopped[0], signal.SIGSTOP)
    if len(world.services("triggerer")) > 1:
        time.sleep(threshold() + 5.0)  # the other one takes over what it holds


def _continue_triggerer(world: World) -> None:
    world.stack.processes.signal(_stopped.pop(), signal.SIGCONT)


def threshold() -> float:
    """Seconds after which Airflow takes a silent triggerer for dead."""
    return float(os.environ.get("AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD", "30"))


# --- AWS ------------------------------------------------------------------------------------------------------


def _aws(service: str, mode: str, share: float = 1.0) -> Fault:
    return Fault(
        name=f"{service}-{mode}",
        inject=lambda world: world.aws_fault(service, mode, world.hold * 3, share),
        heal=lambda world: world.aws_fault(service, mode, 0),
    )


# --- clocks ---------------------------------------------------------------------------------------------------


def _set_clock(seconds: int) -> Step:
    def step(world: World) -> None:
        assert isinstance(world.stack, ChaosStack)
        world.stack.set_clock(seconds)

    return step


def _no_clock(world: World) -> str:
    if not (world.stack.layout.home / "clock.so").exists():
        return "no triggerer of this stack has a clock that can be set (which needs a C compiler, cc)"
    return ""


def _clock(name: str, seconds: int) -> Fault:
    return Fault(name=name, inject=_set_clock(seconds), heal=_set_clock(0), impossible=_no_clock)


# --- definitions ----------------------------------------------------------------------------------------------


def _publish(world: World, change: Callable[[str], str]) -> None:
    environment = world.environment
    s3 = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key="-",
        region_name="us-east-1",
    )
    bucket = "cch-{CCH_ENV}-{CCH_OWNER}-workflow-definitions-bucket".format(**environment)
    for file in sorted(DEFINITIONS.glob("chaos_*.yaml")):
        s3.put_object(Bucket=bucket, Key=file.name, Body=change(file.read_text()).encode())


def _rewrite(change: Callable[[str], str]) -> Step:
    return lambda world: _publish(world, change)


def _as_it_was(text: str) -> str:
    return text


# --- people ---------------------------------------------------------------------------------------------------


#: Workflow → the node from which a person retries it, and the one that he decides by hand.
_MENDED = {
    "chaos_sequence_v1": ("Late", "Failing"),
    "chaos_loop_v1": ("Ask", "Reply"),
    "chaos_map_v1": ("Bills", "Close"),
}
#: Seconds after which every process has seen a publication (twice CCH_REFRESH_SECONDS of the local stack, and some).
_SEEN = 5.0


def _move(change: Callable[[str], str]) -> Step:
    """Publish another text, and move whoever is alive to it; those of which a step is on a worker stay."""

    def step(world: World) -> None:
        _publish(world, change)
        time.sleep(_SEEN)
        for name in _workflows():
            answer = json.loads(world.try_cch("migrate", name, "--all", "--json") or '{"instances": []}')
            outcomes = Counter(each["outcome"] for each in answer["instances"])
            world.say(f"{name}: {', '.join(f'{count} {word}' for word, count in outcomes.items()) or 'nobody'}")

    return step


def _each_live(command: str, *arguments: str, node: int | None = None) -> Step:
    """Do something to every instance that is alive; where it cannot be done, nothing changes.

    ``node``: of those that a person deals with in its workflow, the one at this place.
    """

    def step(world: World) -> None:
        for name in _workflows():
            nodes = [] if node is None else [_MENDED[name][node]]
            listed = json.loads(world.try_cch("status", "--workflow", name, "--limit", "1000", "--json") or "{}")
            for each in listed.get("instances", ()):
                if each["status"] == "running":
                    world.try_cch(command, each["instance_id"], *nodes, *arguments)

    return step


def _in_turn(*steps: Step) -> Step:
    def all_of_them(world: World) -> None:
        for step in steps:
            step(world)

    return all_of_them


def _workflows() -> list[str]:
    return [file.stem for file in sorted(DEFINITIONS.glob("chaos_*.yaml"))]


FAULTS: tuple[Fault, ...] = (
    *map(_kill, ("triggerer", "scheduler", "worker", "api-server", "dag-processor", "mock")),
    Fault(name="kill-airflow", inject=_kill_all, heal=World.restart),
    *(_aws(service, mode) for service in ("sqs", "dynamodb", "s3") for mode in ("refuse", "hang")),
    *(_aws(service, "throttle", 0.8) for service in ("sqs", "dynamodb", "s3")),
    *(_aws(service, "forget", 0.5) for service in ("sqs", "dynamodb", "s3")),
    Fault(
        name="restart-postgresql",
        inject=_restart_postgresql,
        heal=World.restart,
        impossible=_no_postgresql,
    ),
    Fault(name="stop-triggerer", inject=_stop_triggerer, heal=_continue_triggerer),
    _clock("clock-forward", 300),
    _clock("clock-back", -300),
    Fault(
        name="definition-changed",
        inject=_rewrite(lambda text: text.replace('name: "Chaos:', 'name: "Changed:')),
        heal=_rewrite(_as_it_was),
    ),
    Fault(
        name="move",
        inject=_move(lambda text: text.replace('name: "Chaos:', 'name: "Moved:')),
        heal=_move(_as_it_was),
    ),
    Fault(name="mend", inject=_each_live("hold", "--reason", "chaos"), heal=_each_live("release")),
    Fault(
        name="retry",
        inject=_in_turn(
            _each_live("retry", "--reason", "chaos", node=0),
            _each_live("patch", "--set", "chaos=true"),
        ),
        heal=_each_live("complete", "--as", "skipped", "--reason", "chaos", node=1),
    ),
    Fault(name="definition-broken", inject=_rewrite(lambda text: text[: len(text) // 2]), heal=_rewrite(_as_it_was)),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
#: Those of which a mixed round is made: what can happen beside anything else.
MIXED = tuple(fault.name for fault in FAULTS if fault.name != "kill-airflow")
