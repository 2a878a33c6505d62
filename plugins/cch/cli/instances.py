"""Commands about instances: ``run`` and ``status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def run(
    workflow: Annotated[
        str,
        typer.Argument(
            help="Id of a published workflow, perhaps with a version (import_v1@3), or its definition file."
        ),
    ],
    *,
    context: Annotated[
        str, typer.Option("--context", "-c", help="Initial context: a JSON object, @file, or @- for stdin.")
    ] = "",
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="KEY=VALUE",
            help="One value of the context: JSON, else text. Dots nest: shipment.id=7.",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--set-string", metavar="KEY=TEXT", help="One value of the context, as text whatever it looks like."
        ),
    ] = None,
    correlation_id: Annotated[str, typer.Option(help="Business key.  [default: the instance id]")] = "",
    instance_id: Annotated[str, typer.Option(help="Id of the new instance.  [default: a random UUID]")] = "",
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Show progress until the end.")] = False,
    scenario: Annotated[
        Path | None,
        typer.Option(help="Play this scenario: its context, the mock's answers, its events.", show_default=False),
    ] = None,
    time_scale: Annotated[
        float, typer.Option(metavar="FACTOR", help="Multiplies the times of the scenario, for example 0.001.")
    ] = 1.0,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Watch no longer than this.", show_default=False)
    ] = None,
    still: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Watch until nothing has changed for so long.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a workflow with a START_WORKFLOW command.

    With --watch the exit code is 0 only if the instance has completed; with --scenario, only if it did what the
    scenario expects (its status, visits, context and requests).
    """
    from cch.cli import scripted, starting, watching  # noqa: PLC0415 - loads the platform

    staging = scripted.Staging.read(scenario, time_scale) if scenario else None
    given = starting.read_context(context, values or [], texts or [])
    wish = starting.Wish(
        workflow=workflow,
        context={**staging.scenario.context, **given} if staging else given,
        correlation_id=correlation_id or (staging.scenario.correlation_id if staging else ""),
        instance_id=instance_id,
    )
    never = watching.NO_LIMITS
    limits = watching.Limits(
        whole=never.whole if timeout is None else timeout, still=never.still if still is None else still
    )
    starting.run(wish, watching=watch or scenario is not None, limits=limits, as_json=as_json, staging=staging)


def status(
    identifier: Annotated[str, typer.Argument(metavar="[ID]", help="Instance id or correlation id.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", "-w", help="Only instances of this workflow.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most instances to list.")] = 20,
    archived: Annotated[
        bool, typer.Option("--archive", help="Show an instance that has expired, from the archive.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one instance in detail, or list instances, newest first."""
    from cch.cli import retaining, standing  # noqa: PLC0415 - loads the platform

    if archived:
        retaining.show_archived(identifier, as_json=as_json)
        return
    standing.status(identifier, workflow=workflow, limit=limit, as_json=as_json)


def event(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Instance id or correlation id.")],
    *,
    payload: Annotated[
        str, typer.Option("--payload", "-p", help="The event's data: a JSON object, @file, or @- for stdin.")
    ] = "",
    values: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="One value of the payload: JSON, else text. Dots nest."),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--set-string", metavar="KEY=TEXT", help="One value of the payload, as text whatever it looks like."
        ),
    ] = None,
    branch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Branch key of the map item that waits; inside an item of another map: every key, outer first.",
        ),
    ] = None,
    status: Annotated[str, typer.Option(help="SUCCESS or ERROR; merged into the context as status.")] = "",
    event_id: Annotated[str, typer.Option(help="Id of the event; the same id takes effect once.  [default: new]")] = "",
    as_json: AsJson = False,
) -> None:
    """Send an event to an instance that waits for one, or will."""
    from cch.cli import events, starting  # noqa: PLC0415 - loads the platform

    data = starting.read_context(payload, values or [], texts or [])
    address = events.address_of(branch or [])
    wish = events.EventWish(identifier=identifier, payload=data, address=address, status=status, event_id=event_id)
    events.send(wish, as_json=as_json)


def migrate(
    target: Annotated[
        str, typer.Argument(metavar="INSTANCE|WORKFLOW", help="One instance, or all live ones of a workflow.")
    ],
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="VERSION", help="A number, @label, or a digest.  [default: what is published]"),
    ] = "",
    came_from: Annotated[
        str, typer.Option("--from", metavar="VERSION", help="Of a workflow: only instances of this version.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="TARGET is a workflow: move all that are alive.")] = False,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="How a node is called in that version. May be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    reason: Annotated[str, typer.Option(help="Kept with each instance.")] = "",
    per_second: Annotated[
        float | None, typer.Option(min=0.01, metavar="N", help="Move at most so many a second.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move live instances to another version of their workflow.

    What is over stays as it was. An open request goes on if the version would ask the same. Asks the API server of
    Airflow: CCH_API_URL, and CCH_API_TOKEN or CCH_API_USER and CCH_API_PASSWORD. Exit code 1 if any could not be moved.
    """
    from cch.cli import migrating  # noqa: PLC0415 - loads what talks to the server
    from cch.errors import WrongUseError  # noqa: PLC0415

    if came_from and not everything:
        raise WrongUseError("--from needs --all: it says which instances of a workflow are meant")
    wish = migrating.MigrateWish(
        workflow=target if everything else "",
        instance="" if everything else target,
        came_from=came_from,
        to=to,
        renames=migrating.renames_of(rename or []),
        reason=reason,
        dry_run=dry_run,
        per_second=per_second,
    )
    if not migrating.migrate(wish, as_json=as_json):
        raise typer.Exit(1)


def incidents(
    days: Annotated[
        int | None,
        typer.Option(min=1, max=400, help="How far back.  [default: CCH_INCIDENT_DAYS]", show_default=False),
    ] = None,
    workflow: Annotated[str, typer.Option("--workflow", "-w", help="Only of this workflow.")] = "",
    as_json: AsJson = False,
) -> None:
    """List what needs a person: failed instances in groups, late waits, starts that wait, bad definitions, orphans."""
    from cch.cli import needing  # noqa: PLC0415 - loads the platform

    needing.incidents(days, workflow, as_json=as_json)


def register(app: typer.Typer) -> None:
    for command in (run, status, incidents, event, migrate):
        app.command()(command)
