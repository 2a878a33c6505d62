"""A recorded history under another definition: the same answers, perhaps another way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from scripted import ScriptedHost
from strategies import Behaviour, Scenario, cyclic_scenarios, scenarios

from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.plan import Plan, plan_tasks
from cch.graph.regions import Region
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome
from cch.interpreter.region import RegionRun
from cch.interpreter.rehearsal import rehearse
from cch.interpreter.visit import About

TEXT = """
workflow_id: w
workflow_name: w
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Decide, error_reply: failure}
  Decide: {type: condition, condition_on_key: lane, branches: {green: Release, _default: Inspect}}
  Inspect: {type: async_request, capability_id: a#inspect, on_response: Release, error_reply: failure}
  Release: {type: set_state, static_outputs: {released: true}, on_success: E}
  E: {type: end}
"""


def plan_for(text: str) -> Plan:
    definition, problems = check(text, "d.yaml")
    assert definition is not None, problems
    return plan_tasks(build_graph(definition))


def history(plan: Plan, script: dict[str, Behaviour], context: Any = None) -> list[Outcome]:
    """What an instance has recorded whose capabilities answer so."""
    flow = TokenFlow(plan.graph, plan.domains, context or {})
    everything = Region(head=plan.graph.entry, kind="wait", nodes=tuple(plan.graph.nodes))
    host = ScriptedHost(script)
    asyncio.run(RegionRun(everything, flow, host).run())
    return host.committed


GREEN = {"Ask": Behaviour(payload={"lane": "green"})}
RED = {"Ask": Behaviour(payload={"lane": "red"}), "Inspect": Behaviour()}


@pytest.mark.parametrize("script", [GREEN, RED])
def test_its_own_definition_takes_it_the_same_way(script: dict[str, Behaviour]) -> None:
    """Whatever way that was."""
    plan = plan_for(TEXT)
    assert rehearse(plan, {}, history(plan, script), About()).course == "same"


@pytest.mark.parametrize(
    ("old", "new", "script", "words"),
    [
        ("green: Release, _default: Inspect", "green: Inspect, _default: Release", GREEN, "Decide: Release → Inspect"),
        ("condition_on_key: lane", "condition_on_key: other", GREEN, "Decide: Release → Inspect"),
        ("on_response: Decide", "on_response: Inspect", GREEN, "Ask: Decide → Inspect"),
        ("on_success: E}", "on_success: Tell}\n  Tell: {type: event_wait, on_event: E}", RED, "Release: E → Tell"),
        ("entry_point: Ask", "entry_point: Inspect", GREEN, "comes to Inspect, which nobody has answered"),
    ],
)
def test_another_definition_says_where_it_would_part(
    old: str, new: str, script: dict[str, Behaviour], words: str
) -> None:
    """By the node, and where it went and would go."""
    recorded = history(plan_for(TEXT), script)
    assert str(rehearse(plan_for(TEXT.replace(old, new)), {}, recorded, About())) == words


def test_a_way_that_is_gone_is_named() -> None:
    """The reply was an ERROR, and nobody takes it any more."""
    text = TEXT.replace("Ask: {type", "Ask: {on_failure: Inspect, type")
    recorded = history(plan_for(text), {"Ask": Behaviour(kind="error"), "Inspect": Behaviour()})
    assert str(rehearse(plan_for(TEXT), {}, recorded, About())) == "Ask: the way 'on_failure' is gone"


def test_where_the_instance_stands_the_rehearsal_ends() -> None:
    """It waits at a node in both definitions, or before one that is new: so far it has gone the same way."""
    recorded = history(plan_for(TEXT), RED)[:2]
    assert rehearse(plan_for(TEXT), {}, recorded, About()).course == "same"


@given(scenario=scenarios())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_any_history_goes_the_same_way_by_its_own_definition(scenario: Scenario) -> None:
    """Forks, joins, failures and expressions included."""
    _same(scenario)


@given(scenario=cyclic_scenarios())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_loops_go_the_same_way_by_their_own_definition(scenario: Scenario) -> None:
    """Round by round."""
    _same(scenario)


def _same(scenario: Scenario) -> None:
    plan = plan_tasks(build_graph(replace(scenario.definition)))
    recorded = history(plan, dict(scenario.script), scenario.context)
    about = About(id="i", correlation_id="c", workflow_id="random", started=ScriptedHost.started)
    found = rehearse(plan, scenario.context, recorded, about)
    assert found.course == "same", str(found)
