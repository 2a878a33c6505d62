"""Problems in the forms of other tools: SARIF 2.1.0, and the annotations of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cch import __version__
from cch.graph.codes import EXPLANATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cch.errors import Problem

_LEVELS = {"error": "error", "warning": "warning", "advice": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "advice": "notice"}


def _message(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """One run, as code scanning reads it."""
    found = list(problems)
    used = {problem.code for problem in found}
    rules = [
        {"id": each.code, "shortDescription": {"text": each.title}, "help": {"text": each.why}}
        for each in EXPLANATIONS
        if each.code in used
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "cch", "version": __version__, "rules": rules}},
                "results": [_result(problem) for problem in found],
            }
        ],
    }


def _result(problem: Problem) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": problem.file}}
    if problem.line:
        place["region"] = {"startLine": problem.line, "startColumn": max(1, problem.column)}
    return {
        "ruleId": problem.code,
        "level": _LEVELS[problem.severity],
        "message": {"text": _message(problem)},
        "locations": [{"physicalLocation": place}],
    }


def github_lines(problems: Iterable[Problem]) -> Iterator[str]:
    """One line each, as a step of GitHub Actions prints them."""
    for problem in problems:
        text = _message(problem).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        place = f"file={problem.file},line={problem.line},col={problem.column},title={problem.code}"
        yield f"::{_COMMANDS[problem.severity]} {place}::{text}"
