"""What can be told of instances while the ledger does not answer: Airflow's runs and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

from cch.api import airflow_runs, paging
from cch.api.access import Access
from cch.api.airflow_runs import Run, TaskState
from cch.api.models import InstanceDetail, InstancePage, InstanceState, InstanceSummary, Links, NodeState, NodeView
from cch.api.problems import ApiError
from cch.api.searching import Search
from cch.ledger.listing import Wanted
from cch.ledger.records import instance_id_of_run
from cch.runtime.run_conf import CONF_CORRELATION, CONF_INSTANCE, initial_context

#: Newest runs that are looked at for one page: without the ledger's indexes a rare match is not worth more.
_EXAMINED = 2000

_NODE_STATES: dict[str, NodeState] = {
    "success": "SUCCEEDED",
    "failed": "FAILED",
    "upstream_failed": "SKIPPED",
    "skipped": "SKIPPED",
    "removed": "SKIPPED",
    "running": "RUNNING",
    "deferred": "WAITING",
    "scheduled": "READY",
    "queued": "READY",
    "up_for_retry": "READY",
    "up_for_reschedule": "READY",
    "restarting": "READY",
}


def _instance_id(run: Run) -> str:
    return str(run.conf.get(CONF_INSTANCE) or instance_id_of_run(run.dag_id, run.run_id))


def _row(run: Run) -> InstanceSummary:
    instance_id = _instance_id(run)
    state = airflow_runs.instance_state(run.state, deferred=run.deferred)
    assert state in get_args(InstanceState)
    return InstanceSummary(
        id=instance_id,
        workflow_id=run.dag_id,
        workflow_name=run.dag_name,
        correlation_id=str(run.conf.get(CONF_CORRELATION) or instance_id),
        state=state,  # type: ignore[arg-type]  # checked above
        started=run.started,
        ended=run.ended,
    )


def _fits(row: InstanceSummary, wanted: Wanted, states: frozenset[InstanceState]) -> bool:
    started = row.started.timestamp() * 1000
    return (
        (not states or row.state in states)
        and wanted.correlation_id in ("", row.correlation_id)
        and row.correlation_id.startswith(wanted.correlation_prefix)
        and wanted.times[0] <= started <= wanted.times[1]
    )


async def degraded_page(
    reason: str,
    readable: frozenset[str],
    search: Search,
) -> InstancePage:
    """Newest first, whatever the order of the real list is. Nothing is known of what is waited for."""
    wanted, limit = search.wanted, search.limit
    position = paging.decode(search.cursor)
    # A cursor of the real list says nothing here: such a reader begins anew.
    offset = position if isinstance(position, int) and 0 <= position < _EXAMINED else 0
    ours = {dag.dag_id for dag in await asyncio.to_thread(airflow_runs.dags, readable)}
    if wanted.workflow_id:
        ours &= {wanted.workflow_id}
    found: Sequence[Run] = ()
    if ours and not wanted.capability:
        prefix = wanted.correlation_id or wanted.correlation_prefix
        found = await asyncio.to_thread(airflow_runs.runs, ours, limit=_EXAMINED, offset=offset, correlation=prefix)
    rows: list[InstanceSummary] = []
    taken = 0
    for run in found:
        if len(rows) == limit:
            break
        taken += 1
        if _fits(row := _row(run), wanted, search.states):
            rows.append(row)
    more = taken < len(found)
    return InstancePage(
        items=rows,
        next_cursor=paging.encode(offset + taken) if more else None,
        degraded=True,
        degraded_reason=reason,
    )


def _find(instance_id: str, readable: frozenset[str]) -> tuple[Run, Sequence[TaskState]] | None:
    ours = {dag.dag_id for dag in airflow_runs.dags(readable)}
    # A run that a command started has the instance's id; of others the id is derived from the run's.
    candidates = airflow_runs.runs(ours, limit=1, run_id=instance_id) or airflow_runs.runs(ours, limit=_EXAMINED)
    for run in candidates:
        if _instance_id(run) == instance_id:
            return run, airflow_runs.task_states(run.dag_id, run.run_id)
    return None


def _node(task: TaskState, url: str) -> NodeView:
    seconds = (task.ended - task.started).total_seconds() if task.ended and task.started else None
    return NodeView(
        name=task.task_id,
        type="",
        title=task.task_id,
        state=_NODE_STATES.get(task.state, "PENDING"),
        since=task.started,
        seconds=seconds,
        task_id=task.task_id,
        task_url=f"{url}/tasks/{task.task_id}",
    )


async def degraded_detail(reason: str, instance_id: str, access: Access) -> InstanceDetail:
    """The run's state, and its tasks in the place of nodes.

    :raises ApiError: 503, Airflow has no such run that the user may see, and the ledger cannot be asked.
    """
    found = await asyncio.to_thread(_find, instance_id, await access.readable())
    if found is None:
        raise ApiError(
            503, "service_unavailable", f"Airflow has no run of {instance_id!r}; the ledger is away: {reason}"
        )
    run, tasks = found
    url = f"{airflow_runs.root_path()}/dags/{run.dag_id}/runs/{run.run_id}"
    first = datetime.max.replace(tzinfo=UTC)
    return InstanceDetail(
        **_row(run).model_dump(),
        run_id=run.run_id,
        nodes=[_node(task, url) for task in sorted(tasks, key=lambda t: (t.started or first, t.task_id))],
        initial_context=initial_context(run.conf),
        links=Links(airflow_run=url, airflow_graph=f"{url}?graph"),
        degraded=True,
        degraded_reason=reason,
    )
