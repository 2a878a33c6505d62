"""Incidents: what needs a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from cch.api.access import Access, AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.conditional import conditional
from cch.api.incident_models import IncidentList, IncidentView
from cch.api.mapping import at, moment
from cch.api.problems import responses
from cch.runtime.incidents import Incident, incidents

router = APIRouter(tags=["incidents"])


def _view(one: Incident) -> IncidentView:
    return IncidentView(
        id=one.id,
        kind=one.kind,
        title=one.title,
        workflow_id=one.workflow_id,
        node=one.node,
        code=one.code,
        pattern=one.pattern,
        capability=one.capability,
        count=one.count,
        first=moment(one.first),
        last=moment(one.last),
        usual_seconds=one.usual / 1000 if one.usual else None,
        days=list(one.days),
        examples=[example for example in one.examples if example],
    )


async def _look(backend: Backend, days: int | None) -> IncidentList:
    async with backend.reading() as platform:
        found = await incidents(platform, days or platform.settings.incident_days)
    return IncidentList(since=at(found.since), complete=found.complete, items=[_view(one) for one in found.items])


async def _may_see(access: Access, one: IncidentView) -> bool:
    if not one.workflow_id:
        return await access.may_read_everything()
    # Airflow has no DAG of a definition that was never good.
    return one.workflow_id in await access.readable() or (
        one.kind == "definition" and await access.may_read(one.workflow_id)
    )


@router.get("/incidents", response_model=IncidentList, responses=responses(503))
async def list_incidents(
    request: Request,
    access: AccessDep,
    backend: BackendDep,
    *,
    days: Annotated[int | None, Query(ge=1, le=400, description="How far back. Default: `CCH_INCIDENT_DAYS`.")] = None,
) -> Response:
    """What needs a person, in groups: failed instances that nobody has run again, by workflow, node, error code and
    message; waits over their usual time; starts that wait for their run; definitions with errors; orphans.

    Of workflows that you may see; orphans of unknown instances if you may see every workflow.
    `GET /instances?incident=` lists the instances of a group of the kind `failed`. An instance is in its group within a
    minute of its failure.
    """
    found = await backend.shared.get(("incidents", days), lambda: _look(backend, days))
    assert isinstance(found, IncidentList)
    items = [one for one in found.items if await _may_see(access, one)]
    return conditional(request, found.model_copy(update={"items": items}))
