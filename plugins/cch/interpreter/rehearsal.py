"""A recorded history under another definition: which way the instance would have gone with the same answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cch.graph.plan import Plan
from cch.interpreter.flow import Ready, TokenFlow
from cch.interpreter.instants import evaluate
from cch.interpreter.outcome import Outcome
from cch.interpreter.region import outcome_of, too_often
from cch.interpreter.visit import About, visit_at

#: same: as recorded. other: a node decides otherwise, or an answer leads somewhere else. asks: somebody is asked who
#: was not. lost: an answer has no way there.
Course = Literal["same", "other", "asks", "lost"]
#: Visits after which a rehearsal ends that goes round and round.
_MOST_VISITS = 20_000


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How an instance would have gone. ``node``: where its course leaves the recorded one; ``was`` and ``now``: how."""

    course: Course
    node: str = ""
    was: str = ""
    now: str = ""

    def __str__(self) -> str:
        match self.course:
            case "same":
                return "goes the same way"
            case "other":
                return f"{self.node}: {self.was or 'nowhere'} → {self.now or 'nowhere'}"
            case "asks":
                return f"comes to {self.node}, which nobody has answered"
            case "lost":
                return f"{self.node}: the way {self.was!r} is gone"


def rehearse(plan: Plan, initial: Mapping[str, Any], recorded: Iterable[Outcome], about: About) -> Rehearsal:
    """Go through the plan with the recorded answers; instant nodes decide anew. Stops where the courses part.

    Where the record ends the rehearsal ends too, and has gone the same way.
    """
    known = {outcome.id: outcome for outcome in recorded}
    flow = TokenFlow(plan.graph, plan.domains, initial, begun=about.started)
    for _ in range(_MOST_VISITS):
        ready = [each for each in flow.ready() if not _is_over(plan, each, known)]
        if not ready:
            break
        # By the recorded order, so that what depends on stamps is as it was.
        one = min(ready, key=lambda each: (_stamp(known, each), plan.graph.order[each.node]))
        outcome, parted = _visit(plan, flow, one, known, about)
        if parted is not None:
            return parted
        if outcome is None:
            break
        flow.apply(outcome)
    return Rehearsal("same")


def _is_over(plan: Plan, ready: Ready, known: Mapping[str, Outcome]) -> bool:
    """Whether the record ends before this visit: at an end that nobody records, or where the instance stands."""
    if f"{ready.node}#{ready.visit}" in known:
        return False
    if not ready.parents:
        return not known
    stands = all(parent in known and not _left(known, parent) for parent in ready.parents)
    return plan.graph.nodes[ready.node].is_end or stands


def _left(known: Mapping[str, Outcome], parent: str) -> bool:
    """Whether somebody has taken a token of the outcome in the record."""
    return any(parent in outcome.parents for outcome in known.values())


def _stamp(known: Mapping[str, Outcome], ready: Ready) -> int:
    found = known.get(f"{ready.node}#{ready.visit}")
    return found.stamp if found is not None else 2**63


def _visit(
    plan: Plan, flow: TokenFlow, ready: Ready, known: Mapping[str, Outcome], about: About
) -> tuple[Outcome | None, Rehearsal | None]:
    """What the visit gives, or how the course parts here from the recorded one."""
    node = plan.graph.nodes[ready.node]
    was = known.get(f"{ready.node}#{ready.visit}")
    stamp = flow.stamp(ready.parents, was.stamp if was is not None else 0)
    if node.effect != "instant":
        if was is None:
            return None, Rehearsal("asks", ready.node)
        if was.label and not plan.graph.chosen(ready.node, was.label):
            return None, Rehearsal("lost", ready.node, was.label)
        edges = plan.graph.chosen(ready.node, was.label) if was.label else ()
        again = [ready.node] if ready.node in was.targets else []
        targets = tuple(dict.fromkeys([*(edge.target for edge in edges), *again]))
        parted = None if set(targets) == set(was.targets) else _other(ready.node, was.targets, targets)
        return _kept(was, ready, stamp, targets), parted
    result = too_often(plan.graph, ready) or evaluate(node, visit_at(flow, ready, stamp, about))
    outcome = outcome_of(plan.graph, ready, result, stamp, stamp)
    if was is not None and (was.label, was.targets) != (outcome.label, outcome.targets):
        return outcome, _other(ready.node, was.targets, outcome.targets)
    return outcome, None


def _other(node: str, was: Iterable[str], now: Iterable[str]) -> Rehearsal:
    return Rehearsal("other", node, ", ".join(was), ", ".join(now))


def _kept(was: Outcome, ready: Ready, stamp: int, targets: tuple[str, ...]) -> Outcome:
    return Outcome(
        node=was.node, visit=was.visit, stamp=stamp, started=was.started, parents=ready.parents, label=was.label,
        targets=targets, patch=was.patch, failed=was.failed, cause=was.cause, errors=was.errors,
    )  # fmt: skip
