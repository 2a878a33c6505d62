"""Commands about definitions: ``validate``, ``graph``, ``publish``, ``versions``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cch.cli.project import FOLDER, Form
from cch.errors import WrongUseError


class Level(StrEnum):
    """How bad a problem is."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


class Report(StrEnum):
    """Forms in which problems are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


Paths: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(help=f"Definition files or folders of them.  [default: ./{FOLDER}]", show_default=False),
]
Tracks: TypeAlias = Annotated[
    bool, typer.Option("--tracks", help="Files with one workflow_id are tracks of it, each under its own file name.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def validate(  # noqa: PLR0917 - its options
    paths: Paths = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="The same as --fail-on warning.")] = False,
    fail_on: Annotated[
        Level, typer.Option("--fail-on", help="The least level that makes the exit code 1.")
    ] = Level.ERROR,
    form: Annotated[
        Report, typer.Option("--format", help="Text for people, JSON, SARIF, or annotations of GitHub Actions.")
    ] = Report.TEXT,
    tracks: Tracks = False,
) -> None:
    """Check definitions: everything that is wrong, with its place and what to do. - is stdin.

    Exit code 1 if anything is wrong.
    """
    from cch.cli import validation  # noqa: PLC0415 - loads the graph library

    level = Level.WARNING if strict and fail_on is Level.ERROR else fail_on
    validation.validate(paths or [FOLDER], form=Report.JSON if as_json else form, fail_on=level, tracks=tracks)


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
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Publish another structure although instances run the old one.")
    ] = False,
    share: Annotated[
        str,
        typer.Option(
            metavar="PERCENT",
            help="Let only so many of the new starts have the version, for example 10%; the others get what is"
            " published. Publish it again without this to give it all of them.",
        ),
    ] = "",
    text: Annotated[str, typer.Option("--note", help="What `cch versions` says of the version.")] = "",
    alias: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Another name for messages to start it by.  [default: the file's]"),
    ] = "",
    tracks: Tracks = False,
    as_json: AsJson = False,
) -> None:
    """Check definitions and put them where Airflow reads them; all, or none if one has errors.

    Live instances keep the version that they began with. Where Airflow cannot keep them on it, a definition whose
    structure has changed is refused while instances of it are alive. Messages may start it by its id, by the name of
    its file, or by the name that --as gives.
    """
    from cch.cli import publication  # noqa: PLC0415 - loads the graph library

    wish = publication.Wish(
        force=force, share=percent_of(share) if share else None, note=text, alias=alias, tracks=tracks
    )
    publication.publish(paths or [FOLDER], wish, as_json=as_json)


def percent_of(share: str) -> float:
    """``10%`` or ``0.5`` as percent.

    :raises WrongUseError: it is none between 0 and 100.
    """
    try:
        percent = float(share.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:
        raise WrongUseError(f"--share {share!r}: write a number of percent above 0, at most 100, like 10%")
    return percent


Workflow: TypeAlias = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Id of a published workflow.")]


def versions(workflow: Workflow, as_json: AsJson = False) -> None:
    """List the versions of a workflow: number, digest, publisher, and who runs them, where, and since when."""
    from cch.cli import versioning  # noqa: PLC0415 - loads the platform

    versioning.versions(workflow, as_json=as_json)


def label(
    workflow: Workflow,
    name: Annotated[str, typer.Argument(metavar="LABEL", help="The label, for example stable.")],
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="A number, @label, or the beginning of a digest.")
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
) -> None:
    """Let a label lead to a version. A start may then name it: `cch run import_v1@stable`."""
    from cch.cli import versioning  # noqa: PLC0415 - loads the platform

    versioning.label(workflow, name, version, remove=remove)


def rollback(
    workflow: Workflow,
    to: Annotated[str, typer.Option(metavar="VERSION", help="The version to publish.  [default: the one before]")] = "",
) -> None:
    """Take the last publication back: end a share of the starts, or publish the version before again."""
    from cch.cli import versioning  # noqa: PLC0415 - loads the platform

    versioning.rollback(workflow, to)


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


def run_scenarios(  # noqa: PLR0917 - its options
    path: Annotated[Path, typer.Argument(help="A scenario file or a folder of them.")] = Path("scenarios"),
    definitions: Annotated[Path, typer.Option(help="Where the definitions are.")] = FOLDER,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.", show_default=False)] = None,
    fail_under: Annotated[
        float, typer.Option(help="Least share of nodes and ways that the scenarios have to take, in percent.")
    ] = 0.0,
    mutate: Annotated[
        bool,
        typer.Option(
            "--mutate", help="Change one label, target, key or value at a time; show what no scenario notices."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run all scenarios of a folder in virtual time, with the coverage of nodes and ways.

    A scenario is about its 'workflow', else about the definition that its folder is named after. One that expects
    nothing fails.
    """
    from cch.cli import scenarios  # noqa: PLC0415 - loads the graph library

    scenarios.run_all(path, definitions=definitions, junit=junit, as_json=as_json, fail_under=fail_under, mutate=mutate)


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


def replay(
    definition: Annotated[Path, typer.Argument(help="A definition file, of a workflow that has instances.")],
    *,
    days: Annotated[float, typer.Option(min=0, help="Instances that started so many days ago or later.")] = 30.0,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="Most instances, the newest.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show what a definition would make of recorded instances: who would go another way, who could not be moved.

    Nothing is changed and nobody is asked: the recorded answers are taken. Exit code 1 if anybody would go another way,
    or is alive and could not be moved.
    """
    from cch.cli import rehearsing  # noqa: PLC0415 - loads the platform

    if not rehearsing.replay(definition, days=days, limit=limit, as_json=as_json):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    for command in (validate, graph, publish, versions, label, rollback, replay, simulate):
        app.command()(command)
    app.command("test")(run_scenarios)
    app.command("eval")(evaluate)
