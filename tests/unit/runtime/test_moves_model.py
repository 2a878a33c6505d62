"""Random definition, random edit, random moment: what is moved ends as the new version says, with each effect once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

from airflow_rules import AirflowRun
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from scripted import ScriptedHost
from strategies import Scenario, cyclic_scenarios, scenarios

from cch.definition.model import Definition
from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.plan import Plan, plan_tasks
from cch.graph.regions import Region
from cch.interpreter.amendments import Amendments
from cch.interpreter.flow import TokenFlow
from cch.interpreter.region import RegionRun
from cch.interpreter.replay import JournalState
from cch.ledger.records import Exit, Instance, InstanceView, RequestRecord
from cch.runtime.move_plan import MovePlan, plan_move
from cch.runtime.standing_still import RefusedChangeError, Standing
from cch.runtime.task_wishes import task_wishes

_WAYS = ("on_success", "on_response", "on_event", "on_failure", "next")


class Edited:
    """A definition after a person has edited it."""

    def __init__(self, definition: Definition, draw: st.DrawFn) -> None:
        self.raw = json.loads(definition.text)
        self.renamed: dict[str, str] = {}
        self._draw = draw

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        nodes: dict[str, dict[str, Any]] = self.raw["nodes"]
        return nodes

    def _lead(self, old: str, new: str) -> None:
        """Let every way to ``old`` lead to ``new``."""
        if self.raw["entry_point"] == old:
            self.raw["entry_point"] = new
        for name, node in self.nodes.items():
            if name != new:
                self.nodes[name] = {key: _replaced(value, old, new) for key, value in node.items()}

    def insert(self) -> None:
        before = self._draw(st.sampled_from(sorted(self.nodes)))
        name = f"new{len(self.nodes)}"
        kind = self._draw(st.sampled_from(["async_request", "set_state"]))
        keys = (
            {"capability_id": "cap#it", "on_response": before}
            if kind == "async_request"
            else {"static_outputs": {"moved": 1}, "on_success": before}
        )
        self._lead(before, name)
        self.nodes[name] = {"type": kind, **keys}

    def remove(self) -> None:
        name = self._draw(st.sampled_from(sorted(self.nodes)))
        node = self.nodes[name]
        after = next((node[key] for key in ("on_success", "on_response", "next", "on_event") if key in node), None)
        if after is not None:
            del self.nodes[name]
            self._lead(name, after)

    def rename(self) -> None:
        name = self._draw(st.sampled_from(sorted(self.nodes)))
        if name in self.renamed.values():
            return
        new = f"{name}_renamed"
        self.raw["nodes"] = {new if each == name else each: node for each, node in self.nodes.items()}
        self._lead(name, new)
        for each, node in self.nodes.items():  # what _lead leaves out: ways from a node to itself
            self.nodes[each] = {key: _replaced(value, name, new) for key, value in node.items()}
        self.renamed[name] = new

    def redirect(self) -> None:
        """Let a way lead further on; one that leads back makes loops around forks, where tokens meet by chance."""
        if (definition := self.read()) is None:
            return
        name = self._draw(st.sampled_from(sorted(self.nodes)))
        ways = [key for key in _WAYS if key in self.nodes[name]]
        if ways and (ahead := sorted(build_graph(definition).ahead[name])):
            self.nodes[name][self._draw(st.sampled_from(ways))] = self._draw(st.sampled_from(ahead))

    def read(self) -> Definition | None:
        definition, _ = check(json.dumps(self.raw, indent=1), "random.yaml")
        return definition


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, old, new) for each in value]
    return new if value == old else value


def standing_of(run: AirflowRun, context: Mapping[str, Any], amendments: Amendments) -> Standing:
    """What the ledger would say of the run: tasks that have not finished wait for what they have asked."""
    view = InstanceView(
        instance=Instance(
            id="i",
            workflow_id="random",
            correlation_id="c",
            status="running",
            started=1,
            context=context,
            amendments=amendments,
        ),
        exits=tuple(
            Exit(region=region, generation=0, task_instance="t", outcomes=tuple(outcomes))
            for region, outcomes in run.left.items()
        ),
    )
    waiting = {run.plan.tasks[task].node for task, state in run.states.items() if state == "running"}
    ready = {each.node: each for each in run.flow().ready()}
    asked = [
        RequestRecord(
            command_id=f"{head}-{ready[head].visit}", instance="i", region=amendments.recorded(head),
            node=amendments.recorded(head), visit=ready[head].visit, attempt=1, source="cap#it", branch="",
            state="open", created=1, deadline=0, sent_at=1, task_instance="t", body_hash="", owners=frozenset(),
        )
        for head in waiting
        if head in ready and run.plan.graph.nodes[head].type == "async_request"
    ]  # fmt: skip
    journals = {amendments.recorded(head): JournalState(entries=1, task_instance="t") for head in waiting}
    return Standing(plan=run.plan, view=view, journals=journals, requests=asked)


def moved(run: AirflowRun, planned: MovePlan, new: Plan, seed: int) -> AirflowRun:
    """The run after Airflow's tables were made what the plan says."""
    after = AirflowRun(new, run.scenario, random.Random(seed), amendments=planned.amendments)
    after.outcomes, after.left = run.outcomes, run.left
    begun = {run.plan.tasks[task].node for task, state in run.states.items() if state == "running"}
    ready = {each.node for each in planned.flow.ready()}
    for task_id, wish in task_wishes(new, planned.flow, frozenset(begun & ready)).items():
        if wish.wish == "keep" and new.tasks[task_id].kind == "region":
            after.begin(task_id)
        elif wish.wish == "keep" or (wish.wish == "run" and new.tasks[task_id].kind == "list"):
            after.states[task_id] = "success"
        elif wish.wish == "done":
            after.states[task_id] = "success"
            if wish.followed is not None:
                after.followed[task_id] = wish.followed
        elif wish.wish == "run":
            after.begin(task_id)
    return after


