"""What happens inside one task on a real Airflow: a loop of many visits, maps with and without a task an item."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime

from bench.airflow import Airflow, bench_stack, publish
from bench.figures import Figures, Value, percentile
from cch.ledger.records import RequestRecord, instance_id_of_run
from cch.runtime.platform import open_platform

VISITS, INLINE, MAPPED = 1_000, 1_000, 100
LOOP = f"""
workflow_id: bench_loop
workflow_name: A loop
entry_point: Ask
nodes:
  Ask:
    type: async_request
    capability_id: "import#enrichment"
    on_response: Note
    on_failure: Done
    max_visits: {VISITS}
  Note: {{type: set_state, static_outputs: {{turned: true}}, on_success: Ask, max_visits: {VISITS}}}
  Done: {{type: end}}
"""
MAP = """
workflow_id: bench_%(execution)s
workflow_name: A map
entry_point: Fan
nodes:
  Fan:
    type: map_fork
    input_list_key: items
    branch_key: id
    branch_entry_node: Ask
    execution: %(execution)s
  Ask: {type: async_request, capability_id: "import#enrichment", on_response: Note}
  Note: {type: set_state, static_outputs: {noted: true}, on_success: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""


def _prepare() -> None:
    publish("bench_loop", LOOP)
    for execution in ("inline", "mapped"):
        publish(f"bench_{execution}", MAP % {"execution": execution})


async def _requests(instance: str) -> list[RequestRecord]:
    async with open_platform() as platform:
        found = await platform.ledger.instances.head(instance)
        return list(await platform.ledger.requests_of(found)) if found else []


def _seconds(run: dict[str, str]) -> float:
    return (datetime.fromisoformat(run["end_date"]) - datetime.fromisoformat(run["start_date"])).total_seconds()


def _loop(airflow: Airflow) -> tuple[tuple[Value, ...], list[int]]:
    """The row of the loop, and the times (ms) from each reply's arrival to the next request's sending."""
    airflow.wait_for_dag("bench_loop")
    (run,) = airflow.run("bench_loop", 1)
    requests = asyncio.run(_requests(instance_id_of_run("bench_loop", run["dag_run_id"])))
    ordered = sorted(requests, key=lambda request: request.visit)
    between = [after.sent_at - before.closed_at for before, after in itertools.pairwise(ordered)]
    transitions = 2 * len(ordered)
    return (transitions, _seconds(run), transitions / _seconds(run), run["state"]), between


def _map(airflow: Airflow, execution: str, count: int) -> tuple[Value, ...]:
    airflow.wait_for_dag(f"bench_{execution}")
    (run,) = airflow.run(f"bench_{execution}", 1, {"items": [{"id": f"i-{number}"} for number in range(count)]})
    transitions = 3 * count + 3
    return (transitions, _seconds(run), transitions / _seconds(run), run["state"])


def _gap(between: list[int]) -> str:
    p50, p99 = (percentile(between, share) for share in (0.5, 0.99))
    return f"from a reply's arrival in the router until SQS has the next request: p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def measure_regions() -> Figures:
    """Transitions/s inside a task, and how soon a reply leads to the next request."""
    with bench_stack(_prepare) as (_, airflow):
        loop, between = _loop(airflow)
        inline = _map(airflow, "inline", INLINE)
        mapped = _map(airflow, "mapped", MAPPED)
    return Figures(
        title="inside one task on a real Airflow, PostgreSQL, LocalExecutor",
        columns=("transitions", "s", "transitions/s", "state"),
        rows=[
            (f"a loop of {VISITS:,} visits", loop),
            (f"a map of {INLINE:,} items, inline", inline),
            (f"a map of {MAPPED} items, a task each", mapped),
        ],
        notes=[_gap(between)],
    )
