"""Where an instance stands, node by node, as people see it: a pure function of what is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cch.envelope import iso
from cch.graph.regions import carriers
from cch.graph.scopes import map_body
from cch.interpreter.context import merge, selected
from cch.interpreter.replay import flow_of, has_failed, replay
from cch.ledger.records import ENDED, Instance, InstanceView, JournalEntry, MapItem, RequestRecord
from cch.runtime.items import ItemProgress, ItemState, ItemStates, ShownVisit, counts, course, least

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cch.graph.plan import Plan
    from cch.interpreter.flow import Ready, TokenFlow
    from cch.interpreter.outcome import Outcome
    from cch.ledger.waiting import OpenWait
    from cch.ledger.waits import WaitRecord

#: PENDING: may still be reached. READY: its turn has come, but nobody has begun.
#: WAITING: for a reply or an event. SKIPPED: can no longer be reached.
#: FAILED: the last visit failed, whether or not somebody handled it (``edge`` then says who).
NodeState = Literal["PENDING", "READY", "WAITING", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgress:
    """One node.

    ``since`` is when the visit or the wait began (ms, 0: never), ``seconds`` how long the visit took, ``request``
    or ``wait`` what the node waits for. In a map's body ``items`` says how many items stand how at the node, of
    those that were looked at; ``state`` is then that of the item that has come least far, ``visits`` the number of
    their visits.
    """

    name: str
    type: str
    title: str
    state: NodeState
    visits: int = 0
    since: int = 0
    seconds: float | None = None
    edge: str = ""
    reason: str = ""
    request: RequestRecord | None = None
    wait: WaitRecord | None = None
    items: Mapping[ItemState, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an instance asked for, oldest first.

    ``requests`` are those of the root and of the items that are looked at, ``waits`` those for events at the root;
    ``open`` is what root and items wait for now.
    """

    requests: Sequence[RequestRecord] = ()
    waits: Sequence[WaitRecord] = ()
    open: Sequence[OpenWait] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One instance.

    ``nodes`` are in the order of the definition, none if that is lost; ``visited`` has one entry a visit, by time,
    those of map items as ``Node[branch key]``; ``context`` is all that is known, without the platform's own keys.
    ``waits`` are those for events at the root, ``open_waits`` what root and items wait for now.
    ``items`` are those items of maps that were looked at, of ``items_in_all``.
    """

    instance: Instance
    nodes: tuple[NodeProgress, ...]
    visited: tuple[str, ...]
    context: Mapping[str, Any]
    requests: tuple[RequestRecord, ...]
    errors: tuple[Mapping[str, Any], ...]
    waits: tuple[WaitRecord, ...] = ()
    open_waits: tuple[OpenWait, ...] = ()
    items: tuple[ItemProgress, ...] = ()
    items_in_all: int = 0
    #: Every visit that counts, by time.
    outcomes: tuple[Outcome, ...] = ()

    @property
    def ended(self) -> bool:
        return self.instance.status in ENDED

    def seconds(self, now: int) -> float:
        """From the start to the end, or to ``now`` (ms)."""
        return max(0, (self.instance.ended or now) - self.instance.started) / 1000


def live_regions(plan: Plan, view: InstanceView) -> list[str]:
    """Heads of the regions that have left no exit and that the exits of others lead into."""
    amendments = view.instance.amendments
    ready = {ready.node for ready in flow_of(plan, view.instance.context, view.outcomes(), amendments).ready()}
    left = {exit_.region for exit_ in view.exits if not exit_.unfinished}
    live = (head for head, region in plan.regions.items() if ready & set(region.nodes))
    return [head for head in live if amendments.recorded(head) not in left]


def _reachable(flow: TokenFlow) -> set[str]:
    """Nodes that a token may still come to, at the root or in a map's items; the ones that hold one included."""
    found: set[str] = set()
    todo = flow.positions
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(flow.graph.targets(name) - flow.stopped)
            if name in flow.graph.maps:
                todo.extend(map_body(flow.graph, name).reachable)
    return found


def _errors(instance: Instance, visits: Iterable[ShownVisit]) -> tuple[Mapping[str, Any], ...]:
    """What ``log_error`` nodes wrote, every node that failed, and why the instance did if no node says it."""
    found: list[Mapping[str, Any]] = []
    for visit in visits:
        outcome = visit.outcome
        found.extend(outcome.errors)
        if has_failed(outcome):
            message = str(outcome.patch.get("_internalError") or f"the workflow ended at {outcome.node!r} as failed")
            found.append(
                {
                    "code": "NODE_FAILED",
                    "message": message,
                    "node": visit.name,
                    "timestamp": iso(outcome.stamp),
                    "handled": not outcome.failed,
                }
            )
    if instance.reason and not any(error["message"] == instance.reason for error in found):
        stamp = iso(instance.ended or instance.started)
        found.append({"code": "INSTANCE_FAILED", "message": instance.reason, "node": "", "timestamp": stamp})
    return tuple(found)


