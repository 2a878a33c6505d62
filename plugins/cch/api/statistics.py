"""Workflows over all their instances: figures as JSON and CSV, and where instances are now."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.conditional import conditional
from cch.api.mapping import at
from cch.api.models import View, WorkflowId
from cch.api.problems import not_found, responses
from cch.api.statistics_models import (
    CapabilityStatistics,
    DayStatistics,
    EdgeStatistics,
    Ends,
    NodeStatistics,
    PlaceView,
    VersionStatistics,
    WorkflowPlaces,
    WorkflowStatistics,
)
from cch.api.versions import digest_named
from cch.api.workflows import graph_view
from cch.definition.model import Definition
from cch.errors import CchError
from cch.graph.build import build_graph
from cch.ledger.figures import Figures, NodeFigures
from cch.ledger.histograms import Histogram
from cch.runtime.platform import Platform
from cch.runtime.statistics import Statistics, of_capabilities, places, statistics

router = APIRouter(tags=["workflows"])

_LONGEST = 400
WorkflowPath = Annotated[WorkflowId, Path(description="Id of the workflow, which is that of its DAG.")]
VersionQuery = Annotated[
    str, Query(max_length=200, description="A number, @label, or the beginning of a digest. Default: all.")
]
DaysQuery = Annotated[int, Query(ge=1, le=_LONGEST, description="How many days, today included.")]
Table = Literal["nodes", "edges", "days", "capabilities"]


def _seconds(took: Histogram, share: float) -> float | None:
    found = took.quantile(share)
    return None if found is None else found / 1000


def _ends(figures: Figures) -> dict[str, Any]:
    return {
        **{status: figures.ended[status] for status in ("completed", "failed", "cancelled")},
        "again": figures.again,
        "median_seconds": _seconds(figures.took, 0.5),
        "p95_seconds": _seconds(figures.took, 0.95),
    }


def _visits(figures: NodeFigures) -> dict[str, Any]:
    return {
        "visits": figures.visits,
        "failed": figures.failed,
        "timed_out": figures.timed_out,
        "median_seconds": _seconds(figures.took, 0.5),
        "p95_seconds": _seconds(figures.took, 0.95),
        "longest_seconds": _seconds(figures.took, 1.0),
        "total_seconds": figures.took.total / 1000,
    }


def _days(found: Statistics) -> Iterator[DayStatistics]:
    day, until = date.fromisoformat(found.since), date.fromisoformat(found.until)
    while day <= until:
        yield DayStatistics(day=day, **_ends(found.days.get(str(day), Figures())))
        day += timedelta(days=1)


def _nodes(found: Statistics, definition: Definition | None) -> Iterator[NodeStatistics]:
    known = definition.nodes if definition else {}
    for name, node in known.items():
        asks = node.asks.id if node.asks and node.asks.answerer != "library" else ""
        facts: dict[str, Any] = {"name": name, "title": node.title or name, "type": node.type, "capability": asks}
        yield NodeStatistics(**facts, **_visits(found.node(name)))
    for name in sorted(found.whole.nodes.keys() - known.keys()):
        yield NodeStatistics(name=name, title=name, type="", **_visits(found.node(name)))


def _edges(found: Statistics, definition: Definition | None) -> list[EdgeStatistics]:
    edges = build_graph(definition).edges if definition else ()
    return [
        EdgeStatistics(source=edge.source, label=edge.label, target=edge.target, taken=found.taken(edge))
        for edge in edges
    ]


def _capabilities(found: Statistics, definition: Definition | None) -> Iterator[CapabilityStatistics]:
    if definition is None:
        return
    for capability, figures in of_capabilities(found, definition).items():
        asking = [name for name, node in definition.nodes.items() if node.asks and node.asks.id == capability]
        yield CapabilityStatistics(capability=capability, nodes=asking, **_visits(figures))


async def _definition(platform: Platform, workflow_id: str, digest: str) -> Definition | None:
    """Of the version, or what is published; None if nobody has it any more."""
    catalogue = platform.catalogue
    try:
        if digest:
            return await asyncio.to_thread(catalogue.by_digest, digest, workflow_id)
        return await asyncio.to_thread(catalogue.current, workflow_id)
    except CchError:
        return None


async def _versions(platform: Platform, workflow_id: str, found: Statistics) -> list[VersionStatistics]:
    shelf = await platform.ledger.versions.shelf(workflow_id)
    rows = []
    for digest, ended in found.versions.items():
        known = shelf.known(digest)
        rows.append(VersionStatistics(digest=digest, number=known.number if known else None, ended=ended))
    return sorted(rows, key=lambda row: (-(row.number or 0), row.digest))


async def _look(backend: Backend, workflow_id: str, digest: str, days: int) -> WorkflowStatistics:
    async with backend.reading() as platform:
        found = await statistics(platform.ledger, workflow_id, days=days, now=platform.clock(), digest=digest)
        versions = await _versions(platform, workflow_id, found)
        definition = await _definition(platform, workflow_id, digest)
    return WorkflowStatistics(
        workflow_id=workflow_id,
        since=date.fromisoformat(found.since),
        until=date.fromisoformat(found.until),
        digest=digest,
        versions=versions,
        ends=Ends(**_ends(found.whole)),
        days=list(_days(found)),
        nodes=list(_nodes(found, definition)),
        edges=_edges(found, definition),
        capabilities=list(_capabilities(found, definition)),
        graph=graph_view(definition) if definition else None,
    )


async def _shared(backend: Backend, access: Access, workflow_id: str, version: str, days: int) -> WorkflowStatistics:
    if not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    digest = await digest_named(backend, workflow_id, version)
    key = ("statistics", workflow_id, digest, days)
    view = await backend.shared.get(key, lambda: _look(backend, workflow_id, digest, days))
    assert isinstance(view, WorkflowStatistics)
    return view


@router.get("/workflows/{workflow_id}/statistics", response_model=WorkflowStatistics, responses=responses(404, 503))
async def get_statistics(
    request: Request,
    workflow_id: WorkflowPath,
    access: AccessDep,
    backend: BackendDep,
    *,
    version: VersionQuery = "",
    days: DaysQuery = 30,
) -> Response:
    """What happened in a workflow over all instances that ended in these days: visits of nodes, ways, lengths of time,
    failures, and ends by day.

    Instances that ended within the last minute may not be in it yet.
    """
    return conditional(request, await _shared(backend, access, workflow_id, version, days))


def _csv(rows: Sequence[View], of: type[View]) -> str:
    text = io.StringIO()
    names = [name for name in of.model_fields if name != "nodes"]
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(row.model_dump(mode="json") for row in rows)
    return text.getvalue()


@router.get(
    "/workflows/{workflow_id}/statistics.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **responses(404, 503)},
)
async def get_statistics_table(
    workflow_id: WorkflowPath,
    access: AccessDep,
    backend: BackendDep,
    *,
    table: Table = "nodes",
    version: VersionQuery = "",
    days: DaysQuery = 30,
) -> Response:
    """One table of the statistics as CSV (RFC 4180), with a line of names."""
    found = await _shared(backend, access, workflow_id, version, days)
    of: dict[Table, type[View]] = {
        "nodes": NodeStatistics, "edges": EdgeStatistics, "days": DayStatistics, "capabilities": CapabilityStatistics,
    }  # fmt: skip
    name = f'attachment; filename="{workflow_id}-{table}.csv"'
    return Response(
        _csv(getattr(found, table), of[table]), media_type="text/csv", headers={"Content-Disposition": name}
    )


@router.get("/workflows/{workflow_id}/places", response_model=WorkflowPlaces, responses=responses(404, 503))
async def get_places(
    request: Request, workflow_id: WorkflowPath, access: AccessDep, backend: BackendDep, *, version: VersionQuery = ""
) -> Response:
    """Where the running instances of a workflow are now: how many wait at each node, and since when."""
    if not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    digest = await digest_named(backend, workflow_id, version)

    async def look() -> WorkflowPlaces:
        async with backend.reading() as platform:
            definition = await _definition(platform, workflow_id, digest)
            if definition is None:
                raise not_found("definition", version or workflow_id)
            found = await places(platform.ledger, definition, digest)
        nodes = [
            PlaceView(node=name, instances=place.instances, oldest=at(place.oldest))
            for name, place in found.nodes.items()
        ]
        return WorkflowPlaces(
            workflow_id=workflow_id, running=found.running, working=found.working, complete=found.complete, nodes=nodes
        )

    return conditional(request, await backend.shared.get(("places", workflow_id, digest), look))
