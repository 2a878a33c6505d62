"""Commands about contracts: ``contract list``, ``contract check``, ``contract export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cch.cli.project import FOLDER
from cch.errors import WrongUseError

group = typer.Typer(help="Look at contracts of capabilities, keep them, and hand them on.", no_args_is_help=True)

Folder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="[DIR]", help="Definitions with their folder capabilities, or that folder.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.callback()
def _contract() -> None:
    """Look at contracts of capabilities, keep them, and hand them on."""


@group.command("list")
def list_(folder: Folder = FOLDER, as_json: AsJson = False) -> None:
    """List contracts: capability, owner, what a breach does, times, and codes of errors."""
    from cch.cli import contracting  # noqa: PLC0415 - loads a JSON Schema validator

    contracting.show_all(folder, as_json=as_json)


@group.command()
def check(
    folder: Folder = FOLDER,
    replies: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of replies: JSON, JSON Lines or YAML; each the message as it is sent, or"
            " {capability, status, payload}. May be repeated; - is stdin."
        ),
    ] = None,
    requests: Annotated[
        list[Path] | None,
        typer.Option(help="A file of requests: each the message as it comes, or {capability, context}."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check contracts, and whether recorded replies and requests keep them: for the CI of capability teams.

    Exit code 1 if a contract has an error, or a message breaks one.
    """
    from cch.cli import contracting  # noqa: PLC0415 - loads a JSON Schema validator

    contracting.check(folder, replies or [], requests or [], as_json=as_json)


@group.command()
def export(
    folder: Folder = FOLDER,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="As an AsyncAPI 3 document.")] = False,
    capability: Annotated[
        list[str] | None, typer.Option(help="Only this capability. May be repeated.  [default: all]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it here.  [default: stdout]")] = None,
    as_json: AsJson = False,
) -> None:
    """Write contracts for the teams that serve capabilities: messages, schemas, error codes, examples; YAML or JSON."""
    from cch.cli import contracting  # noqa: PLC0415 - loads a JSON Schema validator

    if not asyncapi:
        raise WrongUseError("say in which form: --asyncapi")
    contracting.export(folder, capability or [], output, as_json=as_json)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="contract")
