"""Looking at workflows: their definitions, and how many instances they have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from cch.api import airflow_runs
from cch.api.access import AccessDep
from cch.api.airflow_runs import Dag
from cch.api.backend import Backend, BackendDep
from cch.api.conditional import conditional
from cch.api.models import (
    DefinitionProblem,
    GraphContract,
    GraphEdge,
    GraphNode,
    GraphRegion,
    GraphView,
    StateCounts,
    WorkflowDetail,
    WorkflowId,
    WorkflowPage,
    WorkflowSummary,
)
from cch.api.problems import not_found, responses
from cch.definition.contract import Contract
from cch.definition.entries import Entry
from cch.definition.model import Definition
from cch.errors import Problem, ServiceUnavailableError
from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.contracted import contract_of, start_by_contracts
from cch.graph.model import Graph
from cch.graph.regions import carriers, plan_regions
from cch.graph.scopes import map_body, root_scope
from cch.runtime.platform import Platform

router = APIRouter(tags=["workflows"])

#: Cancelled instances of one workflow that are counted, and pending starts.
_MOST_COUNTED = 1000


def start_schema(definition: Definition) -> dict[str, Any]:
    """JSON Schema of the context that a start must bring; further keys are allowed.

    What the definition does not describe is described by the contracts of the capabilities to which it is sent.
    """
    agreed = start_by_contracts(definition)
    described = {
        key: schema if isinstance(schema, Mapping) else agreed.get(key, {})
        for key, schema in definition.required.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": definition.workflow_name,
        "properties": {key: dict(schema) for key, schema in described.items()},
        "required": [key for key, schema in described.items() if "default" not in schema],
    }


def problem_views(problems: Sequence[Problem]) -> list[DefinitionProblem]:
    return [
        DefinitionProblem(
            code=problem.code,
            message=problem.message,
            hint=problem.hint,
            severity=problem.severity,
            line=problem.line,
            column=problem.column,
        )
        for problem in problems
    ]


def _maps(graph: Graph) -> dict[str, str]:
    """Node → the map in whose body it stands; nodes that the root reaches too belong to the root."""
    in_root = root_scope(graph).reachable
    owner: dict[str, str] = {}
    for name in graph.maps:
        for inside in map_body(graph, name).reachable - in_root:
            # The inner of two maps has the smaller body and comes later on the way.
            if inside not in owner or name not in map_body(graph, owner[inside]).reachable:
                owner.setdefault(inside, name)
            else:
                owner[inside] = name
    return owner


def graph_contract(contract: Contract | None) -> GraphContract | None:
    if contract is None:
        return None
    return GraphContract(
        title=contract.title,
        owner=contract.owner,
        enforce=contract.enforce,
        usual_seconds=contract.usual,
        longest_seconds=contract.longest,
        errors=dict(contract.errors or {}),
    )


def graph_view(definition: Definition) -> GraphView:
    """The graph as its author wrote it, with the regions of the root."""
    graph = build_graph(definition)
    regions = plan_regions(root_scope(graph))
    carrier, owner = carriers(regions), _maps(graph)
    return GraphView(
        entry=graph.entry,
        nodes=[
            GraphNode(
                name=name,
                type=node.type,
                title=node.title or name,
                description=node.description,
                region=carrier.get(name),
                map=owner.get(name),
                capability=node.asks.id if node.asks and node.asks.is_capability else "",
                event_key=node.event_path,
                payload_schema=None if node.form is None else dict(node.form),
                line=node.line,
                column=node.column,
                expressions=len(node.expressions()),
                contract=graph_contract(contract_of(graph, node)),
            )
            for name, node in graph.nodes.items()
        ],
        edges=[
            GraphEdge(
                source=edge.source,
                label=edge.label,
                target=edge.target,
                implied=edge.implied,
                closing=(edge.source, edge.target) in graph.closing,
            )
            for edge in graph.edges
        ],
        regions=[
            GraphRegion(head=region.head, kind=region.kind, cyclic=region.cyclic, nodes=list(region.nodes))
            for region in regions.values()
        ],
    )


class _Counter:
    """Counts instances: Airflow's runs, and what only the ledger knows of them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.outage = ""

    async def of(self, dag_ids: Sequence[str]) -> dict[str, StateCounts]:
        runs = await asyncio.to_thread(airflow_runs.counts, dag_ids) if dag_ids else {}
        pending: dict[str, int] = {}
        cancelled: dict[str, int] = {}
        try:
            async with self._backend.reading() as platform:
                for start in await platform.ledger.mailboxes.starts():
                    pending[start.workflow_id] = pending.get(start.workflow_id, 0) + 1
                found = await asyncio.gather(
                    *(platform.ledger.instances.count(dag_id, "cancelled", _MOST_COUNTED) for dag_id in dag_ids)
                )
                cancelled = dict(zip(dag_ids, found, strict=True))
        except ServiceUnavailableError as away:
            self.outage = str(away)
        return {
            dag_id: self._counts(runs.get(dag_id, {}), pending.get(dag_id, 0), cancelled.get(dag_id, 0))
            for dag_id in dag_ids
        }

    @staticmethod
    def _counts(runs: Mapping[str, int], pending: int, cancelled: int) -> StateCounts:
        # Airflow has no cancelled runs: it calls them failed.
        failed = max(0, runs.get("FAILED", 0) - cancelled)
        return StateCounts(
            PENDING=runs.get("PENDING", 0) + pending,
            RUNNING=runs.get("RUNNING", 0),
            WAITING=runs.get("WAITING", 0),
            SUCCEEDED=runs.get("SUCCEEDED", 0),
            FAILED=failed,
            CANCELLED=cancelled,
        )


