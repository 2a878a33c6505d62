"""``cch validate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from cch.cli.output import print_json, problem_data, say, show, show_problems, table
from cch.cli.reading import read_files
from cch.dialects import chosen_dialect
from cch.graph.findings import check_all
from cch.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cch.definition.model import Definition
    from cch.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Files that were checked together. ``texts`` and ``definitions`` (the good ones) are by file name."""

    files: tuple[str, ...]
    texts: Mapping[str, str]
    definitions: Mapping[str, Definition]
    problems: tuple[Problem, ...]

    def count(self, severity: str, file: str | None = None) -> int:
        return sum(p.severity == severity and file in (None, p.file) for p in self.problems)


def check_paths(paths: Sequence[Path]) -> Checked:
    """Check every definition in ``paths``.

    :raises WrongUseError: see :func:`~cch.cli.reading.read_files`.
    """
    texts, unreadable = read_files(paths)
    definitions, problems = check_all(texts, chosen_dialect(load_settings().dialect))
    files = sorted({*texts, *(problem.file for problem in unreadable)})
    return Checked(files=tuple(files), texts=texts, definitions=definitions, problems=(*unreadable, *problems))


def _summary(checked: Checked) -> None:
    def row(file: str) -> tuple[str, ...]:
        definition = checked.definitions.get(file)
        nodes = str(len(definition.nodes)) if definition else ""
        return file, definition.workflow_id if definition else "", nodes

    def verdicts(file: str) -> tuple[str, str]:
        return str(checked.count("error", file) or ""), str(checked.count("warning", file) or "")

    rows = [(*row(file), *verdicts(file)) for file in checked.files]
    show(table("", ("file", "workflow", "nodes", "errors", "warnings"), rows))


def validate(paths: Sequence[Path], *, as_json: bool, strict: bool) -> None:
    """Check, show everything, and leave with 1 if it is not good."""
    checked = check_paths(paths)
    errors, warnings = checked.count("error"), checked.count("warning")
    ok = not errors and not (strict and warnings)
    if as_json:
        problems = [problem_data(problem) for problem in checked.problems]
        print_json({"files": len(checked.files), "ok": ok, "problems": problems})
    else:
        show_problems(checked.problems, checked.texts)
        _summary(checked)
        verdict = "good" if ok else "not good"
        say(f"{verdict}: files {len(checked.files)}, errors {errors}, warnings {warnings}")
    if not ok:
        raise typer.Exit(1)
