"""What the expressions of a node saw and gave: evaluated again, from what is recorded. They give the same each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cch.expressions.expression import ExpressionError, FailedError
from cch.interpreter.expressing import names_of, value_of
from cch.interpreter.flow import Ready
from cch.interpreter.visit import About, Visit, visit_at
from cch.values import MISSING

if TYPE_CHECKING:
    from cch.definition.uses import Written
    from cch.interpreter.flow import TokenFlow
    from cch.interpreter.outcome import Outcome

#: The latest visits of a node that are looked at, and the expressions of each.
_MOST_VISITS = 5
_MOST_EXPRESSIONS = 50
#: Names whose value is not recorded for a visit: what a call returned.
_UNKNOWN = "what it reads of ${} is not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One expression at one visit.

    ``place`` is where the node writes it, ``saw`` what it read by path or ``$name``. ``gave`` is
    :data:`~cch.values.MISSING` if it gave nothing; ``error`` says why it could not be evaluated.
    """

    visit: int
    place: str
    text: str
    saw: Mapping[str, Any]
    gave: Any = MISSING
    error: str = ""


def visits_of(flow: TokenFlow, node: str) -> list[tuple[Ready, Outcome | None]]:
    """The latest visits of a node, the last one perhaps under way."""
    done = sorted((o for o in flow.outcomes.values() if o.node == node), key=lambda outcome: outcome.visit)
    found: list[tuple[Ready, Outcome | None]] = [(Ready(node=node, parents=o.parents, visit=o.visit), o) for o in done]
    found += [(ready, None) for ready in flow.ready() if ready.node == node]
    return found[-_MOST_VISITS:]


def seen(
    flow: TokenFlow,
    visits: Iterable[tuple[Ready, Outcome | None]],
    about: About,
    brought: Mapping[int, Mapping[str, Any]],
) -> list[Seen]:
    """What expressions saw at visits. ``brought``: visit → the values of ``$reply`` and ``$event`` that are recorded.

    It takes as long as the expressions do.
    """
    return [
        each for ready, outcome in visits for each in _at(flow, ready, outcome, about, brought.get(ready.visit, {}))
    ]


def _at(
    flow: TokenFlow, ready: Ready, outcome: Outcome | None, about: About, brought: Mapping[str, Any]
) -> Iterator[Seen]:
    visit = visit_at(flow, ready, outcome.started if outcome else 0, about)
    node = flow.graph.nodes[ready.node]
    for written in node.expressions()[:_MOST_EXPRESSIONS]:
        yield _seen(visit, written, brought)


def _seen(visit: Visit, written: Written, brought: Mapping[str, Any]) -> Seen:
    saw: dict[str, Any] = {}
    place = ".".join(map(str, written.place))
    try:
        expression = written.expression
        used = expression.names if expression is not None else frozenset()
        for read in written.reads():
            value = visit.look_up(read.text)
            saw[read.text] = None if value is MISSING else value
        known = {**names_of(visit), **brought}
        saw |= {f"${name}": known.get(name) for name in sorted(used)}
        if lost := next((name for name in sorted(used & {"reply", "event"}) if name not in brought), ""):
            return Seen(visit=visit.number, place=place, text=written.text, saw=saw, error=_UNKNOWN.format(lost))
        gave = value_of(visit, written.text, **brought)
    except (ExpressionError, FailedError) as error:
        return Seen(visit=visit.number, place=place, text=written.text, saw=saw, error=str(error))
    return Seen(visit=visit.number, place=place, text=written.text, saw=saw, gave=gave)
