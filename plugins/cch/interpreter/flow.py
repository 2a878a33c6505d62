"""Tokens: the one implementation of which node may run next, what it sees, and when an instance is complete.

Tokens move along chosen edges. A node is ready when at least one token waits at it and no other token can still
come to it without closing a loop; a join also needs a token from each of its branches, else its tokens end there.
A failure that nobody handles stops everything behind the region that failed: Airflow does the same with the
tasks behind a failed one. So nothing behind a region begins before the region has no token left, also where one
task executes several regions; then all hosts agree whatever the timing.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cch.definition.merging import has_items
from cch.definition.rules import THIRD
from cch.graph.model import Edge, Graph
from cch.interpreter.amendments import START, UNAMENDED, Amendments
from cch.interpreter.context import merge
from cch.interpreter.outcome import Outcome

Status = Literal["running", "completed", "failed"]
#: The code with which the reason of an instance begins that came to its end nowhere.
ENDED_NOWHERE = "ENDED_NOWHERE"
#: Kinds of causes of visits that waited for somebody.
_TAKES_TIME = frozenset({"reply", "event", "call", "timeout", "map"})
_NOTHING: Mapping[str, Any] = {}


def _order(outcome: Outcome) -> tuple[int, str, int]:
    return outcome.stamp, outcome.node, outcome.visit


@dataclass(frozen=True, slots=True)
class Token:
    """Waits at ``target``; came from the outcome ``source`` ("" for the start)."""

    target: str
    source: str
    source_node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A node that may run now, and the outcomes whose tokens it takes."""

    node: str
    parents: tuple[str, ...]
    visit: int


