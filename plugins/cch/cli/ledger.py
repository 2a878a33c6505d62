"""Commands about the ledger: ``ledger check``."""

from __future__ import annotations

from typing import Annotated

import typer

group = typer.Typer(help="Look after the ledger.", no_args_is_help=True)


@group.callback()
def _ledger() -> None:
    """Look after the ledger."""


@group.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")] = False,
) -> None:
    """Prove that the ledger balances: every message has one fate, every answer one effect, nothing is left behind.

    Reads the whole table. Exit code 1 if anything does not add up.
    """
    from cch.cli import auditing  # noqa: PLC0415 - loads the platform

    auditing.check(as_json=as_json)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="ledger")
