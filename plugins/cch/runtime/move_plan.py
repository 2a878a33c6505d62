"""What moving an instance to another version would do to it: where its tokens go, and what of its work goes on. Pure.

Everything that is over stays as it was recorded. A token that waits for its node to begin takes the way that its label
names in the new version. A node that has begun goes on where it is, if the new version has it as the same type; what
it has asked for is kept if the same task would ask for the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cch.definition.kinds import Requesting
from cch.graph.model import Graph
from cch.graph.plan import Plan
from cch.graph.regions import carriers
from cch.graph.scopes import map_body
from cch.interpreter.amendments import START, Amendments
from cch.interpreter.flow import Token, TokenFlow
from cch.ledger.records import RequestRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.standing_still import RefusedChangeError, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What a move does. ``before`` and ``after``: the nodes where tokens are, by the names of either version.

    ``kept``: open requests and waits that go on. ``superseded``: those that are closed, because nobody would take the
    answer; their nodes ask anew if a token is still there.
    ``carried``: unfinished regions that the new version has not, whose outcomes are to be left as an exit.
    ``again``: regions that have left and have something to do again. ``notes``: what people should know.
    """

    amendments: Amendments
    flow: TokenFlow
    before: tuple[str, ...]
    after: tuple[str, ...]
    kept: tuple[RequestRecord | WaitRecord, ...] = ()
    superseded: tuple[RequestRecord | WaitRecord, ...] = ()
    carried: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_move(standing: Standing, new: Plan, renamed: Mapping[str, str] | None = None) -> MovePlan:
    """How the instance goes to the version of plan ``new``. ``renamed``: a node's name so far → its name there.

    :raises RefusedChangeError: it cannot; says why.
    """
    return _Planner(standing, new, dict(renamed or {})).plan()


