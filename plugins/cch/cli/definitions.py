"""Commands about definitions: ``validate``, ``graph``, ``publish``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cch.cli.project import FOLDER, Form

Paths: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(help=f"Definition files or folders of them.  [default: ./{FOLDER}]", show_default=False),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def validate(
    paths: Paths = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
) -> None:
    """Check definitions: everything that is wrong, with its place and what to do.

    Exit code 1 if anything is wrong.
    """
    from cch.cli import validation  # noqa: PLC0415 - loads the graph library

    validation.validate(paths or [FOLDER], as_json=as_json, strict=strict)


def graph(
    definition: Annotated[str, typer.Argument(help=f"A definition file, or the id of a workflow in ./{FOLDER}.")],
    form: Annotated[
        Form, typer.Option("--format", help="A Mermaid flowchart, JSON, or the table of Airflow tasks.")
    ] = Form.MERMAID,
) -> None:
    """Show a definition as a graph, or as the Airflow tasks that it becomes."""
    from cch.cli import drawing  # noqa: PLC0415 - loads the graph library

    drawing.draw(definition, form)


def publish(
    paths: Paths = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish another structure although instances run the old one.")
    ] = False,
    alias: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Another name for messages to start it by.  [default: the file's]"),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check definitions and put them where Airflow reads them; all, or none if one has errors.

    A definition whose structure has changed is refused while instances of it are alive. Messages may start it by its
    id, by the name of its file, or by the name that --as gives.
    """
    from cch.cli import publication  # noqa: PLC0415 - loads the graph library

    publication.publish(paths or [FOLDER], force=force, as_json=as_json, alias=alias)


def simulate(
    definition: Annotated[Path, typer.Argument(help="A definition file.")],
    scenario: Annotated[Path, typer.Option("--scenario", "-s", help="A scenario file.")],
    as_json: AsJson = False,
) -> None:
    """Run a definition in virtual time, with capabilities and events as the scenario says.

    Exit code 1 if the scenario expects something else.
    """
    from cch.cli import simulations  # noqa: PLC0415 - loads the graph library

    simulations.run_one(definition, scenario, as_json=as_json)


def run_scenarios(
    path: Annotated[Path, typer.Argument(help="A scenario file or a folder of them.")] = Path("scenarios"),
    definitions: Annotated[Path, typer.Option(help="Where the definitions are.")] = FOLDER,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Run all scenarios of a folder in virtual time, with the coverage of nodes and ways.

    A scenario is about its 'workflow', else about the definition that its folder is named after.
    """
    from cch.cli import simulations  # noqa: PLC0415 - loads the graph library

    simulations.run_all(path, definitions=definitions, junit=junit, as_json=as_json)


def evaluate(
    expression: Annotated[str, typer.Argument(help="What stands between {% and %}; with or without these.")],
    context: Annotated[
        Path | None, typer.Option("--context", "-c", help="A file (JSON or YAML) with the context; - is stdin.")
    ] = None,
    reply: Annotated[Path | None, typer.Option(help="A file with the value of $reply.")] = None,
    item: Annotated[Path | None, typer.Option(help="A file with the value of $item.")] = None,
    error: Annotated[Path | None, typer.Option(help="A file with the value of $error.")] = None,
) -> None:
    """Show what an expression gives, as JSON.

    Exit code 1 if it gives nothing or cannot be evaluated.
    """
    from cch.cli import evaluating  # noqa: PLC0415 - loads JSONata

    evaluating.evaluate(expression, context=context, reply=reply, item=item, error=error)


def register(app: typer.Typer) -> None:
    for command in (validate, graph, publish, simulate):
        app.command()(command)
    app.command("test")(run_scenarios)
    app.command("eval")(evaluate)
