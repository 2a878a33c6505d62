"""What waits for a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from cch.api import paging
from cch.api.access import Access, AccessDep
from cch.api.backend import BackendDep
from cch.api.conditional import conditional
from cch.api.instances import Cursor
from cch.api.mapping import at, moment
from cch.api.models import TaskPage, TaskView
from cch.api.problems import responses
from cch.graph.plan import Plan
from cch.ledger.records import ENDED, Instance
from cch.ledger.store import Place
from cch.ledger.waiting import EVENTS, OpenWait
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform

router = APIRouter(tags=["tasks"])

#: Waits that one page looks at, at the most.
_EXAMINED = 1000


def _task(wait: OpenWait, instance: Instance, plan: Plan | None, *, can_act: bool) -> TaskView:
    node = plan.graph.nodes.get(wait.node) if plan else None
    schema = node.form if node else None
    return TaskView(
        id=wait.id,
        instance_id=instance.id,
        workflow_id=instance.workflow_id,
        workflow_name=plan.graph.definition.workflow_name if plan else instance.workflow_id,
        correlation_id=instance.correlation_id,
        node=wait.node,
        title=(node.title if node else "") or wait.node,
        description=node.description if node else "",
        event_key=wait.event_key,
        branch=wait.branch,
        branch_path=list(wait.path),
        since=at(wait.since),
        deadline=moment(wait.deadline),
        payload_schema=dict(schema) if schema else None,
        can_act=can_act,
    )


def _place(cursor: Any) -> Place | None:
    match cursor:
        case None:
            return None
        case [str(pk), str(sk), int(asked)]:
            return Place((pk, sk), asked)
        case _:
            raise paging.bad_cursor()


async def _page(
    platform: Platform, inspector: Inspector, access: Access, *, workflow_id: str, limit: int, cursor: str | None
) -> TaskPage:
    place = _place(paging.decode(cursor))
    readable = await access.readable()
    shown: list[TaskView] = []
    editable: dict[str, bool] = {}
    examined, more = 0, True
    while len(shown) < limit and more and examined < _EXAMINED:
        wanted = limit - len(shown)
        found = await platform.ledger.waiting.of_capability(EVENTS, wanted, place)
        examined += len(found)
        more = len(found) == wanted
        place = found[-1][1] if found else place
        ids = list(dict.fromkeys(wait.instance for wait, _ in found))
        instances = {one.id: one for one in await platform.ledger.instances.many(ids)}
        for wait, _ in found:
            instance = instances.get(wait.instance)
            if instance is None or instance.status in ENDED or instance.workflow_id not in readable:
                continue
            if workflow_id not in ("", instance.workflow_id):
                continue
            if instance.workflow_id not in editable:
                editable[instance.workflow_id] = await access.may_edit(instance.workflow_id)
            plan = await inspector.plan(instance)
            shown.append(_task(wait, instance, plan, can_act=editable[instance.workflow_id]))
    return TaskPage(
        items=shown, next_cursor=paging.encode([*place.key, place.sort]) if more and place is not None else None
    )


@router.get("/tasks", response_model=TaskPage, responses=responses(503))
async def list_tasks(
    request: Request,
    access: AccessDep,
    backend: BackendDep,
    *,
    workflow_id: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    """Everything that waits for an event, the longest first. Answer one with `POST /instances/{id}/events`.

    Supports `If-None-Match`.
    """
    key = ("tasks", access.name, workflow_id, limit, cursor)

    async def look() -> TaskPage:
        async with backend.reading() as platform:
            return await _page(
                platform, await backend.inspector(), access, workflow_id=workflow_id, limit=limit, cursor=cursor
            )

    return conditional(request, await backend.shared.get(key, look))
