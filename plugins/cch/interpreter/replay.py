"""The past, folded once: what a journal says, and where the tokens are after what regions have left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cch.interpreter.amendments import UNAMENDED, Amendments
from cch.interpreter.flow import TokenFlow

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.interpreter.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A ``try`` (somebody began to execute the region) or a ``turn`` (outcomes committed together).

    ``dropped`` maps outcome ids that the try set aside to the last attempt number they used. ``gate``: the number of
    the gate at which the entry stops whoever executes the region (:mod:`cch.ledger.gates`); 0 for all other entries.
    """

    kind: Literal["try", "turn"]
    task_instance: str
    generation: int
    mode: Literal["first", "continue", "fresh", ""] = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    gate: int = 0


@dataclass(slots=True)
class JournalState:
    """What a journal says: the outcomes that count, and the attempts that those which do not count have used."""

    entries: int = 0
    generation: int = 0
    task_instance: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    #: Outcomes of the last turn.
    latest: tuple[Outcome, ...] = ()
    #: The same task has been here before: its process ended, or its trigger was moved.
    resumed: bool = False
    #: Number of the latest gate that has stopped the region.
    gate: int = 0

    @property
    def is_begun(self) -> bool:
        """Whether somebody has executed the region, or decided about it."""
        return bool(self.task_instance or self.outcomes)

    def take(self, entry: JournalEntry) -> None:
        """Fold one more entry in, in the order of the journal."""
        self.entries += 1
        self.gate = max(self.gate, entry.gate)
        if entry.kind == "try":
            self.task_instance = entry.task_instance
            self.generation = entry.generation
            if entry.mode == "fresh":
                self.outcomes, self.dropped = {}, {}
            for outcome_id, attempt in entry.dropped.items():
                self.outcomes.pop(outcome_id, None)
                self.dropped[outcome_id] = attempt
        else:
            self.outcomes.update({outcome.id: outcome for outcome in entry.outcomes})
            self.latest = entry.outcomes


def replay(entries: Iterable[JournalEntry]) -> JournalState:
    """The state of a journal after these entries, the first of them included.

    >>> replay([]).outcomes
    {}
    """
    state = JournalState()
    for entry in entries:
        state.take(entry)
    return state


def flow_of(
    plan: Plan, initial: Mapping[str, Any], outcomes: Iterable[Outcome], amendments: Amendments = UNAMENDED
) -> TokenFlow:
    """The tokens of an instance's root after these outcomes, in any order."""
    flow = TokenFlow(plan.graph, plan.domains, initial, amendments=amendments)
    flow.apply_all(outcomes)
    return flow


def has_failed(outcome: Outcome) -> bool:
    """Whether the visit failed, also if a node handled it."""
    return outcome.failed or outcome.patch.get("_errorNode") == outcome.node
