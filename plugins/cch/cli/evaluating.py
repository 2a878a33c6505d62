"""``cch eval``: what an expression gives."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from cch.cli.output import complain, note, print_json
from cch.definition.dates import iso
from cch.definition.document import read_document
from cch.errors import DefinitionError, WrongUseError
from cch.expressions.expression import Expression, ExpressionError, FailedError, expression_of
from cch.values import MISSING


def _read(path: Path | None) -> Any:
    """A file of JSON or YAML, read as definitions are; ``-`` is stdin.

    :raises WrongUseError: there is no such file.
    :raises DefinitionError: it cannot be read.
    """
    if path is None:
        return {}
    if str(path) == "-":
        text = sys.stdin.read()
    elif path.is_file():
        text = path.read_text("utf-8")
    else:
        raise WrongUseError(f"there is no file {path}")
    document = read_document(text, str(path))
    if document.problems:
        raise DefinitionError(document.problems)
    return document.data


def _expression(text: str) -> Expression:
    found = expression_of(text)
    return Expression(text, 0) if found is None else found


def evaluate(text: str, *, context: Path | None, reply: Path | None, item: Path | None, error: Path | None) -> None:
    """Print the value as JSON; leave with 1 if there is none.

    :raises WrongUseError: a file is not there.
    :raises DefinitionError: a file cannot be read.
    """
    names: dict[str, Any] = {
        "now": iso(round(datetime.now(UTC).timestamp() * 1000)),
        "instance": {"id": "instance", "correlationId": "correlation", "workflowId": "workflow", "started": ""},
    }
    names |= {key: _read(path) for key, path in (("reply", reply), ("item", item), ("error", error)) if path}
    names["instance"]["started"] = names["now"]
    seen = {key: value for key, value in _read(context).items() if not key.startswith("_")}
    expression = None
    try:
        expression = _expression(text)
        expression.check()
        value = expression.value(seen, names)
    except ExpressionError as wrong:
        complain(f"the expression cannot be used: {wrong}")
        if wrong.position >= 0 and "\n" not in text:
            offset = 0 if expression is None else expression.offset
            note(f"{text}\n{' ' * (offset + wrong.position)}^")
        raise typer.Exit(1) from None
    except FailedError as failed:
        complain(str(failed))
        raise typer.Exit(1) from None
    if value is MISSING:
        complain("it gives nothing: what it reads is not there")
        raise typer.Exit(1)
    print_json(value)