@dataclass
class _Planner:
    standing: Standing
    new: Plan
    renamed: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.old = self.standing.plan
        self.amendments = self.standing.view.instance.amendments
        self.flow = self.standing.flow(self.old, self.amendments)
        self.flow.ready()  # tokens that die before a join are gone
        self._check_names()
        self.begun = self._begun()

    @property
    def graph(self) -> Graph:
        return self.new.graph

    def _then(self, name: str) -> str:
        return self.renamed.get(name, name)

    def plan(self) -> MovePlan:
        self._check_failures()
        self._check_joins()
        for name in self.begun:
            self._check_begun(name)
        amendments = self.amendments.moved(self.renamed, self._targets())
        flow = self.standing.flow(self.new, amendments)
        after = tuple(flow.positions)
        status = flow.status()
        if status == "failed":
            raise RefusedChangeError(f"there it would have ended as failed: {flow.reason()}")
        kept, superseded = self._asked(amendments, flow)
        self._note_events(kept)
        return MovePlan(
            amendments=amendments,
            flow=flow,
            before=tuple(self.flow.positions),
            after=after,
            kept=kept,
            superseded=superseded,
            carried=tuple(self._carried(amendments)),
            again=tuple(self._again(amendments, flow)),
            notes=tuple(self.notes),
        )

    def _check_names(self) -> None:
        """:raises RefusedChangeError: a new name is not that of a node, or two nodes would be mixed up."""
        known = set(self.old.graph.nodes) | {outcome.node for outcome in self.flow.outcomes.values()}
        for old, new in self.renamed.items():
            if old not in known:
                raise RefusedChangeError(f"it has no node {old!r} that could be called {new!r} from now on")
            if new not in self.graph.nodes:
                raise RefusedChangeError(f"the version has no node {new!r}, which {old!r} is to be called")
            if new in known:
                raise RefusedChangeError(f"{old!r} cannot be called {new!r}: it has a node of that name already")
            if old in self.graph.nodes:
                raise RefusedChangeError(f"{old!r} cannot be called {new!r}: the version still has a node {old!r}")
        if len(set(self.renamed.values())) < len(self.renamed):
            raise RefusedChangeError("two nodes cannot get the same name")
        for name, latest in self.amendments.names.items():
            if name in self.graph.nodes and self._then(latest) != name:
                raise RefusedChangeError(
                    f"its node {latest!r} was called {name!r} before, and the version has a node {name!r}: if they are"
                    f" the same, rename {latest}={name}"
                )

    def _begun(self) -> tuple[str, ...]:
        """Nodes that somebody works on or waits for, and that no recorded visit has ended."""
        now = self.amendments.now
        asked = [record.node for record in self.standing.requests if record.scope.is_root]
        asked += [record.node for record in self.standing.waits if record.scope.is_root and not record.path]
        found = dict.fromkeys(map(now, asked))
        heads = {self.amendments.now(region) for region in self.standing.unfinished}
        mapped = {(now(item.node), item.made_by[1].visit) for item in self.standing.items if item.made_by[0].is_root}
        for ready in self.flow.ready():
            of_map = ready.node in self.old.graph.maps
            if of_map and ((ready.node, ready.visit) in mapped or self._head(ready.node) in heads):
                found[ready.node] = None
        for token in self.flow.tokens:
            if _kept_for_itself(token):
                found[token.target] = None
        positions = set(self.flow.positions)
        return tuple(name for name in found if name in positions)

    def _head(self, name: str) -> str:
        return carriers(self.old.regions).get(name, "")

    def _check_begun(self, name: str) -> None:
        """:raises RefusedChangeError: the node has begun, and would be something else."""
        then = self._then(name)
        if then not in self.graph.reachable:
            return
        old, new = self.old.graph.nodes[name], self.graph.nodes[then]
        if old.type != new.type:
            raise RefusedChangeError(f"{name!r} has begun as {old.type}, and would be {new.type}")
        if name not in self.old.graph.maps:
            return
        ours, theirs = self.old.regions.get(self._head(name)), self.new.regions.get(carriers(self.new.regions)[then])
        if then != name or ours is None or theirs is None or (ours.mapped, ours.head) != (theirs.mapped, theirs.head):
            raise RefusedChangeError(f"items of map {name!r} are under way, and another task would run them")
        if _body(self.old.graph, name) != _body(self.graph, name):
            raise RefusedChangeError(f"items of map {name!r} are under way, and its body would be another")

    def _check_failures(self) -> None:
        """:raises RefusedChangeError: a failure that nobody handles has stopped a part of it."""
        for failure in self.flow.failures:
            raise RefusedChangeError(f"{failure.node!r} has failed, and nothing handles that: clear its task first")

    def _check_joins(self) -> None:
        """:raises RefusedChangeError: a join waits for branches, and would wait for others."""
        for name, arrivals in self.old.graph.join_arrivals.items():
            here = [token for token in self.flow.tokens if token.target == name]
            coming = [position for position in self.flow.positions if name in self.old.graph.ahead[position]]
            if not here and len(coming) < 2:
                continue
            then = self.graph.join_arrivals.get(self._then(name))
            wanted = {self._then(branch) for branch in arrivals}
            if then is None or set(then) != wanted:
                raise RefusedChangeError(f"join {name!r} waits for its branches, and would wait for others")
            for token in here:
                sources = {self._then(branch): found for branch, found in arrivals.items()}
                closes = {branch for branch, found in sources.items() if token.source_node in found}
                if not any(self._then(token.source_node) in then[branch] for branch in closes):
                    raise RefusedChangeError(
                        f"a branch has come to join {name!r} from {token.source_node!r}, which would not close it"
                    )

    def _targets(self) -> dict[str, tuple[str, ...]]:
        """Recorded outcome → where its tokens lead in the version, where that is not what reading it would give."""
        stored = {self.amendments.read(outcome).id: outcome.id for outcome in self.standing.outcomes}
        live: dict[str, list[str]] = {}
        for token in self.flow.tokens:
            live.setdefault(token.source, []).append(token.target)
        entered = self.amendments.entered(self.old.graph.entry)
        found = {START: self._led(START, entered, live.get(START, []))}
        usual = {START: tuple(map(self._then, entered)) if START in self.amendments.targets else (self.graph.entry,)}
        for outcome in self.flow.outcomes.values():
            if (name := stored.get(outcome.id)) is not None:
                found[name] = self._led(outcome.id, outcome.targets, live.get(outcome.id, []))
                usual[name] = tuple(map(self._then, outcome.targets))
        return {name: targets for name, targets in found.items() if targets != usual[name]}

    def _led(self, source: str, recorded: Sequence[str], live: Sequence[str]) -> tuple[str, ...]:
        """Where the tokens of one outcome are in the version; ``live``: those that nobody has taken yet."""
        taken = [name for name in recorded if (name, source) in self._taken]
        stay = [name for name in live if name in self.begun and self._then(name) in self.graph.reachable]
        others = [self._then(name) for name in (*taken, *stay)]
        if len(stay) == len(live):
            return tuple(dict.fromkeys(others))
        ways = self._ways(source)
        if ways is None:  # what led here is gone
            ways = tuple(self._then(name) for name in live if name not in stay)
            if lost := [name for name in ways if name not in self.graph.reachable]:
                raise RefusedChangeError(f"it stands before {lost[0]!r}, which the version has not, nor what led there")
        return tuple(dict.fromkeys([*others, *ways]))

    @functools.cached_property
    def _taken(self) -> frozenset[tuple[str, str]]:
        """(node, outcome) of tokens that visits have taken."""
        outcomes = self.flow.outcomes.values()
        return frozenset((outcome.node, parent) for outcome in outcomes for parent in outcome.parents or (START,))

    def _ways(self, source: str) -> tuple[str, ...] | None:
        """Where the label of an outcome leads in the version; None if its node is not there.

        :raises RefusedChangeError: the node has no such way any more.
        """
        if source == START:
            return (self.graph.entry,)
        outcome = self.flow.outcomes[source]
        name = self._then(outcome.node)
        if name not in self.graph.nodes:
            return None
        # The label of a choice is the node that it leads to.
        edges = self.graph.chosen(name, outcome.label) or self.graph.chosen(name, self._then(outcome.label))
        if not edges:
            raise RefusedChangeError(f"{outcome.node!r} has taken the way {outcome.label!r}, which the version has not")
        again = [name] if outcome.node in outcome.targets else []
        return tuple(dict.fromkeys([*(edge.target for edge in edges), *again]))

    def _asked(
        self, amendments: Amendments, flow: TokenFlow
    ) -> tuple[tuple[RequestRecord | WaitRecord, ...], tuple[RequestRecord | WaitRecord, ...]]:
        kept: list[RequestRecord | WaitRecord] = []
        superseded: list[RequestRecord | WaitRecord] = []
        everything: list[RequestRecord | WaitRecord] = [*self.standing.requests, *self.standing.waits]
        for record in everything:
            (kept if self._goes_on(record, amendments, flow) else superseded).append(record)
        return tuple(kept), tuple(superseded)

    def _goes_on(self, record: RequestRecord | WaitRecord, amendments: Amendments, flow: TokenFlow) -> bool:
        """Whether the same visit of the same task would ask for the same."""
        if not record.scope.is_root:
            return True  # a map that has begun has the same body
        was = self.amendments.now(record.node)
        name = self._then(was)
        if name not in flow.positions or name not in self.graph.nodes:
            return False
        if self.amendments.recorded(self._head(was)) != amendments.recorded(carriers(self.new.regions).get(name, "")):
            return False
        node = self.graph.nodes[name]
        if isinstance(record, RequestRecord):
            # One that was not sent yet would be sent as the old version makes it.
            return bool(record.sent_at) and isinstance(node, Requesting) and node.capability_id == record.source
        return node.shape == "event"

    def _note_events(self, kept: Iterable[RequestRecord | WaitRecord]) -> None:
        """Whoever waits on takes the event that the version says (:meth:`cch.runtime.host.LedgerHost.wait_event`)."""
        for record in kept:
            if isinstance(record, WaitRecord):
                node = self.graph.nodes.get(self._then(self.amendments.now(record.node)))
                if node is not None and node.event_path != record.event_key:
                    wanted = node.event_path or "any key"
                    self.notes.append(f"{node.name!r} waits for an event with {wanted!r} from now on")

    def _carried(self, amendments: Amendments) -> Iterable[str]:
        """Unfinished regions whose task the version has not; what they have done must not be lost with it."""
        there = set(map(amendments.recorded, self.new.regions))
        return [region for region in self.standing.unfinished if region not in there]

    def _again(self, amendments: Amendments, flow: TokenFlow) -> Iterable[str]:
        left = {exit_.region for exit_ in self.standing.view.exits}
        ready = {each.node for each in flow.ready()}
        for head, region in self.new.regions.items():
            if amendments.recorded(head) in left and ready & set(region.nodes):
                yield amendments.recorded(head)


def _kept_for_itself(token: Token) -> bool:
    return token.source_node == token.target


def _body(graph: Graph, name: str) -> object:
    """What runs for each item, as far as tokens and records depend on it."""
    body = map_body(graph, name)
    nodes = {each: body.nodes[each].type for each in body.reachable}
    edges = {(edge.source, edge.label, edge.target) for edge in body.edges if edge.source in nodes}
    return body.entry, nodes, edges, {key: dict(found) for key, found in body.join_arrivals.items() if key in nodes}
