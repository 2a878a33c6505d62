"""Contracts of capabilities, and what the expressions of an instance saw."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from cch.api.access import AccessDep
from cch.api.backend import BackendDep
from cch.api.conditional import conditional
from cch.api.contract_models import ContractExample, ContractPage, ContractView, SeenExpression, SeenPage
from cch.api.instances import InstanceIdPath, visible
from cch.api.problems import not_found, responses
from cch.definition.contract import Contract
from cch.envelope import parse_command
from cch.errors import ServiceUnavailableError
from cch.expressions.computing import computed
from cch.graph.scopes import map_body
from cch.interpreter.flow import TokenFlow
from cch.interpreter.mapping import item_flow, map_items
from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import flow_of
from cch.interpreter.visit import About, visit_at
from cch.ledger.records import Instance
from cch.runtime.inspection import Inspector
from cch.runtime.journaling import read
from cch.runtime.platform import Platform
from cch.runtime.seen import Seen, seen, visits_of
from cch.values import MISSING

router = APIRouter(tags=["capabilities"])

#: Characters of a value that is shown whole.
_SHOWN = 20_000


def contract_view(contract: Contract, workflows: list[str]) -> ContractView:
    return ContractView(
        id=contract.id,
        title=contract.title,
        owner=contract.owner,
        description=contract.description,
        enforce=contract.enforce,
        usual_seconds=contract.usual,
        longest_seconds=contract.longest,
        idempotency=contract.idempotency,
        errors=None if contract.errors is None else dict(contract.errors),
        request=contract.request,
        replies=dict(contract.replies),
        examples=[
            ContractExample(
                title=each.title,
                request=None if each.request is None else dict(each.request),
                status=each.status,
                payload=dict(each.payload),
            )
            for each in contract.examples
        ],
        digest=contract.digest,
        workflows=workflows,
    )


@router.get("/capabilities", response_model=ContractPage, responses=responses())
async def list_capabilities(request: Request, access: AccessDep, backend: BackendDep) -> Response:
    """The newest contract of each capability that has one, by id, with the workflows that ask it.

    Supports `If-None-Match`.
    """
    readable = await access.readable()
    try:
        platform = await backend.platform()
        contracts = await asyncio.to_thread(platform.catalogue.contracts.newest)
        entries = (await asyncio.to_thread(platform.catalogue.snapshot)).entries
    except ServiceUnavailableError as away:
        return conditional(request, ContractPage(items=[], degraded=True, degraded_reason=str(away)))
    asking: dict[str, list[str]] = {}
    for entry in entries:
        for each in entry.definition.asked if entry.definition is not None and entry.workflow_id in readable else ():
            asking.setdefault(each, []).append(entry.workflow_id)
    items = [contract_view(each, sorted(asking.get(key, ()))) for key, each in sorted(contracts.items())]
    return conditional(request, ContractPage(items=items))


@router.get("/instances/{instance_id}/nodes/{node}/expressions", response_model=SeenPage, responses=responses(404, 503))
async def get_expressions(
    request: Request,
    instance_id: InstanceIdPath,
    node: Annotated[str, Path(max_length=300)],
    access: AccessDep,
    backend: BackendDep,
    *,
    map_node: Annotated[str, Query(max_length=300, description="The map in whose item the node is; empty: none.")] = "",
    index: Annotated[int, Query(ge=0, le=9_999_999, description="Which item of the map.")] = 0,
) -> Response:
    """What the expressions of a node saw and gave at its latest visits, evaluated again from what is recorded.

    Supports `If-None-Match`.
    """
    async with backend.reading() as platform:
        instance = await visible(platform, access, instance_id)
        look = _Look(platform, await backend.inspector(), instance)
        found = await look.at(node, map_node, index)
    items = [
        SeenExpression(
            visit=each.visit,
            place=each.place,
            text=each.text.strip(),
            saw={key: _shortened(value) for key, value in each.saw.items()},
            gave=None if each.gave is MISSING else _shortened(each.gave),
            nothing=each.gave is MISSING and not each.error,
            error=each.error,
        )
        for each in found
    ]
    return conditional(request, SeenPage(items=items))


def _shortened(value: Any) -> Any:
    """The value, or a word about one that is too large for a page."""
    size = len(repr(value))
    return value if size <= _SHOWN else f"(a value of {size} characters)"


class _Look:
    """Looks at the expressions of one instance."""

    def __init__(self, platform: Platform, inspector: Inspector, instance: Instance) -> None:
        self._platform = platform
        self._inspector = inspector
        self._instance = instance

    async def at(self, node: str, map_node: str, index: int) -> list[Seen]:
        """:raises ApiError: 404, no such node, map or item."""
        progress = await self._inspector.look(self._instance.id, 0)
        plan = await self._inspector.plan(self._instance)
        if progress is None or plan is None:
            raise not_found("definition", self._instance.definition_digest)
        whole = progress.instance
        flow = flow_of(plan, whole.context, progress.outcomes, whole.amendments)
        if map_node:
            flow = await self._item(flow, map_node, index)
        if node not in flow.graph.nodes:
            raise not_found("node", node)
        visits = visits_of(flow, node)
        brought = {ready.visit: await self._brought(outcome) for ready, outcome in visits if outcome is not None}
        return await computed(functools.partial(seen, flow, visits, self._about(), brought))

    def _about(self) -> About:
        instance = self._instance
        return About(
            id=instance.id,
            correlation_id=instance.correlation_id,
            workflow_id=instance.workflow_id,
            started=instance.started,
        )

    async def _item(self, flow: TokenFlow, map_node: str, index: int) -> TokenFlow:
        """The state of an item of a map at the root, at the map's latest visit."""
        node = flow.graph.maps.get(map_node)
        latest = await self._platform.ledger.maps.map_visit(self._instance, map_node) if node else None
        if node is None or latest is None:
            raise not_found("map", map_node)
        found = await self._platform.ledger.maps.map_items(self._instance, map_node, latest[0], 1, after=index - 1)
        ready = next((each for each, _ in visits_of(flow, map_node) if each.visit == latest[0]), None)
        if not found or found[0].index != index or ready is None:
            raise not_found("item", str(index))
        visit = visit_at(flow, ready, 0, self._about())
        try:
            items = await computed(functools.partial(map_items, node, visit))
        except ValueError:  # the list is not what it was, for a person has set it back
            raise not_found("item", str(index)) from None
        value = next((each.value for each in items if each.key == found[0].branch), MISSING)
        journal = await read(self._platform.ledger, found[0].key)
        return item_flow(
            map_body(flow.graph, map_node), journal.outcomes.values(), {**visit.context, node.item_key: value},
            item_key=node.item_key, around=visit.flat_item, begun=visit.moment,
        )  # fmt: skip

    async def _brought(self, outcome: Outcome) -> Mapping[str, Any]:
        """The values of ``$reply`` and ``$event`` that are recorded for a visit."""
        cause, ledger = outcome.cause, self._platform.ledger
        if cause.get("kind") == "reply":
            record = await ledger.requests.get(str(cause.get("command_id", "")))
            if record is not None and record.state == "answered":
                return {"reply": {**record.reply, "status": record.reply_status or "SUCCESS"}}
        if cause.get("kind") == "event":
            message = await ledger.messages.get(str(cause.get("message", "")))
            if message is not None:
                return {"event": parse_command(message.body).payload}
        return {}
