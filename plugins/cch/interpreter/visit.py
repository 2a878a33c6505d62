"""One visit of one node: where and when it takes place, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cch.definition.dates import iso
from cch.definition.kinds import NodeRecord
from cch.dialects import Dialect
from cch.graph.model import Graph
from cch.interpreter.context import PathError, lookup, placed
from cch.interpreter.flow import Ready, TokenFlow
from cch.values import MISSING, reason_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a visit produced, before it is stamped."""

    label: str = ""
    patch: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    cause: Mapping[str, Any] = field(default_factory=lambda: {"kind": "instant"})
    errors: tuple[Mapping[str, Any], ...] = ()
    #: The node keeps a token for itself: it has something left to do, later.
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What expressions know of the instance; ``started`` in ms."""

    id: str = ""
    correlation_id: str = ""
    workflow_id: str = ""
    started: int = 0

    def as_json(self) -> dict[str, str]:
        """``$instance``."""
        return {
            "id": self.id,
            "correlationId": self.correlation_id,
            "workflowId": self.workflow_id,
            "started": iso(self.started),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Where and when: ``now`` in ms, ``last_reply`` as in :class:`~cch.interpreter.host.Call`.

    ``again``: the token that the node kept for itself at an earlier visit. ``failed_items``: branch key → reason, of
    the maps that a join waited for.
    """

    graph: Graph
    number: int
    context: Mapping[str, Any]
    now: int
    last_reply: Mapping[str, Any] | None = None
    again: bool = False
    failed_items: Mapping[str, str] = field(default_factory=dict)
    instance: About = About()
    #: When the latest answer, event or call on the way here ended (ms); at first the start of the instance.
    moment: int = 0
    #: The value of the item of a map in whose body this is; :data:`~cch.values.MISSING` outside of one.
    item: Any = MISSING
    #: The keys of the map's item that it belongs to, in dialects that send them flat; empty outside of maps.
    flat_item: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> int:
        """Number of the rules by which the definition is read."""
        return self.graph.definition.reading_rules

    @property
    def dialect(self) -> Dialect:
        """The dialect in which the instance began."""
        return self.graph.definition.speaks

    def look_up(self, path: str) -> Any:
        """The value at a path of the context, or :data:`MISSING`."""
        return lookup(self.context, path, self.rules)


def visit_at(flow: TokenFlow, ready: Ready, now: int, instance: About) -> Visit:
    """The visit of a node that takes these tokens; ``now`` in ms."""
    causes = [flow.outcomes[parent].cause for parent in ready.parents]
    node = flow.graph.nodes[ready.node]
    return Visit(
        graph=flow.graph,
        number=ready.visit,
        context=flow.seen(ready.node, ready.parents),
        now=now,
        last_reply=flow.last_reply(ready.parents),
        again=node.at_once is not None and any(flow.outcomes[parent].node == ready.node for parent in ready.parents),
        failed_items={key: why for cause in causes if cause["kind"] == "map" for key, why in cause["failed"].items()},
        instance=instance,
        moment=flow.moment(ready.parents) or instance.started,
        item=flow.initial.get(flow.item_key, MISSING),
        flat_item=flow.flat_item(ready.parents),
    )


def failure(
    graph: Graph,
    node: NodeRecord,
    reason: str,
    *,
    patch: Mapping[str, Any] | None = None,
    label: str = "on_failure",
    cause: Mapping[str, Any] | None = None,
    code: str = "FAILED",
) -> Result:
    """The node failed: along ``label`` (else ``on_failure``), or without a way on. ``code`` is for ``$error.code``."""
    ways = {edge.label for edge in graph.outgoing(node.name)}
    chosen = next((way for way in (label, "on_failure") if way in ways), "")
    reason = reason_text(reason)
    return Result(
        label=chosen,
        failed=not chosen,
        patch={**(patch or {}), "_internalError": reason, "_errorNode": node.name, "_errorCode": code},
        cause=cause or {"kind": "failure", "reason": reason},
    )


def written(node: NodeRecord, visit: Visit, result: Result) -> Result:
    """The result with its patch put where its keys lead."""
    try:
        return replace(result, patch=placed(result.patch, visit.context, visit.rules))
    except PathError as error:
        return failure(visit.graph, node, str(error))
