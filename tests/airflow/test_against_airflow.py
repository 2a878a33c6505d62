"""Random definitions on Airflow itself: its scheduling rules, its trigger rules, its skips, and our ledger.

``CCH_AIRFLOW_EXAMPLES=200 pytest tests/airflow/test_against_airflow.py`` tries so many, and others than CI.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

UNIT = Path(__file__).resolve().parents[1] / "unit"
if str(UNIT) not in sys.path:
    sys.path.insert(0, str(UNIT))

from scripted import ScriptedHost  # noqa: E402
from strategies import Scenario, cyclic_scenarios, scenarios  # noqa: E402

from cch.compiler.factory import workflow_dags  # noqa: E402
from cch.graph.build import build_graph  # noqa: E402
from cch.graph.checks import check  # noqa: E402
from cch.graph.plan import plan_tasks  # noqa: E402
from cch.graph.regions import Region  # noqa: E402
from cch.interpreter.flow import TokenFlow  # noqa: E402
from cch.interpreter.host import Answer, Call, EventAnswer, EventQuery, Request  # noqa: E402
from cch.interpreter.region import RegionRun  # noqa: E402
from cch.ledger.ledger import Ledger  # noqa: E402
from cch.ledger.records import instance_id_of_run  # noqa: E402
from cch.runtime import execution, host  # noqa: E402
from cch.runtime.definitions import open_catalogue  # noqa: E402
from cch.runtime.host import LedgerHost  # noqa: E402
from cch.runtime.mapped import ItemHost, ResultsHost  # noqa: E402
from cch.runtime.platform import Platform, use_opener  # noqa: E402
from cch.settings import load_settings  # noqa: E402
from cch.testing.memory_queue import MemoryQueues  # noqa: E402
from cch.testing.memory_store import MemoryBlobs, MemoryStore  # noqa: E402


def scripted_hosts(script: Mapping[str, Any]) -> dict[type[LedgerHost], type[LedgerHost]]:
    """The hosts of real runs, with capabilities that answer as the script says."""

    class Scripted:
        async def request(self, request: Request) -> Answer:
            return await ScriptedHost(script, self.now).request(request)  # type: ignore[attr-defined]

        async def wait_event(self, query: EventQuery) -> EventAnswer:
            return await ScriptedHost(script).wait_event(query)

        async def call(self, call: Call) -> Mapping[str, Any]:
            return await ScriptedHost(script).call(call)

        async def library(
            self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
        ) -> Any:
            return await ScriptedHost(script).library(function_id, parameters, context, rules)

    return {
        kind: type(f"Scripted{kind.__name__}", (Scripted, kind), {}) for kind in (LedgerHost, ItemHost, ResultsHost)
    }


def as_one_region(scenario: Scenario) -> TokenFlow:
    """The same definition without Airflow: all nodes in one region."""
    graph = build_graph(scenario.definition)
    flow = TokenFlow(graph, plan_tasks(graph).domains, scenario.context)
    everything = Region(head=graph.entry, kind="wait", nodes=tuple(graph.nodes))
    asyncio.run(RegionRun(everything, flow, ScriptedHost(scenario.script)).run())
    return flow


def on_airflow(scenario: Scenario, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TokenFlow, str]:
    """Run it with ``DAG.test()``; what the ledger then says, and the state of Airflow's run."""
    (definitions / "random.yaml").write_text(scenario.definition.text)
    ledger = Ledger(MemoryStore(), MemoryBlobs())

    @asynccontextmanager
    async def memory_platform() -> AsyncIterator[Platform]:
        config = load_settings()
        yield Platform(
            settings=config,
            ledger=ledger,
            queues=MemoryQueues(config.names.reply_queue),
            catalogue=open_catalogue(config),
            read_object=lambda uri: uri,
        )

    previous = use_opener(memory_platform)
    for kind, scripted in scripted_hosts(scenario.script).items():
        monkeypatch.setattr(execution, kind.__name__, scripted)
        if kind is LedgerHost:
            monkeypatch.setattr(host, "LedgerHost", scripted)  # items of maps
    try:
        (dag,) = [dag for dag in workflow_dags() if dag.dag_id == "random"]
        run = dag.test(run_conf=dict(scenario.context))
    finally:
        use_opener(previous)
    view = asyncio.run(ledger.instances.view(instance_id_of_run("random", run.run_id)))
    assert view is not None
    plan = plan_tasks(build_graph(scenario.definition))
    flow = TokenFlow(plan.graph, plan.domains, view.instance.context)
    flow.apply_all(outcome for exit_ in view.exits for outcome in exit_.outcomes)
    assert view.instance.status == flow.status()
    return flow, str(run.state.value if hasattr(run.state, "value") else run.state)


