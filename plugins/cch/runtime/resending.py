"""Makes the message of a request again. The ledger keeps its digest only, and everything that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cch.definition.kinds import Requesting
from cch.definition.nodes import MapFork
from cch.errors import CchError
from cch.graph.plan import Plan
from cch.graph.scopes import map_body
from cch.identity import ROOT, Address
from cch.interpreter.effects import sent_context
from cch.interpreter.flow import TokenFlow
from cch.interpreter.mapping import Item, item_flow, map_items
from cch.interpreter.region import RegionRun
from cch.interpreter.replay import flow_of
from cch.interpreter.visit import Visit
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
        flow = flow_of(plan, progress.instance.context, progress.outcomes)
        if record.scope:
            self._come_to_map(plan, flow, progress.instance, record)
            flow = await self._enter_item(flow, record)
        node = plan.graph.nodes.get(record.node)
        visit = _visit(flow, record.node, record.visit)
        if visit is None or not isinstance(node, Requesting):
            raise BodyLostError(f"visit {record.visit} of {record.node!r} was set aside by a later try")
        selection = sent_context(node, visit)
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
            output_keys=node.request_output_keys,
            context=context,
            reference=Reference.of(context, prefix, record.command_id) if node.payload_ref else None,
        )

    def _come_to_map(self, plan: Plan, flow: TokenFlow, instance: Instance, record: RequestRecord) -> None:
        """Go the instant way to a map whose items have tasks of their own, as they do: nobody commits it before."""
        if (region := plan.regions.get(record.region)) and region.mapped:
            key = RegionKey(instance=instance.id, region=record.region)
            attempt = Try(key=key, task_instance="", generation=0, dropped={})
            RegionRun(region, flow, LedgerHost(self._platform, instance, attempt)).approach(region.head)

    async def _enter_item(self, root: TokenFlow, record: RequestRecord) -> TokenFlow:
        """The flow of the item that asked, as it is now: from the root on, through each map that it is inside of."""
        flow, scope = root, ROOT
        while scope != record.scope:
            name, visit = scope.map_towards(record.scope) or ("", 0)
            node, seen = flow.graph.maps.get(name), _visit(flow, name, visit)
            if seen is None or node is None:
                raise BodyLostError(f"nothing is recorded any more that leads to {record.scope.text!r}")
            items = {item.key: item for item in _items(node, seen)}
            entered = scope.towards(record.scope, items)
            if entered is None:
                raise BodyLostError(f"the list of {node.name!r} has no longer the item that asked")
            scope, branch = entered
            key = RegionKey(instance=record.instance, region=record.region, scope=scope)
            state = await read(self._platform.ledger, key)
            inner = {**seen.context, node.item_key: items[branch].value}
            flow = item_flow(
                map_body(flow.graph, name),
                state.outcomes.values(),
                inner,
                item_key=node.item_key,
                around=seen.flat_item,
            )
        return flow


def _items(node: MapFork, seen: Visit) -> list[Item]:
    try:
        return map_items(node, seen.context, seen.rules)
    except ValueError as error:
        raise BodyLostError(f"the list of {node.name!r} cannot be read any more: {error}") from None


def _visit(flow: TokenFlow, node: str, visit: int) -> Visit | None:
    """The visit as it was; None if nothing is recorded that leads to it."""
    if (done := flow.outcomes.get(f"{node}#{visit}")) is not None:
        parents = done.parents
    else:
        ready = next((ready for ready in flow.ready() if (ready.node, ready.visit) == (node, visit)), None)
        if ready is None:
            return None
        parents = ready.parents
    context, flat = flow.context(parents), flow.flat_item(parents)
    return Visit(graph=flow.graph, number=visit, context=context, now=0, flat_item=flat)
