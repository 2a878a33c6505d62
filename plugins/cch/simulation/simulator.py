"""One run of a definition in one scenario, and whether it was as expected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition.model import Definition
from cch.definition.rules import NEWEST
from cch.definition.starting import context_problems, start_context
from cch.durations import parse_duration
from cch.envelope import parse_command, start_command
from cch.errors import MalformedMessageError
from cch.graph.plan import plan_of
from cch.graph.regions import Region
from cch.interpreter.context import MISSING, lookup
from cch.interpreter.contracted import TOLD
from cch.interpreter.flow import ENDED_NOWHERE, TokenFlow
from cch.interpreter.region import RegionRun
from cch.settings import Settings
from cch.simulation.bounds import BoundMetError
from cch.simulation.host import SimulationHost
from cch.simulation.scenario import Scenario, ScriptedEvent
from cch.simulation.timeline import run_virtually
from cch.simulation.world import World

#: Seconds by which an expected ``elapsed`` may be missed: clocks count milliseconds.
_TOLERANCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What happened. ``edges`` are the (node, label) pairs that were chosen.

    stopped: a bound was met (:mod:`cch.simulation.bounds`). rejected: the start would not be accepted. ``errors`` say
    why.
    """

    status: Literal["completed", "failed", "waiting", "stopped", "rejected"]
    visited: tuple[str, ...]
    context: Mapping[str, Any]
    requests: Mapping[str, int]
    messages: Mapping[str, int]
    elapsed_seconds: float
    waiting_for: tuple[str, ...] = ()
    errors: tuple[Mapping[str, Any], ...] = ()
    edges: frozenset[tuple[str, str]] = frozenset()
    #: Capability → the contexts that it was sent, where the scenario expects something of them.
    sent: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    #: Capabilities that answered by their contracts, because the scenario does not say what they answer.
    by_contract: tuple[str, ...] = ()
    #: Breaches of contracts that no node fails for.
    breaches: tuple[str, ...] = ()
    #: Events that do not fit the form of the node that they are for: refused, or taken where no person sends them.
    misfits: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "visited": list(self.visited),
            "context": {key: value for key, value in self.context.items() if not key.startswith("_")},
            "requests": dict(self.requests),
            "messages": dict(self.messages),
            "elapsed_seconds": self.elapsed_seconds,
            "waiting_for": list(self.waiting_for),
            "errors": [dict(error) for error in self.errors],
            "by_contract": list(self.by_contract),
            "breaches": list(self.breaches),
            "misfits": list(self.misfits),
        }


@dataclass(slots=True)
class _Run:
    definition: Definition
    scenario: Scenario
    settings: Settings
    flow: TokenFlow = field(init=False)
    world: World = field(init=False)
    #: Why the run ended before its work was done; "" if it did not.
    reason: str = ""
    _deliveries: list[asyncio.TimerHandle] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = plan_of(self.definition)
        context = start_context(self.definition, self.scenario.context)
        self.flow = TokenFlow(plan.graph, plan.domains, context)

    async def run(self) -> int:
        """Run to the end; the milliseconds that it took."""
        loop = asyncio.get_running_loop()
        contracts = self.definition.contracts
        forms = {name: node.form for name, node in self.definition.nodes.items() if node.form is not None}
        self.world = World(scenario=self.scenario, settings=self.settings, loop=loop, contracts=contracts, forms=forms)
        for event in self.scenario.events:
            self._deliveries.append(loop.call_at(event.after, self._deliver, event))
        host = SimulationHost(self.world, self.definition.workflow_id)
        nodes = tuple(self.flow.graph.nodes)
        work = RegionRun(Region(head=self.flow.graph.entry, kind="wait", nodes=nodes), self.flow, host).run()
        try:
            # As the DAG's own limit, which has none for 0.
            await asyncio.wait_for(work, self.definition.timeout or None)
        except TimeoutError:
            self.reason = f"the workflow's timeout of {self.definition.timeout:g} s is up"
        for delivery in self._deliveries:
            delivery.cancel()
        return round(loop.time() * 1000)

    def _deliver(self, event: ScriptedEvent) -> None:
        self.world.deliver(event)


