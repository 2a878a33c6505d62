"""``cch validate``."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, get_args

import typer

from cch.cli.output import print_json, problem_data, say, show, show_problems, table
from cch.cli.reading import contracts_beside, read_files
from cch.cli.reports import github_lines, sarif
from cch.definition.contract_reader import NO_CONTRACTS, Contracts
from cch.dialects import chosen_dialect
from cch.errors import Severity
from cch.graph.findings import check_all
from cch.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cch.definition.contract import Contract
    from cch.definition.model import Definition
    from cch.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Files that were checked together. ``texts`` and ``definitions`` (the good ones) are by file name.

    ``contracts`` are those beside the definitions.
    """

    files: tuple[str, ...]
    texts: Mapping[str, str]
    definitions: Mapping[str, Definition]
    problems: tuple[Problem, ...]
    contracts: Contracts = NO_CONTRACTS

    @property
    def shown(self) -> Mapping[str, str]:
        """The texts of all files that problems are in."""
        return {**self.contracts.texts, **self.texts}

    def count(self, severity: str, file: str | None = None) -> int:
        return sum(p.severity == severity and file in (None, p.file) for p in self.problems)


def check_paths(
    paths: Sequence[Path], *, tracks: bool = False, published: Mapping[str, Contract] = MappingProxyType({})
) -> Checked:
    """Check every definition in ``paths``, and the contracts beside them.

    ``tracks``: files with one ``workflow_id`` are tracks of it. ``published``: contracts of capabilities that have none
    beside the definitions.

    :raises WrongUseError: see :func:`~cch.cli.reading.read_files`.
    """
    texts, unreadable = read_files(paths)
    contracts = contracts_beside(paths)
    dialect = chosen_dialect(load_settings().dialect)
    held_to = {**published, **contracts.by_id}
    definitions, problems = check_all(texts, dialect, tracks=tracks, contracts=held_to)
    files = sorted({*texts, *(problem.file for problem in unreadable)})
    return Checked(
        files=tuple(files), texts=texts, definitions=definitions, contracts=contracts,
        problems=(*unreadable, *contracts.problems, *problems),
    )  # fmt: skip


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
    contracts = checked.contracts.texts
    ok = not any(counts[level] for level in _LEVELS[: _LEVELS.index(fail_on) + 1])
    match form:
        case "json":
            problems = [problem_data(problem) for problem in checked.problems]
            numbers = {"files": len(checked.files), "contracts": len(contracts)}
            print_json({**numbers, "ok": ok, "problems": problems})
        case "sarif":
            print_json(sarif(checked.problems))
        case "github":
            for line in github_lines(checked.problems):
                typer.echo(line)
        case _:
            show_problems(checked.problems, checked.shown)
            _summary(checked)
            advice = f", advice {counts['advice']}" if counts["advice"] else ""
            found = f"errors {counts['error']}, warnings {counts['warning']}{advice}"
            files = f"files {len(checked.files)}" + (f", contracts {len(contracts)}" if contracts else "")
            say(f"{'good' if ok else 'not good'}: {files}, {found}")
    if not ok:
        raise typer.Exit(1)