@given(data=st.data(), seed=st.integers(0, 2**16))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_a_moved_instance_ends_as_its_new_version_says(data: st.DataObject, seed: int) -> None:
    """It ends in Airflow as it does in one region, every token finds its way, and nothing is visited twice."""
    scenario = data.draw(st.one_of(scenarios(wild=False), cyclic_scenarios()))
    edited = Edited(scenario.definition, data.draw)
    for edit in data.draw(
        st.lists(st.sampled_from(["insert", "remove", "rename", "redirect"]), min_size=1, max_size=3)
    ):
        getattr(edited, edit)()
    definition = edited.read()
    assume(definition is not None)
    assert definition is not None
    run = AirflowRun(plan_tasks(build_graph(scenario.definition)), scenario, random.Random(seed))
    asyncio.run(run.run(data.draw(st.integers(0, 40))))
    assume(run.flow().status() == "running")
    new = plan_tasks(build_graph(definition))
    try:
        planned = plan_move(standing_of(run, scenario.context, Amendments()), new, edited.renamed)
    except RefusedChangeError as refused:
        event(f"refused: {str(refused)[:30]}")
        return
    event("moved")
    names = {new_name: old for old, new_name in edited.renamed.items()}
    script = {
        name: scenario.script[names.get(name, name)]
        for name in definition.nodes
        if names.get(name, name) in scenario.script
    }
    run.scenario = Scenario(definition, script, scenario.context)
    after = moved(run, planned, new, seed)
    asyncio.run(after.finish_started())
    asyncio.run(after.run())

    one = run_on(new, planned, script)
    flow = after.flow()
    assert flow.status() != "running", (planned.before, planned.after, after.states)
    assert {key: (o.label, o.failed) for key, o in flow.outcomes.items()} == {
        key: (o.label, o.failed) for key, o in one.outcomes.items()
    }
    assert after.unfinished == []
    assert (after.state == "failed") == (flow.status() == "failed")


def run_on(plan: Plan, planned: MovePlan, script: Mapping[str, Any]) -> TokenFlow:
    """All that is left to do, as a single region."""
    flow = planned.flow
    everything = Region(head=plan.graph.entry, kind="wait", nodes=tuple(plan.graph.nodes))
    asyncio.run(RegionRun(everything, flow, ScriptedHost(script)).run())
    flow.status()
    return flow
