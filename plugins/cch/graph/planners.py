"""Which planner lays out the Airflow tasks of a definition; a running instance keeps the one that it began with."""

from __future__ import annotations

from cch.definition.model import Definition
from cch.definition.version import FIRST_PLANNER, Version
from cch.errors import CchError

__all__ = ["FIRST_PLANNER", "NEWEST_PLANNER", "UnknownPlannerError", "require_planner", "version_of"]

#: What a new instance gets. Golden files hold what each planner makes: never change that. Whoever lays out tasks
#: differently adds a number, and keeps the planners before it.
NEWEST_PLANNER = FIRST_PLANNER


class UnknownPlannerError(CchError):
    """A later release laid out the tasks; this process leaves them alone until it is updated."""

    code = "CCH-L005"


def require_planner(planner: int) -> None:
    """:raises UnknownPlannerError: this release has no such planner."""
    if not FIRST_PLANNER <= planner <= NEWEST_PLANNER:
        raise UnknownPlannerError(
            f"tasks were laid out by planner {planner}, and this release knows {NEWEST_PLANNER} at most: they are left"
            " alone until this process runs the release that made them, or a later one"
        )


def version_of(definition: Definition) -> Version:
    """The version by which a new instance of the definition runs."""
    return Version(definition.digest, definition.reading_rules, NEWEST_PLANNER)
