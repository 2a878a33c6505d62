"""Which version of a workflow: its text, and everything outside the text that decides what the text means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cch.definition.rules import FIRST

#: Number of the planner that laid out the Airflow tasks of versions that name none (:mod:`cch.graph.planners`).
FIRST_PLANNER = 1

_TEXT = re.compile(r"(?P<digest>[0-9a-f]{64})(?:\.r(?P<rules>\d{1,9})\.p(?P<planner>\d{1,16}))?")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a workflow: two runs of equal versions have the same Airflow tasks, and mean the same.

    Its text is stored in Airflow's database as the ``bundle_version`` of DAGs and runs: never change its form.
    """

    #: sha256 (hex) of the definition's text.
    digest: str
    #: Number of the rules by which the text is read; 0: those by which it would be served now.
    reading_rules: int = 0
    #: Number of the planner that lays out the Airflow tasks, and of what it was told (:mod:`cch.graph.planners`).
    planner: int = FIRST_PLANNER

    def __str__(self) -> str:
        """The stored form: ``<digest>.r<reading rules>.p<planner>``, or the digest alone if no rules are named."""
        return f"{self.digest}.r{self.reading_rules}.p{self.planner}" if self.reading_rules else self.digest

    def means(self, other: Version) -> bool:
        """Whether a run that was meant to have this version is right with the ``other``."""
        return self == other or (not self.reading_rules and self.digest == other.digest)


def parse_version(text: object) -> Version | None:
    """The version that a stored text names; None if it is none of ours, for example a commit of Git."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    if found["rules"] is None:
        return Version(found["digest"])
    return Version(found["digest"], max(int(found["rules"]), FIRST), int(found["planner"]))
