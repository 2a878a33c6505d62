"""``cch validate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import typer

from cch.cli.output import print_json, problem_data, say, show, show_problems, table
from cch.cli.reading import read_files
from cch.cli.reports import github_lines, sarif
from cch.dialects import chosen_dialect
from cch.errors import Severity
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


def check_paths(paths: Sequence[Path], *, tracks: bool = False) -> Checked:
    """Check every definition in ``paths``. ``tracks``: files with one ``workflow_id`` are tracks of it.

    :raises WrongUseError: see :func:`~cch.cli.reading.read_files`.
    """
    texts, unreadable = read_files(paths)
    definitions, problems = check_all(texts, chosen_dialect(load_settings().dialect), tracks=tracks)
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


#: From bad to less bad.
_LEVELS: tuple[Severity, ...] = get_args(Severity)


def validate(paths: Sequence[Path], *, form: str, fail_on: str, tracks: bool = False) -> None:
    """Check, show everything, and leave with 1 if something is as bad as ``fail_on``, or worse."""
    checked = check_paths(paths, tracks=tracks)
    counts = {level: checked.count(level) for level in _LEVELS}
    ok = not any(counts[level] for level in _LEVELS[: _LEVELS.index(fail_on) + 1])
    match form:
        case "json":
            problems = [problem_data(problem) for problem in checked.problems]
            print_json({"files": len(checked.files), "ok": ok, "problems": problems})
        case "sarif":
            print_json(sarif(checked.problems))
        case "github":
            for line in github_lines(checked.problems):
                typer.echo(line)
        case _:
            show_problems(checked.problems, checked.texts)
            _summary(checked)
            advice = f", advice {counts['advice']}" if counts["advice"] else ""
            found = f"errors {counts['error']}, warnings {counts['warning']}{advice}"
            say(f"{'good' if ok else 'not good'}: files {len(checked.files)}, {found}")
    if not ok:
        raise typer.Exit(1)
