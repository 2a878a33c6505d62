"""Taking part in a journal: what it says so far, and how a newer task goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cch.interpreter.outcome import Outcome
from cch.ledger.ledger import Ledger
from cch.ledger.records import JournalEntry, RegionKey

Anew = Callable[[Sequence[Outcome]], bool]


@dataclass(slots=True)
class JournalState:
    """What a journal says: the outcomes that count, and the attempts that dropped ones have used."""

    entries: int = 0
    generation: int = 0
    task_instance: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    #: Outcomes of the last turn.
    latest: tuple[Outcome, ...] = ()
    #: The same task has been here before: its process ended, or its trigger was moved.
    resumed: bool = False

    def take(self, entry: JournalEntry) -> None:
        self.entries += 1
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

    def next_try(self, task_instance: str, anew: Anew) -> JournalEntry:
        """How a newer task instance begins: after what counts, or with nothing."""
        if not self.entries:
            return JournalEntry(kind="try", mode="first", task_instance=task_instance, generation=0)
        if anew(tuple(self.outcomes.values())):
            return JournalEntry(kind="try", mode="fresh", task_instance=task_instance, generation=self.generation + 1)
        dropped = {o.id: int(o.cause.get("attempt", 0)) for o in self.outcomes.values() if _is_to_repeat(o)}
        return JournalEntry(
            kind="try", mode="continue", task_instance=task_instance, generation=self.generation, dropped=dropped
        )


def any_failed(outcomes: Sequence[Outcome]) -> bool:
    """An item of a map that failed is run anew as a whole: its own error route has been gone to the end."""
    return any(outcome.failed for outcome in outcomes)


def never(outcomes: Sequence[Outcome]) -> bool:  # noqa: ARG001
    """A region that did not leave goes on from where it was."""
    return False


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    """A region that left continues after a failure, and runs anew after a success."""
    return not any_failed(outcomes)


def _is_to_repeat(outcome: Outcome) -> bool:
    """A failure; and a map with failed items, of which those that finished find their own journals."""
    return outcome.failed or (outcome.cause.get("kind") == "map" and bool(outcome.cause.get("failed")))


async def read(ledger: Ledger, key: RegionKey) -> JournalState:
    """What the journal says now."""
    state = JournalState()
    for entry in await ledger.journal.read(key):
        state.take(entry)
    return state


async def enter(ledger: Ledger, key: RegionKey, task_instance: str, anew: Anew) -> JournalState | None:
    """Read the journal and take part in it; None if a newer copy of the task has taken over.

    ``anew``: whether a newer task instance that finds these outcomes does everything again.
    """
    while True:
        state = await read(ledger, key)
        if state.task_instance == task_instance:
            state.resumed = True
            return state
        if state.task_instance > task_instance:
            return None
        entry = state.next_try(task_instance, anew)
        if await ledger.journal.append(key, state.entries, entry):
            state.take(entry)
            if entry.mode != "first":
                await ledger.instances.reopen(key.instance)
            return state
