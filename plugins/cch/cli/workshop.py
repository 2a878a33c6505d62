"""The commands of the local stack, where it is installed; elsewhere they say what to install."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NoReturn

import typer

from cch.errors import WrongUseError

#: The commands of :mod:`cch.cli.stack`.
COMMANDS = ("demo", "up", "down", "env")
#: What to do where the package ``cch-airflow`` has been installed without ``cch-dev``.
MISSING = (
    "the local stack is not installed here: it is the package cch-dev (`make wheel` builds it beside this one), and a"
    " checkout of the project has it (docs/deploying.md)"
)


def is_installed() -> bool:
    """Whether the local stack is here; it is not part of what people install on their Airflow."""
    return find_spec("cch.stack") is not None


def _missing() -> NoReturn:
    raise WrongUseError(MISSING)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    if is_installed():
        from cch.cli.stack import register as register_stack  # noqa: PLC0415 - its options name what the stack has

        register_stack(app)
        return
    for name in COMMANDS:
        app.command(
            name,
            help="Needs the package cch-dev, which is not installed.",
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_missing)