class _Nodes:
    """The states of one instance's nodes."""

    def __init__(
        self,
        plan: Plan,
        flow: TokenFlow,
        view: InstanceView,
        asked: Asked,
        journals: Mapping[str, Sequence[JournalEntry]] | None,
        *,
        items: Sequence[ItemProgress],
    ) -> None:
        self._flow = flow
        self._items = items
        self._instance = view.instance
        self._journals = journals
        self._carrier = carriers(plan.regions)
        self._ended = view.instance.status in ENDED
        now = view.instance.amendments.now
        asks = [request for request in asked.requests if request.state == "open" and request.scope.is_root]
        self._asks = {} if self._ended else {now(request.node): request for request in asks}
        self._awaits = {now(w.node): w for w in asked.waits if w.state == "open" and not self._ended}
        self._ready = {ready.node: ready for ready in flow.ready()}
        self._reachable = _reachable(flow)
        self._visits: dict[str, list[Outcome]] = {}
        for outcome in sorted(flow.outcomes.values(), key=lambda o: (o.stamp, o.visit)):
            self._visits.setdefault(outcome.node, []).append(outcome)

    def node(self, name: str) -> NodeProgress:
        node = self._flow.graph.nodes[name]
        visits = self._visits.get(name, [])
        here = counts(self._items, name)
        described: dict[str, Any] = {"name": name, "type": node.type, "title": node.title or name, "items": here}
        if request := self._asks.get(name):
            return NodeProgress(
                **described, state="WAITING", visits=request.visit, since=request.created, request=request
            )
        if (ready := self._ready.get(name)) and (wait := self._awaits.get(name)):
            return NodeProgress(**described, state="WAITING", visits=ready.visit, since=wait.created, wait=wait)
        if ready and self._runs(name):
            return NodeProgress(**described, state="RUNNING", visits=ready.visit, since=self._arrival(ready))
        if visits:
            last = visits[-1]
            failed = has_failed(last)
            return NodeProgress(
                **described,
                state="FAILED" if failed else "SUCCEEDED",
                visits=len(visits),
                since=last.started,
                seconds=(last.stamp - last.started) / 1000,
                edge=last.label,
                reason=str(last.patch.get("_internalError", "")) if failed else "",
            )
        if here:
            of_items = [o for item in self._items for o in item.outcomes if o.node == name]
            since = min((outcome.started for outcome in of_items), default=0)
            return NodeProgress(**described, state=least(here), visits=len(of_items), since=since)
        if name in self._ready and self._instance.status == "running":
            return NodeProgress(**described, state="READY", since=self._arrival(self._ready[name]))
        return NodeProgress(**described, state="PENDING" if self._may_come(name) else "SKIPPED")

    def _may_come(self, name: str) -> bool:
        return not self._ended and name in self._reachable

    def _runs(self, name: str) -> bool:
        """Whether somebody works on a node that holds its tokens; its task may still be queued."""
        if self._instance.status != "running":
            return False
        return self._journals is None or bool(self._journals.get(self._carrier.get(name, name)))

    def _arrival(self, ready: Ready) -> int:
        stamps = [self._flow.outcomes[parent].stamp for parent in ready.parents if parent in self._flow.outcomes]
        return max(stamps, default=self._instance.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemJournals:
    """Items of maps with their journals; ``in_all`` is how many there are, also of those that nobody looked at."""

    looked_at: Sequence[tuple[MapItem, Sequence[JournalEntry]]] = ()
    in_all: int = 0


def progress(
    plan: Plan,
    view: InstanceView,
    asked: Asked,
    journals: Mapping[str, Sequence[JournalEntry]] | None = None,
    items: ItemJournals | None = None,
) -> Progress:
    """Where the instance stands.

    ``journals`` are those of the :func:`live_regions`, by head: they show what a region has done before it
    leaves, and whether it has begun. Without them every node that holds its tokens counts as running.
    """
    items = items or ItemJournals()
    ended = view.instance.status in ENDED
    states = ItemStates(plan.graph, ended=ended)
    stand = tuple(states.item(item, replay(journal)) for item, journal in items.looked_at)
    instance = view.instance
    flow = flow_of(plan, instance.context, view.outcomes(), instance.amendments)
    for head, entries in (journals or {}).items():
        if all(exit_.region != instance.amendments.recorded(head) or exit_.unfinished for exit_ in view.exits):
            flow.apply_all(replay(entries).outcomes.values())
    flow.status()
    nodes = _Nodes(plan, flow, view, asked, journals, items=stand)
    visits = course(flow.outcomes.values(), stand)
    return Progress(
        instance=view.instance,
        nodes=tuple(nodes.node(name) for name in plan.graph.nodes),
        visited=tuple(visit.name for visit in visits),
        context=selected(flow.final_context(), None),
        requests=tuple(asked.requests),
        errors=_errors(view.instance, visits),
        waits=tuple(asked.waits),
        open_waits=() if ended else tuple(asked.open),
        items=stand,
        items_in_all=items.in_all,
        outcomes=tuple(sorted(flow.outcomes.values(), key=lambda o: (o.stamp, o.node, o.visit))),
    )


def progress_without_plan(view: InstanceView, asked: Asked) -> Progress:
    """What can be said when the definition is nowhere to be found any more."""
    found = {outcome.id: outcome for exit_ in view.exits for outcome in exit_.outcomes}
    outcomes = sorted(found.values(), key=lambda o: (o.stamp, o.node, o.visit))
    context: Mapping[str, Any] = view.instance.context
    for outcome in outcomes:
        context = merge(context, outcome.patch)
    return Progress(
        instance=view.instance,
        nodes=(),
        visited=tuple(outcome.node for outcome in outcomes),
        context=selected(context, None),
        requests=tuple(asked.requests),
        errors=_errors(view.instance, map(ShownVisit, outcomes)),
        waits=tuple(asked.waits),
        open_waits=() if view.instance.status in ENDED else tuple(asked.open),
        outcomes=tuple(outcomes),
    )