class TokenFlow:
    """State of one scope, built by applying outcomes in any order that respects parents.

    ``domains``: node → head of its region (:func:`cch.graph.regions.failure_domains`). ``is_item``: the scope is one
    item of a map, which needs no ``end``; ``item_key``: where the context has that item; ``around``: flat keys of the
    items that it is inside of. ``begun``: when the scope began (ms). ``amendments``: how recorded outcomes are read.
    """

    def __init__(
        self,
        graph: Graph,
        domains: Mapping[str, str],
        initial: Mapping[str, Any],
        *,
        is_item: bool = False,
        item_key: str = "",
        around: Mapping[str, Any] = _NOTHING,
        begun: int = 0,
        amendments: Amendments = UNAMENDED,
    ) -> None:
        self.graph = graph
        self._amendments = amendments
        self._around = around
        self.initial = initial
        self.outcomes: dict[str, Outcome] = {}
        self.failures: list[Outcome] = []
        self._domains = domains
        self.item_key = item_key
        self.begun = begun
        self._needs_end = not is_item and graph.definition.reading_rules >= THIRD
        self._tokens: list[Token] = [Token(name, START, "") for name in amendments.entered(graph.entry)]
        self._stopped: set[str] = set()
        self._visits: dict[str, int] = {}
        self._after_region: dict[str, frozenset[str]] = {}
        #: Context after each outcome; contexts share what a patch did not touch.
        self._after: dict[str, Mapping[str, Any]] = {}
        #: When what took time on the way to each outcome had ended, itself included.
        self._moments: dict[str, int] = {}
        #: Latest reply on the way to each outcome, itself included.
        self._reply_at: dict[str, Outcome] = {}

    def apply(self, outcome: Outcome) -> None:
        """Take in one committed visit; one that is known already changes nothing."""
        outcome = self._read(outcome)
        if outcome.id in self.outcomes:
            return
        if added := self._amendments.added(outcome.parents, outcome.node):
            outcome = replace(outcome, patch=merge(added, outcome.patch))
        self.outcomes[outcome.id] = outcome
        known = tuple(parent for parent in outcome.parents if parent in self.outcomes)
        self._after[outcome.id] = merge(self.context(known), outcome.patch)
        replies = [reply for parent in known if (reply := self._reply_at.get(parent))]
        if outcome.cause.get("kind") == "reply":
            replies.append(outcome)
        if replies:
            self._reply_at[outcome.id] = max(replies, key=_order)
        takes_time = outcome.cause.get("kind") in _TAKES_TIME
        self._moments[outcome.id] = outcome.stamp if takes_time else self.moment(known)
        self._visits[outcome.node] = max(outcome.visit, self._visits.get(outcome.node, 0))
        taken = set(outcome.parents) or {""}
        self._tokens = [t for t in self._tokens if t.target != outcome.node or t.source not in taken]
        for target in outcome.targets:
            if target not in self._stopped:
                self._tokens.append(Token(target, outcome.id, outcome.node))
        if outcome.failed:
            self.failures.append(outcome)
            self._stop_behind(outcome.node)

    def _read(self, outcome: Outcome) -> Outcome:
        """The outcome as it counts now; the label of a choice is the node that it leads to, which may be renamed."""
        read = self._amendments.read(outcome)
        label = self._amendments.now(read.label)
        if label == read.label or read.node not in self.graph.nodes or self.graph.chosen(read.node, read.label):
            return read
        return replace(read, label=label)

    def apply_all(self, outcomes: Iterable[Outcome]) -> None:
        """Apply outcomes after sorting them by stamp, which parents always precede."""
        for outcome in sorted(outcomes, key=_order):
            self.apply(outcome)

    def _region(self, node: str) -> str:
        return self._domains.get(node, node)

    def _behind(self, head: str) -> frozenset[str]:
        """Nodes that come after any node of the region."""
        if head not in self._after_region:
            inside = {name for name, domain in self._domains.items() if domain == head} | {head}
            self._after_region[head] = frozenset().union(*(self.graph.ahead[name] for name in inside))
        return self._after_region[head]

    def _stop_behind(self, node: str) -> None:
        self._stopped |= self._behind(self._region(node))
        self._tokens = [token for token in self._tokens if token.target not in self._stopped]

    @property
    def stopped(self) -> frozenset[str]:
        """Nodes that no token comes to any more, because they lie behind a failure that nobody handled."""
        return frozenset(self._stopped)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens, in the order of arrival."""
        return tuple(self._tokens)

    @property
    def positions(self) -> list[str]:
        """Nodes at which tokens are, each once, in the order of arrival."""
        return list(dict.fromkeys(token.target for token in self._tokens))

    def may_reach(self, name: str) -> bool:
        """Whether a token is at the node, or may still come to it."""
        return any(name == position or name in self._still_ahead(position) for position in self.positions)

    def _arrived(self, name: str) -> list[Token]:
        return [token for token in self._tokens if token.target == name]

    def _still_ahead(self, name: str) -> frozenset[str]:
        """Where the tokens at ``name`` may still come to. One that the node kept for itself has gone on already."""
        at_once = self.graph.nodes[name].at_once
        if at_once is None or any(token.source_node != name for token in self._arrived(name)):
            return self.graph.ahead[name]
        ways = [edge.target for edge in self.graph.outgoing(name) if edge.label != at_once]
        return frozenset(ways).union(*(self.graph.ahead[target] for target in ways))

    def _comes_first(self, other: str, name: str) -> bool:
        """Whether ``name`` waits for a token at ``other``: it may still come here, or its region may still fail."""
        if name in self._still_ahead(other):
            return True
        region = self._region(other)
        return region != self._region(name) and name in self._behind(region)

    def ready(self) -> list[Ready]:
        """Nodes that may run now, in the order of the definition. Dead joins give up their tokens here."""
        while True:
            positions = self.positions
            settled = [name for name in positions if not any(self._comes_first(other, name) for other in positions)]
            dead = [name for name in settled if not self._complete(name)]
            if not dead:
                break
            self._tokens = [token for token in self._tokens if token.target not in dead]
        return [self._ready(name) for name in sorted(settled, key=self.graph.order.__getitem__)]

    def _ready(self, name: str) -> Ready:
        parents = tuple(sorted({token.source for token in self._arrived(name) if token.source}))
        return Ready(node=name, parents=parents, visit=self._visits.get(name, 0) + 1)

    def _complete(self, name: str) -> bool:
        arrivals = self.graph.join_arrivals.get(name)
        if arrivals is None:
            return True
        came_from = {token.source_node for token in self._arrived(name)}
        return all(came_from & sources for sources in arrivals.values())

    def context(self, parents: tuple[str, ...]) -> Mapping[str, Any]:
        """What a node that takes tokens from these outcomes sees: all that led to them, by stamp.

        Goes back from the newest until one outcome is left: what that one saw, every other one here has built upon.
        """
        known = {parent: self.outcomes[parent] for parent in parents if parent in self.outcomes}
        newest = sorted(known.values(), key=_order)
        later: list[Outcome] = []
        while len(newest) > 1:
            later.append(newest.pop())
            for parent in later[-1].parents:
                if parent in self.outcomes and parent not in known:
                    known[parent] = self.outcomes[parent]
                    bisect.insort(newest, known[parent], key=_order)
        seen = self._after[newest[0].id] if newest else self.initial
        for outcome in reversed(later):
            seen = merge(seen, outcome.patch)
        return seen

    def seen(self, node: str, parents: tuple[str, ...]) -> Mapping[str, Any]:
        """What a node sees when it takes tokens of these outcomes."""
        added = self._amendments.added(parents, node)
        return merge(self.context(parents), added) if added else self.context(parents)

    def flat_item(self, parents: Iterable[str]) -> Mapping[str, Any]:
        """The keys of the map's item, for dialects that send them flat; else, and outside of maps, none.

        They are merged with what led to these outcomes has brought. An inner item's key wins over an outer one's.
        """
        if not self.item_key or not self.graph.definition.speaks.flat_items:
            return {}
        parents = tuple(parents)
        seen = self.context(parents)
        led = [self.outcomes[each] for each in self.ways_to(parents)]
        brought: dict[str, Any] = {}
        for outcome in sorted(led, key=_order):
            brought = merge(brought, outcome.patch)
        # What was written into a list comes with the whole list.
        brought = {key: seen[key] if has_items(value) else value for key, value in brought.items()}
        item = seen.get(self.item_key)
        flat = merge(merge(self._around, item if isinstance(item, Mapping) else {}), brought)
        return {key: value for key, value in flat.items() if key != self.item_key}

    def ways_to(self, outcomes: Iterable[str]) -> set[str]:
        """These outcomes, and all that led to them."""
        return {each.id for outcome in outcomes if outcome in self.outcomes for each in self._way_to(outcome)}

    def _way_to(self, outcome: str) -> list[Outcome]:
        return [self.outcomes[outcome], *self._ancestors(self.outcomes[outcome])]

    def after(self, outcome: Outcome) -> Mapping[str, Any]:
        """What was known right after a visit."""
        return self._after[outcome.id]

    def last_reply(self, parents: Iterable[str]) -> Mapping[str, Any] | None:
        """Payload (with ``status``) of the latest reply on the way to a node with these parents."""
        replies = [reply for parent in parents if (reply := self._reply_at.get(parent))]
        return max(replies, key=_order).patch if replies else None

    def stamp(self, parents: Iterable[str], now: int) -> int:
        """The stamp of an outcome with these parents: later than each of them, whatever the clocks say."""
        return max([now, *(self.outcomes[parent].stamp + 1 for parent in parents if parent in self.outcomes)])

    def moment(self, parents: Iterable[str]) -> int:
        """When the latest answer, event or call ended that led to a node with these parents (ms); else ``begun``.

        Instant nodes take no time, and who evaluates them stamps them by its own clock: they do not count, so that the
        moment is the same at every replay.
        """
        return max((self._moments.get(parent, self.begun) for parent in parents), default=self.begun)

    def reach_ends(self) -> None:
        """Let tokens at a successful ``end`` reach it: nobody executes those (:mod:`cch.graph.regions`)."""
        for ready in self.ready():
            if self.graph.nodes[ready.node].is_end and ready.node not in self._domains:
                stamp = self.stamp(ready.parents, 0)
                self.apply(
                    Outcome(
                        node=ready.node, visit=ready.visit, stamp=stamp, started=stamp, parents=ready.parents,
                        cause={"kind": "instant"},
                    )
                )  # fmt: skip

    def status(self) -> Status:
        """Whether the scope is complete, and how."""
        self.reach_ends()
        self.ready()
        if self._tokens:
            return "running"
        return "failed" if self.failures or self.ended_nowhere else "completed"

    @property
    def ended_nowhere(self) -> bool:
        """Whether all tokens have died without a failure, and none of them reached an ``end`` although one had to."""
        nodes = self.graph.nodes  # a move may have left some behind
        reached = (nodes[outcome.node].is_end for outcome in self.outcomes.values() if outcome.node in nodes)
        return self._needs_end and not self._tokens and not self.failures and not any(reached)

    def reason(self) -> str:
        """Why the scope has failed; "" if it has not."""
        if self.failures:
            return self.failure_reason(self.failures[0])
        if not self.ended_nowhere:
            return ""
        last = max(self.outcomes.values(), key=_order, default=None)
        where = f": the last node was {last.node!r}" if last else ""
        return f"{ENDED_NOWHERE}: no way was left, and none has led to an end{where}"

    def failure_reason(self, failed: Outcome) -> str:
        """Why a visit failed; for an ``end`` that fails, also the failure that led to it, unless that was handled."""
        if own := failed.patch.get("_internalError"):
            return str(own)
        before = self._unhandled_before(failed)
        return f"ended at {failed.node!r} as failed" + (f": {before.patch['_internalError']}" if before else "")

    def first_failure(self) -> Outcome | None:
        """The visit because of which the scope has failed; of an ``end`` that fails, the failure that led to it."""
        if not self.failures:
            return None
        failed = self.failures[0]
        return failed if failed.patch.get("_internalError") else self._unhandled_before(failed) or failed

    def _unhandled_before(self, failed: Outcome) -> Outcome | None:
        """The latest failure on the way to an outcome from which the way has not come back to the normal course."""
        way = sorted(self._ancestors(failed), key=_order)
        for failure in reversed(way):
            if not failure.patch.get("_internalError") or failure.node not in self.graph.nodes:
                continue
            behind = {failure.id}
            after: set[str] = set()
            for outcome in way:
                if behind & set(outcome.parents):
                    behind.add(outcome.id)
                    after.add(outcome.node)
            if not after & self.graph.course_of(failure.node):
                return failure
        return None

    def _ancestors(self, outcome: Outcome) -> list[Outcome]:
        found: dict[str, Outcome] = {}
        todo = list(outcome.parents)
        while todo:
            name = todo.pop()
            if name in self.outcomes and name not in found:
                found[name] = self.outcomes[name]
                todo.extend(found[name].parents)
        return list(found.values())

    def final_context(self) -> dict[str, Any]:
        """All patches by stamp: what the instance has come to know."""
        result = dict(self.initial)
        for outcome in sorted(self.outcomes.values(), key=_order):
            result = merge(result, outcome.patch)
        for token in self._tokens:
            result = merge(result, self._amendments.added([token.source] if token.source else (), token.target))
        return result

    def visited(self) -> list[str]:
        """Nodes in the order of commit, one entry a visit."""
        return [o.node for o in sorted(self.outcomes.values(), key=_order)]

    def taken(self, nodes: Collection[str]) -> list[Edge]:
        """Edges that the outcomes of these nodes chose."""
        return [
            edge
            for outcome in self.outcomes.values()
            if outcome.node in nodes
            for edge in self.graph.chosen(outcome.node, outcome.label)
            if edge.target in outcome.targets
        ]
