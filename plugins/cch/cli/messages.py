"""Commands about messages that found nobody: ``messages list``, ``show`` and ``attach``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cch.cli.instances import AsJson

group = typer.Typer(help="Look at messages that found nobody, and give them to somebody.", no_args_is_help=True)
Message = Annotated[str, typer.Argument(metavar="MESSAGE", help="Id of the message, as the list shows it.")]


class State(StrEnum):
    """The states that are listed."""

    ORPHAN = "orphan"
    HELD = "held"
    LATE = "late"
    MALFORMED = "malformed"
    REJECTED = "rejected"


@group.callback()
def _messages() -> None:
    """Look at messages that found nobody, and give them to somebody."""


@group.command("list")
def list_(
    *,
    state: Annotated[State | None, typer.Option(help="Only those in this state.  [default: all]")] = None,
    instance: Annotated[str, typer.Option(help="Only those that name this instance.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="As many as this, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List messages that are held, or ended without an effect, newest first."""
    from cch.cli import unmatched  # noqa: PLC0415 - loads the platform

    states = [each.value for each in ([state] if state else State)]
    unmatched.show_list(states, instance, limit, as_json=as_json)


@group.command()
def show(message: Message, *, as_json: AsJson = False) -> None:
    """Show one message with its text, and the open requests or waits that it may belong to."""
    from cch.cli import unmatched  # noqa: PLC0415 - loads the platform

    unmatched.show_one(message, as_json=as_json)


@group.command()
def attach(
    message: Message,
    *,
    to: Annotated[str, typer.Option(metavar="ID", help="Command id of an open request, or id of an open wait.")],
    instance: Annotated[str, typer.Option(help="Of an event: whose wait it is.  [default: its own instance]")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also if it is from another capability, or for another branch or instance.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a reply answer an open request, or an event end an open wait, as if its sender had named it.

    To repeat it changes nothing.
    """
    from cch.cli import unmatched  # noqa: PLC0415 - loads the platform

    unmatched.attach(message, to, instance, force=force, as_json=as_json)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="messages")
