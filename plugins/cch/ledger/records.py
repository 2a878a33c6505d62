"""The ledger's records as values; keys and attribute names are stored: do not rename."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition.rules import FIRST
from cch.definition.version import FIRST_PLANNER, Version
from cch.dialects import Dialect, recorded_dialect
from cch.identity import NAMESPACE, NEWEST_SCHEME, ROOT, Box, ItemStep, Scope, Step
from cch.interpreter.amendments import UNAMENDED, Amendments
from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import JournalEntry
from cch.ledger.gates import Gate, GateKind

__all__ = [
    "ENDED",
    "FINAL",
    "ActionKind",
    "ActionRecord",
    "Exit",
    "Fate",
    "Instance",
    "InstanceStatus",
    "InstanceView",
    "JournalEntry",
    "MapItem",
    "MessageRecord",
    "RegionKey",
    "RequestRecord",
    "RequestState",
    "instance_id_of_run",
]  # fmt: skip

#: What a person may do to an instance.
ActionKind = Literal["moved", "retried", "completed", "skipped", "failed", "patched", "held", "released"]
InstanceStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
ENDED: frozenset[InstanceStatus] = frozenset({"completed", "failed", "cancelled"})
RequestState = Literal["open", "answered", "timed_out", "superseded", "failed"]
#: Final ends of a message; ``held`` and ``claimed`` are not final.
Fate = Literal["matched", "duplicate", "late", "orphan", "malformed", "rejected", "held", "claimed"]
FINAL: frozenset[Fate] = frozenset({"matched", "duplicate", "late", "orphan", "malformed", "rejected"})


def instance_id_of_run(dag_id: str, run_id: str) -> str:
    """The instance id of a run that Airflow's UI or API started."""
    return str(uuid.uuid5(NAMESPACE, f"{dag_id}\n{run_id}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One run of a definition. Times in ms since 1970."""

    id: str
    workflow_id: str
    correlation_id: str
    status: InstanceStatus
    started: int
    context: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    definition_uri: str = ""
    definition_digest: str = ""
    structure_digest: str = ""
    start_message: str = ""
    ended: int = 0
    reason: str = ""
    #: Which forms the identities of everything have that the instance opens (:mod:`cch.identity.scheme`).
    scheme: int = NEWEST_SCHEME
    #: Number of the rules by which its definition is read; instances from before the second rules have none.
    reading_rules: int = FIRST
    #: Number of the planner that laid out its Airflow tasks.
    planner: int = FIRST_PLANNER
    #: How the start named the version ("" if it named none): a number, ``@label``, or the beginning of a digest.
    version_asked: str = ""
    #: Name of the dialect in which it began; "" if it has not begun, or began before there were dialects.
    dialect: str = ""
    #: The capabilities that its definition asks, where replies are told apart by them.
    capabilities: frozenset[str] = frozenset()
    #: How its outcomes are read since it was moved to another version.
    amendments: Amendments = UNAMENDED
    #: How many gates were closed before it so far, and those that are closed now (:mod:`cch.ledger.gates`).
    gates: int = 0
    closed: tuple[Gate, ...] = ()
    #: How long it may take (ms), and when its time is up (ms), which moves by the length of each hold; 0: no limit, or
    #: one that Airflow watches over, because it began before there were these.
    time_limit: int = 0
    due: int = 0
    #: Since when (ms) its records are being removed, and when they were (:mod:`cch.ledger.expiry`); 0: they are there.
    expiring: int = 0
    expired: int = 0
    #: When it had ended (ms) as the figures have it (:mod:`cch.ledger.rollups`); 0: they do not have it.
    counted: int = 0
    #: Where and why it failed, if it has, and is counted.
    failed_node: str = ""
    error_code: str = ""
    #: An end before this one that nobody has marked as counted: ``<ended>#<digest>``.
    reopened: str = ""

    def gate(self, kind: GateKind) -> Gate | None:
        """The closed gate of this kind."""
        return next((gate for gate in self.closed if gate.kind == kind), None)

    @property
    def gone(self) -> bool:
        """Whether what it did is gone, or about to be: nothing of it can be run again."""
        return bool(self.expiring or self.expired)

    @property
    def version(self) -> Version | None:
        """The version that it runs, or is to run; None if nothing has been decided yet."""
        return Version(self.definition_digest, self.reading_rules, self.planner) if self.definition_digest else None

    @property
    def speaks(self) -> Dialect:
        """:raises UnknownDialectError: a later release made it."""
        return recorded_dialect(self.dialect, self.id)

    def region(self, head: str) -> RegionKey:
        """Where the records of a region of its root are, by the name that the head has now."""
        return RegionKey(instance=self.id, region=self.amendments.recorded(head))

    def box(self, branch: str = "") -> Box:
        """Where pointers to what a branch asks and awaits are."""
        return Box(self.id, branch, self.scheme)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionKey:
    """One region of one scope of one instance."""

    instance: str
    region: str
    scope: Scope = ROOT

    @property
    def partition(self) -> str:
        return f"RGN#{self.instance}#{self.scope.digest}#{self.region}"

    def step(self, scheme: int, generation: int, node: str, visit: int, branch: str = "") -> Step:
        """One visit of a node of the region; ``branch`` is the own key of the scope's item."""
        return Step(
            scheme=scheme, instance=self.instance, region=self.region, scope=self.scope, generation=generation,
            node=node, visit=visit, branch=branch,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItem:
    """One item of one visit of map ``node``: its place in the list, its branch key, and the scope its nodes run in."""

    node: str
    index: int
    branch: str
    key: RegionKey

    @property
    def made_by(self) -> tuple[Scope, ItemStep]:
        """The scope that the map is in, and the step from there to the item."""
        return self.key.scope.parent(self.node, self.branch)

    @property
    def path(self) -> tuple[str, ...]:
        """Branch keys from the outside in."""
        return self.key.scope.branch_path(self.branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """What a region left behind: its outcomes. ``task_instance`` orders tries (Airflow's ids sort by time).

    ``region``: the name under which it is recorded. ``unfinished``: a move has given it something to do again.
    """

    region: str
    generation: int
    task_instance: str
    outcomes: tuple[Outcome, ...]
    unfinished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """Something that a person did to an instance: what, who wanted it, when (ms) and why.

    ``came_from`` and ``version``: which versions it ran before and after, as stored. ``before`` and ``after``: the
    nodes where its tokens were, by the names of either version. ``about``: more, by kind.
    """

    number: int
    kind: ActionKind
    at: int
    by: str
    reason: str = ""
    came_from: str = ""
    version: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """An instance and the exits of its regions, read together."""

    instance: Instance
    exits: tuple[Exit, ...]

    def outcomes(self, without: str = "") -> list[Outcome]:
        """What all regions have left, or all but ``without``."""
        return [outcome for exit_ in self.exits if exit_.region != without for outcome in exit_.outcomes]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request to a capability. ``source`` is the capability id; times in ms, 0 for none."""

    command_id: str
    instance: str
    region: str
    node: str
    visit: int
    attempt: int
    source: str
    branch: str
    state: RequestState
    created: int
    deadline: int
    sent_at: int
    task_instance: str
    body_hash: str
    owners: frozenset[str]
    scope: Scope = ROOT
    scheme: int = NEWEST_SCHEME
    generation: int = 0
    answered_by: str = ""
    reply_status: str = ""
    closed_at: int = 0
    reply: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def box(self) -> Box:
        return Box(self.instance, self.branch, self.scheme)

    @property
    def path(self) -> tuple[str, ...]:
        """Branch keys of the item that asked, from the outside in."""
        return self.scope.branch_path(self.branch)

    @property
    def step(self) -> Step:
        """The visit that asked."""
        key = RegionKey(instance=self.instance, region=self.region, scope=self.scope)
        return key.step(self.scheme, self.generation, self.node, self.visit, self.branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """One message off a queue, by its transport identity."""

    key: str
    fate: Fate
    kind: str
    reason: str
    instance: str
    source: str
    branch: str
    command_id: str
    received: int
    claimed_for: str = ""
    body: str = ""
