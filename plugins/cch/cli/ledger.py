"""Commands about the ledger: ``ledger check``, ``ledger expire`` and ``ledger rollup``."""

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


@group.command()
def expire(
    left_over: Annotated[
        bool,
        typer.Option("--leftovers", help="Also remove records of instances that are gone (reads the whole table)."),
    ] = False,
) -> None:
    """Let finished instances expire now whose time is up (CCH_RETENTION_DAYS), after they were archived.

    The dispatcher does the same every hour.
    """
    from cch.cli import retaining  # noqa: PLC0415 - loads the platform

    retaining.expire(left_over=left_over)


@group.command()
def rollup() -> None:
    """Count instances that ended before there were figures of workflows; once, after an upgrade.

    To repeat it counts nothing twice. What ends now is counted by the dispatcher.
    """
    from cch.cli import retaining  # noqa: PLC0415 - loads the platform

    retaining.rollup()


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="ledger")