async def _entries(backend: Backend) -> tuple[dict[str, Entry], str]:
    """Workflow id → its definition, and why they may be old."""
    try:
        platform = await backend.platform()
        snapshot = await asyncio.to_thread(platform.catalogue.snapshot)
    except ServiceUnavailableError as away:
        return {}, str(away)
    return {entry.workflow_id: entry for entry in snapshot.entries}, snapshot.outage


def _summary(
    workflow_id: str, entry: Entry | None, dag: Dag | None, counts: StateCounts, *, can_start: bool
) -> dict[str, Any]:
    definition = entry.definition if entry else None
    return {
        "workflow_id": workflow_id,
        "name": definition.workflow_name if definition else dag.name if dag else workflow_id,
        "description": definition.description if definition else dag.description if dag else "",
        "owner": definition.owner if definition else dag.owner if dag else "",
        "tags": list(definition.tags if definition else dag.tags if dag else ()),
        "schema_version": definition.schema_version if definition else "",
        "digest": definition.digest if definition else "",
        "usable": definition is not None if entry else dag is not None,
        "problems": len(entry.problems) if entry else 0,
        "paused": dag.paused if dag else False,
        "counts": counts,
        "can_start": can_start and (definition is not None or entry is None),
    }


@router.get("/workflows", response_model=WorkflowPage, responses=responses())
async def list_workflows(request: Request, access: AccessDep, backend: BackendDep) -> Response:
    """The workflows that you may see, with their instances by state, by name. Supports `If-None-Match`."""

    async def look() -> WorkflowPage:
        readable = await access.readable()
        known = {dag.dag_id: dag for dag in await asyncio.to_thread(airflow_runs.dags, readable)}
        entries, outage = await _entries(backend)
        ids = sorted(set(known) | (set(entries) & readable))
        counter = _Counter(backend)
        counts = await counter.of(ids)
        rows = [
            _summary(each, entries.get(each), known.get(each), counts[each], can_start=await access.may_start(each))
            for each in ids
        ]
        items = sorted((WorkflowSummary(**row) for row in rows), key=lambda row: (row.name.lower(), row.workflow_id))
        reason = counter.outage or outage
        return WorkflowPage(items=items, degraded=bool(reason), degraded_reason=reason)

    return conditional(request, await backend.shared.get(("workflows", access.name), look))


@router.get("/workflows/{workflow_id}", response_model=WorkflowDetail, responses=responses(404))
async def get_workflow(
    request: Request,
    workflow_id: Annotated[WorkflowId, Path(description="Id of the workflow, which is that of its DAG.")],
    access: AccessDep,
    backend: BackendDep,
) -> Response:
    """A workflow: its text, graph, problems with their places, and the schema of its start form."""
    if not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    dags = await asyncio.to_thread(airflow_runs.dags, {workflow_id})
    entries, outage = await _entries(backend)
    entry, dag = entries.get(workflow_id), dags[0] if dags else None
    if entry is None and dag is None:
        raise not_found("workflow", workflow_id)
    counter = _Counter(backend)
    counts = (await counter.of([workflow_id]))[workflow_id]
    row = _summary(workflow_id, entry, dag, counts, can_start=await access.may_start(workflow_id))
    reason = counter.outage or outage
    detail: dict[str, Any] = {"degraded": bool(reason), "degraded_reason": reason}
    if entry is not None:
        detail |= await _definition(await backend.platform(), entry)
    url = f"{airflow_runs.root_path()}/dags/{workflow_id}"
    return conditional(request, WorkflowDetail(**row, **detail, airflow_url=url))


async def _definition(platform: Platform, entry: Entry) -> dict[str, Any]:
    definition = entry.definition
    with contextlib.suppress(ServiceUnavailableError):  # then it is shown without its contracts
        if definition is not None:
            definition = await asyncio.to_thread(platform.catalogue.contracts.held, definition)
    text = await asyncio.to_thread(platform.catalogue.published, entry.file)
    # The catalogue does not keep the warnings of a good definition.
    problems = entry.problems or check(text, entry.file)[1]
    return {
        "file": entry.file,
        "text": text,
        "last_good_text": definition.text if definition and definition.text != text else None,
        "graph": graph_view(definition) if definition else None,
        "problem_list": problem_views(problems),
        "start_schema": start_schema(definition) if definition else {},
    }
