"""What a check found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from cch.errors import CchError

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report. ``mend``: what to do; empty where nothing is wrong."""

    area: str
    level: Level
    what: str
    mend: str = ""


@dataclass(slots=True)
class Findings:
    """The report while it is being written."""

    all: list[Finding] = field(default_factory=list)

    def ok(self, area: str, what: str) -> None:
        self.all.append(Finding(area=area, level="ok", what=what))

    def note(self, area: str, what: str, mend: str = "") -> None:
        self.all.append(Finding(area=area, level="note", what=what, mend=mend))

    def warn(self, area: str, what: str, mend: str) -> None:
        self.all.append(Finding(area=area, level="warning", what=what, mend=mend))

    def error(self, area: str, what: str, mend: str) -> None:
        self.all.append(Finding(area=area, level="error", what=what, mend=mend))

    @contextmanager
    def looking(self, area: str, mend: str) -> Iterator[None]:
        """A look that AWS refuses or does not answer is an error of its own, and the next one goes on."""
        try:
            yield
        except CchError as error:
            self.error(area, str(error), mend)
