"""A reference scheduler: executes a plan by the rules of Airflow's own, in an order that a random source decides.

Written from Airflow 3.3.1: ``ti_deps/deps/trigger_rule_dep.py`` (the two rules we use), and
``not_previously_skipped_dep.py``. Where Airflow leaves the order of two dependencies open, so does this.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import Literal

from scripted import ScriptedHost
from strategies import Scenario

from cch.graph.plan import Plan
from cch.interpreter.amendments import UNAMENDED, Amendments
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome
from cch.interpreter.region import RegionRun

State = Literal["running", "success", "failed", "skipped", "upstream_failed"]


@dataclass(slots=True)
class _Ending:
    """What a region task that runs will leave when it finishes."""

    state: State
    outcomes: tuple[Outcome, ...] = ()
    followed: tuple[str, ...] = ()


@dataclass(slots=True)
class AirflowRun:
    """One DagRun of a plan. ``left``: region → what it has left; ``amendments``: as in a flow."""

    plan: Plan
    scenario: Scenario
    randomness: random.Random
    clock: object = None
    states: dict[str, State] = field(default_factory=dict)
    followed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    left: dict[str, list[Outcome]] = field(default_factory=dict)
    amendments: Amendments = UNAMENDED
    _endings: dict[str, _Ending] = field(default_factory=dict)
    _parents: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parents = {task: sorted(a for a, b in self.plan.edges if b == task) for task in self.plan.tasks}

    def flow(self) -> TokenFlow:
        flow = TokenFlow(self.plan.graph, self.plan.domains, self.scenario.context, amendments=self.amendments)
        flow.apply_all(self.outcomes)
        return flow

    async def run(self, most: int | None = None) -> None:
        """Take steps in random order until nothing can happen, or ``most`` are taken."""
        for number in itertools.count():
            if number == most:
                return
            steps = [("settle", task) for task in self.plan.tasks if self._settled(task)]
            steps += [("finish", task) for task in self._endings]
            if not steps:
                return
            kind, task = self.randomness.choice(steps)
            if kind == "finish":
                self._finish(task)
            else:
                await self._settle(task)

    @property
    def unfinished(self) -> list[str]:
        return [task for task in self.plan.tasks if task not in self.states]

    @property
    def state(self) -> str:
        """The DagRun's state: that of its leaves, as ``DagRun.update_state`` decides it."""
        leaves = [task for task in self.plan.tasks if not any(a == task for a, _ in self.plan.edges)]
        bad = any(self.states.get(task) in ("failed", "upstream_failed") for task in leaves)
        return "failed" if bad else "success"

    def _settled(self, task: str) -> list[State | Literal["ready"]]:
        """What the scheduler may do with a task now; nothing if it must wait."""
        if task in self.states:
            return []
        found = [self.states.get(parent) for parent in self._parents[task]]
        success, skipped = found.count("success"), found.count("skipped")
        failed = found.count("failed") + found.count("upstream_failed")
        done = success + skipped + failed
        verdicts: list[State | Literal["ready"]] = []
        if self.plan.tasks[task].rule == "all_done":
            return ["ready"] if done == len(found) else []
        if failed:
            verdicts.append("upstream_failed")
        elif self.plan.tasks[task].rule == "all_success":
            if skipped:
                verdicts.append("skipped")
        elif found and skipped == len(found):
            verdicts.append("skipped")
        verdicts.extend("skipped" for p in self._parents[task] if task not in self.followed.get(p, (task,)))
        return verdicts or (["ready"] if done == len(found) else [])

    async def _settle(self, task: str) -> None:
        verdict = self.randomness.choice(self._settled(task))
        if verdict != "ready":
            self.states[task] = verdict
        elif self.plan.tasks[task].kind != "region":
            self.states[task] = "success"
        else:
            self.states[task] = "running"
            self._endings[task] = await self._execute(self.plan.tasks[task].node)

    def begin(self, task: str) -> None:
        """Let a task run that somebody has begun from outside."""
        self.states[task] = "running"

    async def finish_started(self) -> None:
        """What was begun from outside runs by now."""
        for task, state in list(self.states.items()):
            if state == "running" and task not in self._endings:
                self._endings[task] = await self._execute(self.plan.tasks[task].node)

    async def _execute(self, head: str) -> _Ending:
        """What ``cch.runtime.execution`` does, with the exits that are there when the task starts."""
        region, flow = self.plan.regions[head], self.flow()
        if not RegionRun.may_begin(region, flow):
            if region.mapped and (head in flow.stopped or flow.may_reach(head)):
                return _Ending("failed")
            return _Ending("skipped")
        await RegionRun(region, flow, ScriptedHost(self.scenario.script, self.clock)).run()  # type: ignore[arg-type]
        outcomes = tuple(o for o in flow.outcomes.values() if o.node in region.nodes)
        if any(outcome.failed for outcome in outcomes):
            return _Ending("failed", outcomes)
        fired = {outcome.node for outcome in outcomes}
        return _Ending(
            "success", outcomes, tuple(self.plan.followed(head, flow.taken(self.plan.regions[head].nodes), fired))
        )

    def _finish(self, task: str) -> None:
        ending = self._endings.pop(task)
        self.states[task] = ending.state
        self.outcomes.extend(ending.outcomes)
        self.left.setdefault(self.amendments.recorded(self.plan.tasks[task].node), []).extend(ending.outcomes)
        flow = self.flow()
        if ending.state == "success" and flow.status() == "failed" and flow.ended_nowhere:
            self.states[task] = "failed"
        elif ending.state == "success":
            self.followed[task] = ending.followed
