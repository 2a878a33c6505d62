"""The ledger's records as values; keys and attribute names are stored: do not rename."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition.rules import FIRST
from cch.interpreter.outcome import Outcome

#: Namespace of every derived id. Stored ids depend on it: never change it.
NAMESPACE = uuid.UUID("6b0d4a3c-6f0e-5a0e-9a52-0c6f3c0b7c11")

InstanceStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
ENDED: frozenset[InstanceStatus] = frozenset({"completed", "failed", "cancelled"})
RequestState = Literal["open", "answered", "timed_out", "superseded", "failed"]
#: Final ends of a message; ``held`` and ``claimed`` are not final.
Fate = Literal["matched", "duplicate", "late", "orphan", "malformed", "rejected", "held", "claimed"]
FINAL: frozenset[Fate] = frozenset({"matched", "duplicate", "late", "orphan", "malformed", "rejected"})
#: Path of the root scope.
ROOT = ""


def scope_id(path: str) -> str:
    """16 hex digits that stand for a scope's path; ``-`` for the root, to be readable."""
    return hashlib.sha256(path.encode()).hexdigest()[:16] if path else "-"


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
    #: Number of the rules by which its definition is read; instances from before the second rules have none.
    reading_rules: int = FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionKey:
    """One region of one scope of one instance."""

    instance: str
    region: str
    scope: str = ROOT

    @property
    def partition(self) -> str:
        return f"RGN#{self.instance}#{scope_id(self.scope)}#{self.region}"

    def command_id(self, generation: int, node: str, visit: int, attempt: int) -> str:
        """The same step of the same instance has the same id, whoever computes it and however often."""
        parts = (self.instance, self.region, self.scope, generation, node, visit, attempt)
        return str(uuid.uuid5(NAMESPACE, "\n".join(map(str, parts))))


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItem:
    """One item of one visit of map ``node``: its place in the list, its branch key, and the scope its nodes run in."""

    node: str
    index: int
    branch: str
    key: RegionKey

    @property
    def made_by(self) -> tuple[str, int, int | None]:
        """(path of the scope that the map is in, its visit, the generation of that scope's journal).

        An item that has a task of its own belongs to no generation: None.
        """
        where, _, generation = self.key.scope.removesuffix(f"[{self.branch}]").rpartition("@")
        where, _, visit = where.rpartition("#")
        return where.removesuffix(f"/{self.node}"), int(visit), int(generation) if generation.isdecimal() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """What a region left behind: its outcomes. ``task_instance`` orders tries (Airflow's ids sort by time)."""

    region: str
    generation: int
    task_instance: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """An instance and the exits of its regions, read together."""

    instance: Instance
    exits: tuple[Exit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A ``try`` (somebody began to execute the region) or a ``turn`` (outcomes committed together).

    ``dropped`` maps outcome ids that the try set aside to the last attempt number they used.
    """

    kind: Literal["try", "turn"]
    task_instance: str
    generation: int
    mode: Literal["first", "continue", "fresh", ""] = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()


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
    scope: str = ROOT
    answered_by: str = ""
    reply_status: str = ""
    closed_at: int = 0
    reply: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


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
