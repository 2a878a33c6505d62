"""The program ``cch``: its commands, and what it says when something goes wrong."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cch import __version__
from cch.cli.batches import register as register_batches
from cch.cli.contract import register as register_contract
from cch.cli.definitions import register as register_definitions
from cch.cli.deploying import register as register_deploying
from cch.cli.doctor import register as register_doctor
from cch.cli.instances import register as register_instances
from cch.cli.ledger import register as register_ledger
from cch.cli.mending import register as register_mending
from cch.cli.messages import register as register_messages
from cch.cli.output import complain, show_problems
from cch.cli.workshop import register as register_workshop
from cch.errors import CchError, DefinitionError, DefinitionNotFoundError, SettingsError, WrongUseError

if TYPE_CHECKING:
    from typer._click import Context

#: Exit codes: the work failed; the command cannot be meant like this.
FAILED, WRONG_USE = 1, 2
_WRONG_USE = (SettingsError, WrongUseError, DefinitionNotFoundError)


def _explain(error: Exception) -> int:
    """Say on stderr what is wrong, in one sentence; the exit code."""
    if os.environ.get("CCH_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, DefinitionError):
        show_problems(error.problems)
        return FAILED
    if isinstance(error, CchError):
        complain(str(error))
        return WRONG_USE if isinstance(error, _WRONG_USE) else FAILED
    complain(f"unexpected {type(error).__name__}: {error} (CCH_DEBUG=1 shows where; please report it)")
    return FAILED


class CchGroup(TyperGroup):
    """All commands; turns this project's errors into sentences and exit codes."""

    def invoke(self, ctx: Context) -> Any:
        try:
            return super().invoke(ctx)
        except CchError as error:
            raise typer.Exit(_explain(error)) from None


app = typer.Typer(
    cls=CchGroup,
    name="cch",
    help="Publish, start and watch workflows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Publish, start and watch workflows."""


register_definitions(app)
register_contract(app)
register_instances(app)
register_mending(app)
register_batches(app)
register_messages(app)
register_ledger(app)
register_doctor(app)
register_workshop(app)
register_deploying(app)


def run() -> None:
    """The entry point: no error of any kind leaves it as a traceback."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - whatever it is, a person reads it
        sys.exit(_explain(error))
