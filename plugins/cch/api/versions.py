"""Versions of workflows: who runs which, and what differs between two."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from cch.api.access import AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.mapping import at, moment
from cch.api.models import FieldProblem, GraphView, VersionDifference, VersionList, VersionView
from cch.api.problems import ApiError, not_found, responses
from cch.api.workflows import graph_view
from cch.definition.model import Definition
from cch.errors import DefinitionError, DefinitionNotFoundError, WrongUseError
from cch.graph.differences import difference
from cch.ledger.records import Instance
from cch.ledger.versions import Shelf
from cch.runtime.choosing import Chooser
from cch.runtime.platform import Platform
from cch.runtime.standings import Standing, standings

router = APIRouter(tags=["workflows"])


class Numbers:
    """The numbers by which people name versions; one look a workflow."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._shelves: dict[str, Shelf] = {}

    async def learn(self, workflow_id: str) -> None:
        if workflow_id not in self._shelves:
            self._shelves[workflow_id] = await self._platform.ledger.versions.shelf(workflow_id)

    def of(self, instance: Instance) -> int | None:
        """The number of the version that an instance of a learnt workflow runs; None if it has none."""
        known = self._shelves[instance.workflow_id].known(instance.definition_digest)
        return known.number if known else None


async def digest_named(backend: Backend, workflow_id: str, version: str, where: str = "query") -> str:
    """The digest of the version that a search names; "" if it names none. ``where``: the part of the request.

    :raises ApiError: 422, there is no such version, or no workflow is named.
    """
    if not version:
        return ""
    message = "give workflow_id, too: each workflow has versions of its own"
    if workflow_id:
        async with backend.reading() as platform:
            try:
                return (await platform.ledger.versions.shelf(workflow_id)).named(version).digest
            except WrongUseError as error:
                message = str(error)
    problem = FieldProblem(location=f"{where}.version", message=message)
    raise ApiError(422, "version_unknown", "No version is called so.", [problem])


def _view(one: Standing) -> VersionView:
    known = one.version
    return VersionView(
        number=known.number if known else None,
        digest=one.digest,
        current=one.current,
        share=one.share,
        labels=list(one.labels),
        since=at(known.since) if known else None,
        publisher=known.publisher if known else "",
        note=known.note if known else "",
        live=one.live,
        ended=one.ended,
        oldest=moment(one.oldest),
        nodes=dict(one.nodes),
    )


@router.get("/workflows/{workflow_id}/versions", response_model=VersionList, responses=responses(404, 503))
async def list_versions(
    workflow_id: Annotated[str, Path(max_length=200)], access: AccessDep, backend: BackendDep
) -> VersionList:
    """The versions of a workflow, the newest first, with who runs them and where the oldest of those wait."""
    if not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    async with backend.reading() as platform:
        found = await standings(platform, workflow_id)
    if not found.versions:
        raise not_found("workflow", workflow_id)
    return VersionList(workflow_id=workflow_id, items=[_view(each) for each in found.versions], complete=found.complete)


@router.get(
    "/workflows/{workflow_id}/versions/{version}/difference",
    response_model=VersionDifference,
    responses=responses(404, 503),
)
async def compare_versions(
    workflow_id: Annotated[str, Path(max_length=200)],
    version: Annotated[str, Path(max_length=200, description="A number, @label, or the beginning of a digest.")],
    access: AccessDep,
    backend: BackendDep,
    to: Annotated[str, Query(max_length=200, description="The other version. Default: what is published.")] = "",
) -> VersionDifference:
    """What is other in the version `to` than in `version`: nodes, ways, and what a start must bring."""
    if not await access.may_read(workflow_id):
        raise not_found("workflow", workflow_id)
    async with backend.reading() as platform:
        old = await _definition(platform, workflow_id, version)
        new = await _definition(platform, workflow_id, to)
    found = difference(old, new)
    return VersionDifference(
        from_digest=old.digest,
        to_digest=new.digest,
        added=list(found.added),
        removed=list(found.removed),
        changed={name: list(keys) for name, keys in found.changed.items()},
        ways_added=list(found.ways_added),
        ways_removed=list(found.ways_removed),
        required_added=list(found.required_added),
        required_removed=list(found.required_removed),
        required_changed=list(found.required_changed),
        entry_changed=found.entry_changed,
        graph=_both(graph_view(old), graph_view(new)),
    )


def _both(old: GraphView, new: GraphView) -> GraphView:
    nodes = {node.name for node in new.nodes}
    ways = {(edge.source, edge.label, edge.target) for edge in new.edges}
    return GraphView(
        entry=new.entry,
        nodes=[*new.nodes, *(node for node in old.nodes if node.name not in nodes)],
        regions=new.regions,
        edges=[*new.edges, *(edge for edge in old.edges if (edge.source, edge.label, edge.target) not in ways)],
    )


async def _definition(platform: Platform, workflow_id: str, version: str) -> Definition:
    chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
    try:
        if not version:
            return await asyncio.to_thread(platform.catalogue.current, workflow_id)
        return await chooser.named(await platform.ledger.versions.shelf(workflow_id), version)
    except (WrongUseError, DefinitionNotFoundError, DefinitionError):
        raise not_found("version", version or "published") from None
