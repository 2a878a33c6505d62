"""Makes the message of a request again. The ledger keeps its digest only, and everything that it was made of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from cch.definition.kinds import Requesting
from cch.definition.nodes import MapFork
from cch.errors import CchError
from cch.expressions.expression import FailedError
from cch.graph.plan import Plan
from cch.graph.scopes import map_body
from cch.identity import ROOT, Address
from cch.interpreter.expressing import sent
from cch.interpreter.flow import Ready, TokenFlow
from cch.interpreter.mapping import Item, item_flow, map_items
from cch.interpreter.region import RegionRun
from cch.interpreter.replay import flow_of
from cch.interpreter.visit import About, Visit, visit_at
from cch.ledger.payloads import sha256
from cch.ledger.records import Instance, RegionKey, RequestRecord
from cch.messaging.outgoing import Reference, request_body
from cch.runtime.host import LedgerHost, Try
from cch.runtime.inspection import Inspector
from cch.runtime.journaling import read
from cch.runtime.platform import Platform


class BodyLostError(CchError):
    """What the request was made of is not there any more."""

    code = "CCH-L002"


class Rebuilder:
    """Makes bodies from what the ledger holds, and checks them against their digests."""

    def __init__(self, platform: Platform, inspector: Inspector) -> None:
        self._platform = platform
        self._inspector = inspector

    async def body(self, record: RequestRecord) -> str:
        """The request's message, byte for byte.

        :raises BodyLostError: it cannot be made; says why.
        """
        progress = await self._inspector.look(record.instance, 0)
        plan = await self._inspector.plan(progress.instance) if progress else None
        if progress is None or plan is None:
            raise BodyLostError("the instance, or its definition, is not kept any more")
        amendments = progress.instance.amendments
        flow = flow_of(plan, progress.instance.context, progress.outcomes, amendments)
        if record.scope:
            await self._come_to_map(plan, flow, progress.instance, record)
            flow = await self._enter_item(flow, progress.instance, record)
        node = plan.graph.nodes.get(amendments.now(record.node))
        visit = _visit(flow, amendments.now(record.node), record.visit, progress.instance)
        if visit is None or not isinstance(node, Requesting):
            raise BodyLostError(f"visit {record.visit} of {record.node!r} was set aside by a later try")
        try:
            selection = await asyncio.to_thread(sent, node, visit)
        except FailedError as error:
            raise BodyLostError(str(error)) from None
        body = await self._made(progress.instance, record, node, selection)
        if sha256(body) != record.body_hash:
            raise BodyLostError("it would differ from what was sent: the definition, or the way there, was another")
        return body

    async def _made(self, instance: Instance, record: RequestRecord, node: Any, context: Mapping[str, Any]) -> str:
        reply_queue = self._platform.settings.names.reply_queue
        prefix = self._platform.settings.names.payload_prefix(instance.id)
        return request_body(
            instance=instance.id,
            workflow_id=instance.workflow_id,
            definition_uri=instance.definition_uri,
            correlation_id=instance.correlation_id,
            command_id=record.command_id,
            request_key=record.step.keys(record.attempt, per_attempt=node.idempotency == "attempt").request,
            reply_to=await self._platform.queues.address(reply_queue),
            created=record.created,
            address=Address(record.path),
            capability_id=record.source,
            output_keys=node.asked_keys,
            context=context,
            reference=Reference.of(context, prefix, record.command_id) if node.payload_ref else None,
        )

    async def _come_to_map(self, plan: Plan, flow: TokenFlow, instance: Instance, record: RequestRecord) -> None:
        """Go the instant way to a map whose items have tasks of their own, as they do: nobody commits it before."""
        if (region := plan.regions.get(record.region)) and region.mapped:
            key = instance.region(record.region)
            attempt = Try(key=key, task_instance="", generation=0, dropped={})
            await RegionRun(region, flow, LedgerHost(self._platform, instance, attempt)).approach(region.head)

    async def _enter_item(self, root: TokenFlow, instance: Instance, record: RequestRecord) -> TokenFlow:
        """The flow of the item that asked, as it is now: from the root on, through each map that it is inside of."""
        flow, scope = root, ROOT
        while scope != record.scope:
            name, number = scope.map_towards(record.scope) or ("", 0)
            node, visit = flow.graph.maps.get(name), _visit(flow, name, number, instance)
            if visit is None or node is None:
                raise BodyLostError(f"nothing is recorded any more that leads to {record.scope.text!r}")
            items = {item.key: item for item in await asyncio.to_thread(_items, node, visit)}
            entered = scope.towards(record.scope, items)
            if entered is None:
                raise BodyLostError(f"the list of {node.name!r} has no longer the item that asked")
            scope, branch = entered
            key = RegionKey(instance=record.instance, region=record.region, scope=scope)
            state = await read(self._platform.ledger, key)
            inner = {**visit.context, node.item_key: items[branch].value}
            flow = item_flow(
                map_body(flow.graph, name),
                state.outcomes.values(),
                inner,
                item_key=node.item_key,
                around=visit.flat_item,
                begun=visit.moment,
            )
        return flow


def _items(node: MapFork, visit: Visit) -> list[Item]:
    try:
        return map_items(node, visit)
    except ValueError as error:
        raise BodyLostError(f"the list of {node.name!r} cannot be read any more: {error}") from None


def _visit(flow: TokenFlow, node: str, number: int, instance: Instance) -> Visit | None:
    """The visit as it was; None if nothing is recorded that leads to it."""
    about = About(
        id=instance.id,
        correlation_id=instance.correlation_id,
        workflow_id=instance.workflow_id,
        started=instance.started,
    )
    if (done := flow.outcomes.get(f"{node}#{number}")) is not None:
        return visit_at(flow, Ready(node=node, parents=done.parents, visit=number), done.started, about)
    ready = next((ready for ready in flow.ready() if (ready.node, ready.visit) == (node, number)), None)
    return None if ready is None else visit_at(flow, ready, instance.started, about)
