"""Runs one region: turns of instant nodes, then effects, until no token is left in it."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace

from cch.definition.kinds import NodeRecord
from cch.definition.rules import THIRD
from cch.graph.model import Graph
from cch.graph.regions import Region
from cch.interpreter.effects import perform
from cch.interpreter.flow import Ready, TokenFlow
from cch.interpreter.host import Host
from cch.interpreter.instants import evaluate
from cch.interpreter.mapping import run_map
from cch.interpreter.outcome import Outcome
from cch.interpreter.visit import About, Result, Visit, failure, visit_at


class RegionRun:
    """One execution of one region on a host.

    ``flow`` must hold the outcomes of the regions before it and the region's own journal.
    """

    def __init__(self, region: Region, flow: TokenFlow, host: Host) -> None:
        self._region = region
        self._members = frozenset(region.nodes)
        self._flow = flow
        self._host = host
        self._running: dict[str, tuple[Ready, int, asyncio.Task[Result]]] = {}
        self._about = About(
            id=host.instance_id, correlation_id=host.correlation_id, workflow_id=host.workflow_id, started=host.started
        )

    @staticmethod
    def may_begin(region: Region, flow: TokenFlow) -> bool:
        """Whether the recorded outcomes of other regions lead into this one."""
        return any(ready.node in region.nodes for ready in flow.ready())

    async def approach(self, name: str) -> Visit | None:
        """The visit that node ``name`` is about to get, if it is; what leads to it is evaluated, not committed."""
        await self._settle()
        ready = next((ready for ready in self._ready() if ready.node == name), None)
        return None if ready is None else self._visit(ready, self._host.now())

    async def run(self) -> None:
        """Go on until nothing in the region can run.

        :raises OvertakenError: another copy of the region committed first; read the journal and run again.
        """
        await self._host.follow(self._flow)
        try:
            turn = await self._settle()
            while True:
                if turn:
                    await self._host.commit(turn)
                self._start_effects()
                if not self._running:
                    await self._host.leave()
                    return
                turn = await self._next_turn()
        finally:
            for _, _, task in self._running.values():
                task.cancel()

    def _ready(self) -> list[Ready]:
        return [r for r in self._flow.ready() if r.node in self._members and r.node not in self._running]

    async def _settle(self) -> list[Outcome]:
        """Evaluate instant nodes until none is ready."""
        turn: list[Outcome] = []
        while True:
            ready = [r for r in self._ready() if self._flow.graph.nodes[r.node].effect == "instant"]
            if not ready:
                return turn
            for one in ready:
                turn.append(await self._instant(one))
                self._flow.apply(turn[-1])

    def _visit(self, ready: Ready, now: int) -> Visit:
        return visit_at(self._flow, ready, now, self._about)

    async def _instant(self, ready: Ready) -> Outcome:
        now = self._host.now()
        stamp = self._flow.stamp(ready.parents, now)
        node = self._flow.graph.nodes[ready.node]
        result = too_often(self._flow.graph, ready) or await self._evaluated(node, self._visit(ready, stamp))
        for error in result.errors:
            self._host.note("workflow error", **error)
        return self._outcome(ready, result, stamp, stamp)

    async def _evaluated(self, node: NodeRecord, visit: Visit) -> Result:
        if not node.expressions():
            return evaluate(node, visit)
        return await self._host.compute(functools.partial(evaluate, node, visit))

    def _start_effects(self) -> None:
        for ready in self._ready():
            now = self._host.now()
            work = self._perform(ready, now)
            self._running[ready.node] = (ready, now, asyncio.create_task(work, name=f"visit {ready.node}"))

    async def _perform(self, ready: Ready, now: int) -> Result:
        node = self._flow.graph.nodes[ready.node]
        if (failed := too_often(self._flow.graph, ready)) is not None:
            return failed
        visit = self._visit(ready, now)
        if (mapping := self._flow.graph.maps.get(ready.node)) is not None:
            return await run_map(mapping, visit, self._host, run_region)
        return await perform(node, visit, self._host)

    async def _next_turn(self) -> list[Outcome]:
        await asyncio.wait([task for _, _, task in self._running.values()], return_when=asyncio.FIRST_COMPLETED)
        name = next(name for name, (_, _, task) in self._running.items() if task.done())
        ready, started, task = self._running.pop(name)
        stamp = self._flow.stamp(ready.parents, self._host.now())
        turn = [self._outcome(ready, task.result(), stamp, started)]
        self._flow.apply(turn[0])
        return turn + await self._settle()

    def _outcome(self, ready: Ready, result: Result, stamp: int, started: int) -> Outcome:
        return outcome_of(self._flow.graph, ready, result, stamp, started)


def too_often(graph: Graph, ready: Ready) -> Result | None:
    """The failure of a node that was visited more often than ``max_visits`` says; None if it was not."""
    node = graph.nodes[ready.node]
    if ready.visit <= node.max_visits:
        return None
    reason = f"{ready.node!r} was visited more than {node.max_visits} times"
    failed = failure(graph, node, reason)
    # A way on that leads back here would be gone for ever; the older rules let it be gone max_visits times.
    is_last = graph.definition.reading_rules >= THIRD or ready.visit > 2 * node.max_visits
    return replace(failed, label="", failed=True) if is_last else failed


def outcome_of(graph: Graph, ready: Ready, result: Result, stamp: int, started: int) -> Outcome:
    """The outcome of a visit that began at ``started`` and ended at ``stamp`` (ms) with this result."""
    edges = graph.chosen(ready.node, result.label) if result.label else ()
    return Outcome(
        node=ready.node,
        visit=ready.visit,
        stamp=stamp,
        started=started,
        parents=ready.parents,
        label=result.label,
        targets=tuple(dict.fromkeys([*(edge.target for edge in edges), *([ready.node] if result.again else [])])),
        patch=result.patch,
        failed=result.failed,
        cause=result.cause,
        errors=result.errors,
    )


async def run_region(region: Region, flow: TokenFlow, host: Host) -> None:
    """Run one region until nothing in it can run; see :meth:`RegionRun.run`."""
    await RegionRun(region, flow, host).run()
