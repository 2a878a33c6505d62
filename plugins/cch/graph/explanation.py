"""What the documentation says about one problem code beyond the problem's own message."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Literal

from cch.errors import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One code, for people who met it.

    ``wrong`` is a whole file whose only problem has this code; ``right`` is the same file without any. The
    problem stands at the first ``at`` in ``wrong``. ``form`` environment: it shows where nothing is set up.
    ``beside`` is the other file when it takes two: of a ``contract`` another contract; of a definition with
    ``is_contracted``, the contract of the capability that it asks. All are empty if no file can be written that
    produces the code.
    """

    code: str
    title: str
    why: str
    severity: Severity = "error"
    form: Literal["definition", "scenario", "environment", "contract"] = "definition"
    wrong: str = ""
    right: str = ""
    at: str = ""
    beside: str = ""
    is_contracted: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of ``at``, from 1."""
        before = self.wrong[: self.wrong.index(self.at)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def written(text: str) -> str:
    """A file as it stands indented in Python."""
    return dedent(text).lstrip("\n")


def around(nodes: str, *, top: str = "") -> str:
    """A whole definition around its nodes, which begin with ``Start``; ``top`` are more lines of the top level."""
    head = "workflow_id: example_v1\nworkflow_name: Example\nentry_point: Start\n"
    return f"{head}{written(top)}nodes:\n{indent(written(nodes), '  ')}"
