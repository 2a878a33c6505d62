"""Many starts at once, through Airflow's REST API."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cch.stack.health import health
from tests.e2e.conftest import Stack

WORKFLOW = "e2e_burst"
#: One task an instance: the burst is about starting them.
DEFINITION = f"""
workflow_id: {WORKFLOW}
workflow_name: Started often
entry_point: Ask
execution: {{granularity: workflow}}
nodes:
  Ask: {{type: async_request, capability_id: import#enrichment, on_response: Done, on_failure: Failed}}
  Failed: {{type: end, status: failed}}
  Done: {{type: end}}
"""
STARTS, AT_ONCE = 60, 8


def test_a_burst_of_starts_is_taken_and_finished(stack: Stack, tmp_path: Path) -> None:
    """Every start is answered 200, every instance completes, and no process of the stack has ended of it."""
    (tmp_path / "burst.yaml").write_text(DEFINITION)
    stack.cch("publish", str(tmp_path / "burst.yaml"))
    stack.eventually("the DAG", lambda: stack.api("GET", f"/dags/{WORKFLOW}")[0] == 200)
    token = stack.token()
    ended_before = Counter({each.name: each.count for each in health(stack.local)})

    def start(_: int) -> int:
        body = {"logical_date": None, "conf": {}}
        return stack.call("POST", f"/api/v2/dags/{WORKFLOW}/dagRuns", body, token=token)[0]

    with ThreadPoolExecutor(AT_ONCE) as people:
        answers = Counter(people.map(start, range(STARTS)))
    assert answers == {200: STARTS}

    def states() -> Counter[str]:
        runs = stack.call("GET", f"/api/v2/dags/{WORKFLOW}/dagRuns?limit=100", token=token)[1]["dag_runs"]
        return Counter(run["state"] for run in runs)

    stack.eventually("the end of all", lambda: not states().keys() & {"queued", "running"})
    assert states() == {"success": STARTS}
    assert Counter({each.name: each.count for each in health(stack.local)}) == ended_before
