"""Which planner lays out the Airflow tasks of a definition; a running instance keeps the one that it began with.

The number of a planner also says what the planner was told, because the layout has to follow from the text and the
number alone, in every process and for as long as an instance lives.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cch.definition.model import Definition
from cch.definition.version import FIRST_PLANNER, Version
from cch.errors import CchError

__all__ = [
    "AWAITING_PLANNER",
    "FIRST_PLANNER",
    "NEWEST_PLANNER",
    "UnknownPlannerError",
    "awaited_by",
    "planner_for",
    "planner_of",
    "require_planner",
    "version_of",
]

#: Lays out every call as a task of a worker, and is therefore told nothing. Golden files hold what each planner makes:
#: never change that. Whoever lays out tasks differently adds a number, and keeps the planners before it.
NEWEST_PLANNER = FIRST_PLANNER
#: Leaves the calls of some capabilities to the triggerer. Its number is this one, and for each of these capabilities
#: a bit above it: the lowest for the first of :attr:`Definition.called`.
AWAITING_PLANNER = 2
_TOLD = 256
#: So many capabilities of one definition can be awaited, the first ones: the number stays below 2**53, which JSON's
#: readers, DynamoDB and Airflow's channels can all carry.
_MOST_AWAITED = 44


class UnknownPlannerError(CchError):
    """A later release laid out the tasks; this process leaves them alone until it is updated."""

    code = "CCH-L005"


def require_planner(planner: int) -> None:
    """:raises UnknownPlannerError: this release has no such planner."""
    told, kind = divmod(planner, _TOLD)
    known = planner == FIRST_PLANNER or (kind == AWAITING_PLANNER and 0 < told < 1 << _MOST_AWAITED)
    if not known:
        raise UnknownPlannerError(
            f"tasks were laid out by planner {kind}, and this release knows {AWAITING_PLANNER} at most: they are left"
            " alone until this process runs the release that made them, or a later one"
        )


def planner_for(definition: Definition, awaited: Collection[str]) -> int:
    """The planner of a new instance, if the triggerer makes the calls of the capabilities in ``awaited``."""
    return planner_of(definition.called, awaited)


def planner_of(called: Sequence[str], awaited: Collection[str]) -> int:
    """See :func:`planner_for`; ``called``: what the definition calls (:attr:`Definition.called`)."""
    told = sum(1 << place for place, each in enumerate(called[:_MOST_AWAITED]) if each in awaited)
    return AWAITING_PLANNER + _TOLD * told if told else FIRST_PLANNER


def awaited_by(planner: int, definition: Definition) -> frozenset[str]:
    """The capabilities whose calls the planner leaves to the triggerer."""
    told = planner // _TOLD
    return frozenset(each for place, each in enumerate(definition.called) if told >> place & 1)


def version_of(definition: Definition, awaited: Collection[str] = ()) -> Version:
    """The version by which a new instance of the definition runs; ``awaited``: see :func:`planner_for`."""
    return Version(definition.digest, definition.reading_rules, planner_for(definition, awaited))
