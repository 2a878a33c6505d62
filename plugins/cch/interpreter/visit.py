"""One visit of one node: where and when it takes place, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cch.definition.kinds import NodeRecord
from cch.dialects import Dialect
from cch.graph.model import Graph
from cch.interpreter.context import PathError, lookup, placed
from cch.values import reason_text


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


def failure(
    graph: Graph,
    node: NodeRecord,
    reason: str,
    *,
    patch: Mapping[str, Any] | None = None,
    label: str = "on_failure",
    cause: Mapping[str, Any] | None = None,
) -> Result:
    """The node failed: along ``label`` (else ``on_failure``), or without a way on."""
    ways = {edge.label for edge in graph.outgoing(node.name)}
    chosen = next((way for way in (label, "on_failure") if way in ways), "")
    reason = reason_text(reason)
    return Result(
        label=chosen,
        failed=not chosen,
        patch={**(patch or {}), "_internalError": reason, "_errorNode": node.name},
        cause=cause or {"kind": "failure", "reason": reason},
    )


def written(node: NodeRecord, visit: Visit, result: Result) -> Result:
    """The result with its patch put where its keys lead."""
    try:
        return replace(result, patch=placed(result.patch, visit.context, visit.rules))
    except PathError as error:
        return failure(visit.graph, node, str(error))
