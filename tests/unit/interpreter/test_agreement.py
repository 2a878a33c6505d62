"""The rules of execution agree with Airflow's scheduler, whatever the definition and the order of tasks."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace
from typing import Literal

from airflow_rules import AirflowRun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import ScriptedHost
from strategies import Scenario, cyclic_scenarios, scenarios

from cch.graph.build import build_graph
from cch.graph.plan import plan_tasks
from cch.graph.regions import Region
from cch.interpreter.context import merge
from cch.interpreter.flow import TokenFlow
from cch.interpreter.region import RegionRun

Granularity = Literal["node", "workflow"]
GRANULARITIES: st.SearchStrategy[Granularity] = st.sampled_from(["node", "workflow"])
#: What the triggerer calls; every call of the strategies is one of ``fn``.
AWAITED = st.sampled_from([frozenset[str](), frozenset({"fn"})])


def run_as_one(scenario: Scenario, clock: object = None) -> TokenFlow:
    """All nodes as a single region, as the simulator executes them."""
    graph = build_graph(scenario.definition)
    flow = TokenFlow(graph, plan_tasks(graph).domains, scenario.context)
    everything = Region(head=graph.entry, kind="wait", nodes=tuple(graph.nodes))
    asyncio.run(RegionRun(everything, flow, ScriptedHost(scenario.script, clock)).run())  # type: ignore[arg-type]
    return flow


def run_in_airflow(
    scenario: Scenario,
    seed: int,
    granularity: Granularity,
    clock: object = None,
    awaited: frozenset[str] = frozenset(),
) -> AirflowRun:
    """One task a region, in one of the orders that Airflow may choose."""
    graph = build_graph(replace(scenario.definition, granularity=granularity), awaited)
    run = AirflowRun(plan_tasks(graph), scenario, random.Random(seed), clock)
    asyncio.run(run.run())
    return run


def steps(flow: TokenFlow) -> dict[str, tuple[str, bool]]:
    return {key: (outcome.label, outcome.failed) for key, outcome in flow.outcomes.items()}


@given(scenario=scenarios(), seed=st.integers(0, 2**16), granularity=GRANULARITIES, awaited=AWAITED)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_airflow_and_one_region_agree(
    scenario: Scenario, seed: int, granularity: Granularity, awaited: frozenset[str]
) -> None:
    """Visits, edges, final context and status are the same in Airflow, in either layout, and in one region."""
    one = run_as_one(scenario)
    status = one.status()

    run = run_in_airflow(scenario, seed, granularity, awaited=awaited)
    flow = run.flow()

    assert (flow.status(), steps(flow)) == (status, steps(one))
    assert flow.final_context() == one.final_context()
    assert run.unfinished == []
    assert (run.state == "failed") == (status == "failed")


@given(scenario=scenarios(shared=False), seed=st.integers(0, 2**16))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_clocks_change_nothing_where_branches_write_their_own_keys(scenario: Scenario, seed: int) -> None:
    """Stamps from a wall clock order patches, but never decide which nodes run."""
    one = run_as_one(scenario, itertools.count(1000).__next__)
    status = one.status()
    run = run_in_airflow(scenario, seed, "node", itertools.count(5000).__next__)
    flow = run.flow()

    assert (flow.status(), steps(flow)) == (status, steps(one))
    timed = {"status", "_internalError", "_errorNode", "_errorCode"}
    assert {k: v for k, v in flow.final_context().items() if k not in timed} == {
        k: v for k, v in one.final_context().items() if k not in timed
    }


@given(scenario=cyclic_scenarios(), seed=st.integers(0, 2**16), granularity=GRANULARITIES, awaited=AWAITED)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_airflow_and_one_region_agree_about_loops_and_maps(
    scenario: Scenario, seed: int, granularity: Granularity, awaited: frozenset[str]
) -> None:
    """Every visit of every turn is the same, whether a loop is a task of its own or a part of one large region."""
    one = run_as_one(scenario)
    status = one.status()

    run = run_in_airflow(scenario, seed, granularity, awaited=awaited)
    flow = run.flow()

    assert (flow.status(), steps(flow)) == (status, steps(one))
    assert flow.final_context() == one.final_context()
    assert run.unfinished == []
    assert (run.state == "failed") == (status == "failed")


@given(scenario=st.one_of(scenarios(), cyclic_scenarios()))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_node_sees_all_that_led_to_it_by_stamp(scenario: Scenario) -> None:
    """However many branches and turns came together: nothing is missing, and the later one wins."""
    flow = run_as_one(scenario)

    for outcome in flow.outcomes.values():
        led = {}
        todo = list(outcome.parents)
        while todo:
            parent = flow.outcomes[todo.pop()]
            if parent.id not in led:
                led[parent.id] = parent
                todo.extend(parent.parents)
        seen = dict(flow.initial)
        for earlier in sorted(led.values(), key=lambda o: (o.stamp, o.node, o.visit)):
            seen = merge(seen, earlier.patch)
        assert flow.context(outcome.parents) == seen
