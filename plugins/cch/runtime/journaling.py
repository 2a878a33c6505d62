"""Taking part in a journal: what it says so far, and how a newer task goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import JournalEntry, JournalState, replay
from cch.ledger.ledger import Ledger
from cch.ledger.records import ENDED, Instance, RegionKey

Anew = Callable[[Sequence[Outcome]], bool]


class StoppedError(Exception):
    """A gate was closed before the instance since it was read: it may be of another version now."""


class InstanceCancelledError(StoppedError):
    """The instance was cancelled; the journals are about to say so, if they do not yet."""


def next_try(state: JournalState, task_instance: str, anew: Anew) -> JournalEntry:
    """How a newer task instance begins: after what counts, or with nothing."""
    if not state.task_instance:
        return JournalEntry(kind="try", mode="first", task_instance=task_instance, generation=0)
    if anew(tuple(state.outcomes.values())):
        return JournalEntry(kind="try", mode="fresh", task_instance=task_instance, generation=state.generation + 1)
    dropped = {o.id: int(o.cause.get("attempt", 0)) for o in state.outcomes.values() if _is_to_repeat(o)}
    return JournalEntry(
        kind="try", mode="continue", task_instance=task_instance, generation=state.generation, dropped=dropped
    )


def any_failed(outcomes: Sequence[Outcome]) -> bool:
    """An item of a map that failed is run anew as a whole: it has come to the end of its own way for errors."""
    return any(outcome.failed for outcome in outcomes)


def never(outcomes: Sequence[Outcome]) -> bool:  # noqa: ARG001
    """A region that did not leave goes on from where it was."""
    return False


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    """A region that left continues after a failure, and runs anew after a success."""
    return not any_failed(outcomes)


def _is_to_repeat(outcome: Outcome) -> bool:
    """Whether the visit failed, or is a map's with failed items; its items that finished have journals of their own."""
    return outcome.failed or (outcome.cause.get("kind") == "map" and bool(outcome.cause.get("failed")))


async def read(ledger: Ledger, key: RegionKey) -> JournalState:
    """What the journal says now."""
    return replay(await ledger.journal.read(key))


async def enter(
    ledger: Ledger, key: RegionKey, task_instance: str, anew: Anew, instance: Instance, *, now: int, first: bool = False
) -> JournalState | None:
    """Read the journal and take part in it; None if a newer copy of the task has taken over.

    ``anew``: whether a newer task instance that finds these outcomes does everything again. ``instance``: as it was
    when the plan was made. ``now`` in ms. ``first``: probably nobody has executed the region, so nothing is read unless
    somebody has.

    :raises StoppedError: a gate was closed since.
    """
    if first:
        state = JournalState()
        state.take(entry := next_try(state, task_instance, anew))
        if await ledger.journal.append(key, 0, entry):
            return state
    while True:
        state = await read(ledger, key)
        if state.gate > instance.gates:
            raise StoppedError
        if state.task_instance == task_instance:
            state.resumed = True
            return state
        if state.task_instance > task_instance:
            return None
        entry = next_try(state, task_instance, anew)
        if entry.mode != "first" and instance.status in ENDED:
            # Before the entry: whoever is interrupted and finds it afterwards goes on, and reopens nothing.
            await ledger.instances.reopen(key.instance, now)
        if await ledger.journal.append(key, state.entries, entry):
            state.take(entry)
            if entry.mode != "first":  # it may have ended meanwhile
                await ledger.instances.reopen(key.instance, now)
            return state