def simulate(definition: Definition, scenario: Scenario, settings: Settings | None = None) -> Simulated:
    """Run the scenario in virtual time."""
    settings = settings or Settings()
    run = _Run(definition.in_dialect(definition.dialect or settings.dialect), scenario, settings)
    if problems := start_problems(definition, scenario, run.flow.initial):
        return _rejected(run, problems)
    bound = ""
    elapsed: int | None = None
    try:
        elapsed = run_virtually(run.run())
    except BoundMetError as error:
        bound = str(error)
    status: Literal["completed", "failed", "running"] = "running"
    if run.reason:
        status = "failed"
    elif elapsed is not None:
        status = run.flow.status()
    return _simulated(run, "stopped" if bound else "waiting" if status == "running" else status, elapsed, bound)


def start_problems(definition: Definition, scenario: Scenario, context: Mapping[str, Any]) -> list[str]:
    """Why the start would be rejected: what the real one is checked for."""
    problems = context_problems(definition, context)
    body = start_command(
        instance=SimulationHost.instance_id, command_id="start", definition_uri=f"{definition.workflow_id}.yaml",
        context=scenario.context, correlation_id=scenario.correlation_id or SimulationHost.instance_id, now=0,
    )  # fmt: skip
    try:
        parse_command(body)
    except MalformedMessageError as error:
        problems.append(error.reason)
    return problems


def _rejected(run: _Run, problems: Sequence[str]) -> Simulated:
    message = f"cannot start {run.definition.workflow_id}: {'; '.join(problems)}"
    return Simulated(
        status="rejected", visited=(), context=run.flow.initial, requests={}, messages={}, elapsed_seconds=0.0,
        errors=({"code": "REJECTED", "message": message, "node": ""},),
    )  # fmt: skip


def _simulated(
    run: _Run, status: Literal["completed", "failed", "waiting", "stopped"], elapsed: int | None, bound: str
) -> Simulated:
    world = run.world
    if status in ("completed", "failed"):
        world.messages["late"] += world.unused_events()
    done = list(world.visited)
    ended = [("STOPPED", bound)] if bound else [("TIMED_OUT", run.reason)] if run.reason else []
    if not ended and run.flow.ended_nowhere:
        ended = [(ENDED_NOWHERE, run.flow.reason())]
    return Simulated(
        status=status,
        visited=tuple(f"{o.node}[{branch}]" if branch else o.node for branch, o in done),
        context=run.flow.final_context(),
        requests=dict(world.requests),
        messages={kind: world.messages[kind] for kind in ("late", "duplicate", "orphan", "malformed", "refused")},
        elapsed_seconds=(elapsed if elapsed is not None else _last(run)) / 1000,
        waiting_for=_waiting_for(run) if status == "waiting" else (),
        errors=(*_errors(run), *({"code": code, "message": text, "node": ""} for code, text in ended)),
        edges=frozenset((o.node, o.label) for _, o in done),
        sent=world.sent,
        misfits=tuple(world.misfits),
        by_contract=tuple(sorted(world.by_contract)),
        breaches=tuple(dict.fromkeys(f"{o.node}: {o.cause[TOLD]}" for _, o in done if TOLD in o.cause)),
    )


def _waiting_for(run: _Run) -> tuple[str, ...]:
    """Nodes that hold tokens; instead of a map, what its items wait for."""
    waiting = [f"{node}[{path[-1]}]" if path else node for path, node in run.world.waiting]
    in_items = any(path for path, _ in run.world.waiting)
    maps = set(run.flow.graph.maps) if in_items else set()
    return (*waiting, *(name for name in run.flow.positions if name not in maps and name not in waiting))