def steps(flow: TokenFlow) -> dict[str, tuple[str, bool]]:
    return {key: (outcome.label, outcome.failed) for key, outcome in flow.outcomes.items()}


def same_on_airflow(scenario: Scenario, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both visit the same nodes by the same edges, come to the same context, and end the same way."""
    one = as_one_region(scenario)
    status = one.status()

    flow, state = on_airflow(scenario, definitions, monkeypatch)

    assert (flow.status(), steps(flow)) == (status, steps(one))
    timed = {"status", "_internalError", "_errorNode", "_errorCode"}
    assert {k: v for k, v in flow.final_context().items() if k not in timed} == {
        k: v for k, v in one.final_context().items() if k not in timed
    }
    assert state == ("failed" if status == "failed" else "success")


def bounded(examples: int) -> settings:
    """The same few examples every time, or many new ones if somebody asks for them."""
    wanted = int(os.environ.get("CCH_AIRFLOW_EXAMPLES", "0"))
    return settings(
        max_examples=wanted or examples, derandomize=not wanted, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_airflow_agrees_with_the_interpreter(
    airflow_database: None, definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow visits the same nodes by the same edges, comes to the same context, and fails when the instance does."""

    @given(scenario=scenarios(shared=False))
    @bounded(12)
    def check(scenario: Scenario) -> None:
        same_on_airflow(scenario, definitions, monkeypatch)

    check()


@pytest.mark.filterwarnings("ignore")
def test_airflow_agrees_about_loops_and_maps(
    airflow_database: None, definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every turn of a loop and every item of a map is the same, with forks, waits and errors around and inside them."""

    @given(scenario=cyclic_scenarios(shared=False))
    @bounded(10)
    def check(scenario: Scenario) -> None:
        same_on_airflow(scenario, definitions, monkeypatch)

    check()


NOWHERE = {
    "after a call": "A: {type: sync_call, capability_id: a, on_success: B, on_failure: E}\n"
    "B: {type: set_state}\nE: {type: end}",
    "after a call that is the last node": "A: {type: sync_call, capability_id: a, on_failure: E}\nE: {type: end}",
    "before any call": "A: {type: condition, condition_on_key: no, branches: {null: B, _default: E}}\n"
    "B: {type: set_state, on_success: C}\nC: {type: set_state}\nE: {type: end}",
    "in both branches": "F: {type: fork, branches: [A, B]}\n"
    "A: {type: condition, condition_on_key: no, branches: {null: C, _default: E}}\n"
    "C: {type: sync_call, capability_id: c}\n"
    "B: {type: sync_call, capability_id: b}\nE: {type: end}",
    "in one task": "A: {type: async_request, capability_id: a, on_response: B, on_failure: E}\nB: {type: set_state}\n"
    "E: {type: end}\nexecution: {granularity: workflow}",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("nodes", NOWHERE.values(), ids=NOWHERE)
def test_airflow_s_run_fails_where_the_instance_ends_nowhere(
    airflow_database: None, definitions: Path, monkeypatch: pytest.MonkeyPatch, nodes: str
) -> None:
    """Nobody is told that it is complete."""
    lines, _, rest = nodes.partition("\nexecution:")
    inner = "\n".join(f"  {line}" for line in lines.splitlines())
    top = f"\nexecution:{rest}" if rest else ""
    text = f"workflow_id: random\nworkflow_name: W\nentry_point: {lines[0]}\nnodes:\n{inner}{top}\n"
    definition, problems = check(text)
    assert definition is not None, problems

    same_on_airflow(Scenario(definition, {}, {}), definitions, monkeypatch)

    assert as_one_region(Scenario(definition, {}, {})).ended_nowhere
