"""What people and programs read: text and tables on stdout, complaints on stderr, JSON alone on stdout."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cch.errors import Problem

#: Columns where no terminal says how many there are: log files do not wrap.
_WIDTH = 160
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
#: How many of several names are shown.
_NAMED = 5
_COLOURS = {
    "error": "bold red", "warning": "yellow", "advice": "cyan",
    "SUCCEEDED": "green", "completed": "green", "matched": "green", "answered": "green",
    "created": "green", "updated": "green",
    "FAILED": "red", "failed": "red", "refused": "red", "rejected": "red", "malformed": "red",
    "timed_out": "red", "cancelled": "red",
    "WAITING": "cyan", "open": "cyan", "RUNNING": "bold cyan", "running": "cyan", "held": "yellow",
    "SKIPPED": "dim", "PENDING": "dim", "READY": "dim", "unchanged": "dim", "superseded": "dim",
}  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """A console on what is stdout or stderr now."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)


def say(text: str | Text = "") -> None:
    """One line for people."""
    console().print(text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """One sentence about what is wrong."""
    console(stderr=True).print(Text.assemble(("cch: ", "bold red"), text), soft_wrap=True)


def note(text: str) -> None:
    """Something that a person should know, beside the result."""
    console(stderr=True).print(Text(text, "dim"), soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON value, for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def coloured(word: str) -> Text:
    """A state, fate or status as people recognise it."""
    return Text(word, _COLOURS.get(word, ""))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table; what does not fit is folded, never cut."""
    made = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        # Not as markup: a node is called "Wait[fpk-1]".
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made


def some(names: Sequence[str]) -> str:
    """The first few of the names, and that there are more."""
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def show(*renderables: Any) -> None:
    for renderable in renderables:
        console().print(renderable)


# --- problems of definitions ------------------------------------------------------------------------------------


def _source(problem: Problem, texts: Mapping[str, str]) -> str:
    if problem.file in texts:
        return texts[problem.file]
    path = Path(problem.file)
    return path.read_text("utf-8", "replace") if problem.file and path.is_file() else ""


def show_problems(problems: Iterable[Problem], texts: Mapping[str, str] | None = None) -> None:
    """Each problem with its place, its line of the source with a caret, and what to do; on stderr.

    ``texts`` are the sources by file name; files that are not in it are read.
    """
    from cch.definition.document import snippet  # noqa: PLC0415 - loads a YAML parser

    out = console(stderr=True)
    for problem in problems:
        place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part)
        parts = ((f"{place}: ", "bold"), (problem.severity, _COLOURS[problem.severity]), f" {problem.code}: ")
        out.print(Text.assemble(*(parts if place else parts[1:]), problem.message), soft_wrap=True)
        for line, style in zip(snippet(_source(problem, texts or {}), problem), ("", "red"), strict=False):
            out.print(Text(f"    {line}".replace("\t", " "), style), soft_wrap=True)
        if problem.hint:
            out.print(Text(f"    {problem.hint}", "dim"), soft_wrap=True)


def problem_data(problem: Problem) -> dict[str, Any]:
    """A problem as JSON."""
    names = ("code", "severity", "file", "line", "column", "message", "hint")
    return {name: getattr(problem, name) for name in names}


# --- times ------------------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """``0.8 s``, ``3 min 4 s``, ``2 h 5 min``, ``3 d 4 h``; "" for None."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(milliseconds: int, *, day: bool = True) -> str:
    """Local time; "" for 0."""
    if not milliseconds:
        return ""
    local = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")