def _last(run: _Run) -> int:
    """Milliseconds until the last thing that happened."""
    stamps = [outcome.stamp for _, outcome in run.world.visited]
    return max(stamps) - run.scenario.start if stamps else 0


def _errors(run: _Run) -> Iterator[Mapping[str, Any]]:
    world = run.world
    for branch, outcome in world.visited:
        yield from outcome.errors
        if outcome.failed or outcome.patch.get("_errorNode") == outcome.node:
            own = outcome.patch.get("_internalError") or f"ended at {outcome.node!r} as failed"
            reason = own if branch else run.flow.failure_reason(outcome)
            where = f"{outcome.node}[{branch}]" if branch else outcome.node
            yield {"code": "NODE_FAILED", "message": reason, "node": where}
    for capability in sorted(world.unscripted):
        yield {"code": "UNSCRIPTED", "message": f"the scenario has no answer of {capability}", "node": ""}


def differences(result: Simulated, expect: Mapping[str, Any]) -> list[str]:
    """How ``result`` is not as expected; empty if it is."""
    found: list[str] = []
    if "status" in expect and expect["status"] != result.status:
        waits = f" (waits for {', '.join(result.waiting_for)})" if result.waiting_for else ""
        found.append(f"status is {result.status}{waits}, expected {expect['status']}")
    if "visited" in expect:
        found.extend(_visited_differences(list(result.visited), list(expect["visited"])))
    for key, wanted in (expect.get("context") or {}).items():
        value = lookup(result.context, key, NEWEST)
        if not same(value, wanted):
            shown = "absent" if value is MISSING else repr(value)
            found.append(f"context {key} is {shown:.200}, expected {wanted!r:.200}")
    for name, actual in (("requests", result.requests), ("messages", result.messages)):
        for key, wanted in (expect.get(name) or {}).items():
            if isinstance(wanted, list):
                found.extend(_sent_differences(key, result.sent.get(key, ()), wanted))
            elif not same(actual.get(key, 0), wanted):
                found.append(f"{name} {key}: {actual.get(key, 0)}, expected {wanted}")
    if "elapsed" in expect:
        wanted = parse_duration(expect["elapsed"])
        if abs(wanted - result.elapsed_seconds) > _TOLERANCE:
            found.append(f"elapsed {result.elapsed_seconds:g} s, expected {wanted:g} s")
    return found


def _sent_differences(capability: str, sent: Sequence[Mapping[str, Any]], wanted: Sequence[Any]) -> Iterator[str]:
    """How requests differ from ``[{context: {…}}, …]``, in their order; a context may have more than is expected."""
    if len(sent) != len(wanted):
        yield f"requests {capability}: {len(sent)}, expected {len(wanted)}"
    for number, (context, each) in enumerate(zip(sent, wanted, strict=False), 1):
        expected = each.get("context", {}) if isinstance(each, Mapping) else each
        for key, value in expected.items() if isinstance(expected, Mapping) else ():
            actual = lookup(context, key, NEWEST)
            if not same(actual, value):
                shown = "absent" if actual is MISSING else repr(actual)
                yield f"request {number} to {capability}: {key} is {shown:.200}, expected {value!r:.200}"


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, which Python takes for equal, but 1.0 is 1."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case (Mapping(), Mapping()):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case (list(), list()):
            return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
        case _:
            return bool(one == other)


def _visited_differences(visited: Sequence[str], expected: Sequence[Any]) -> Iterator[str]:
    """Compare in order; ``{any: [...]}`` stands for its names in whatever order."""
    position = 0
    for wanted in expected:
        names = list(wanted["any"]) if isinstance(wanted, Mapping) and "any" in wanted else [wanted]
        here = list(visited[position : position + len(names)])
        if sorted(map(str, here)) != sorted(map(str, names)):
            yield f"visit {position + 1} is {', '.join(here) or 'nothing'}, expected {', '.join(map(str, names))}"
            return
        position += len(names)
    if position < len(visited):
        yield f"visited more than expected: {', '.join(visited[position : position + 5])}"
