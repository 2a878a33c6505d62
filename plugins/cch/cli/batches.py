"""Commands about batches: one action for all instances that a search finds, carried out by the API server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer

from cch.cli.mending import As, AsJson, Payload, Values, Why

group = typer.Typer(
    help="Do something to all instances that a search finds: on the server, at a rate, with a result for each.",
    no_args_is_help=True,
)

BatchId: TypeAlias = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")]


class Act(StrEnum):
    """What is done: the commands of the same names say more."""

    RETRY = "retry"
    COMPLETE = "complete"
    PATCH = "patch"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    MOVE = "move"


class State(StrEnum):
    """Of instances."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Result(StrEnum):
    """Of one instance."""

    DONE = "done"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"


@group.callback()
def _batch() -> None:
    """Do something to all instances that a search finds: on the server, at a rate, with a result for each."""


@group.command()
def start(
    action: Annotated[Act, typer.Argument(help="What is done to each.")],
    *,
    workflow: Annotated[str, typer.Option("--workflow", "-w", help="Instances of this workflow.")] = "",
    version: Annotated[str, typer.Option(help="Of the workflow: a number, @label, or a digest.")] = "",
    state: Annotated[list[State] | None, typer.Option(help="In this state. May be repeated.")] = None,
    failed_node: Annotated[str, typer.Option(metavar="NODE", help="That have failed there.")] = "",
    error_code: Annotated[str, typer.Option(metavar="CODE", help="That have failed with this code.")] = "",
    incident: Annotated[str, typer.Option(metavar="ID", help="Of this group of cch incidents.")] = "",
    waiting_for: Annotated[str, typer.Option(metavar="CAPABILITY", help="That wait for it; event: any event.")] = "",
    key: Annotated[str, typer.Option(help="With exactly this business key.")] = "",
    key_prefix: Annotated[str, typer.Option(help="With a business key that begins so.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Started then or later: 2026-01-05T08:00:00Z.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Started then or earlier.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every instance is meant: there is no search.")] = False,
    node: Annotated[
        str,
        typer.Option(
            help="retry, complete: this node.  [default: of each the one at which it has failed]", show_default=False
        ),
    ] = "",
    decided: Annotated[As, typer.Option("--as", help="complete: what has become of the node.")] = As.COMPLETED,
    edge: Annotated[str, typer.Option(help="complete: the way that it takes.")] = "",
    payload: Payload = "",
    values: Values = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="NODE", help="patch: where they stand and shall know of it.")
    ] = None,
    to: Annotated[str, typer.Option(metavar="VERSION", help="move: where to.  [default: what is published]")] = "",
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="move: how a node is called there. May be repeated.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, metavar="N", help="At most so many a second.")] = 10.0,
    reason: Why = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them, and say what would happen.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after the count.")] = False,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Show progress until the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Begin a batch: count, show a few examples, ask, and let the server do it.

    Who does not match any more when its turn comes is skipped. Ctrl-C ends the watching, not the batch. With --watch
    the exit code is 0 only if it was done to all of them.
    """
    from cch.cli import batching, starting  # noqa: PLC0415 - loads what talks to the server
    from cch.cli.migrating import renames_of  # noqa: PLC0415

    search: dict[str, Any] = {
        "workflow_id": workflow, "version": version, "state": [each.value.upper() for each in state or ()],
        "failed_node": failed_node, "error_code": error_code, "incident": incident, "waiting_for": waiting_for,
        "correlation_id": key, "correlation_prefix": key_prefix, "started_after": since, "started_before": until,
        "all": everything,
    }  # fmt: skip
    given: dict[str, Any] = {"node": node, "edge": edge, "nodes": at or [], "version": to}
    given |= {"renames": renames_of(rename or []), "written": starting.read_context(payload, values or [], [])}
    wish = batching.BatchWish(
        search={name: value for name, value in search.items() if value},
        action=batching.action_of(action.value, decided.value, given),
        reason=reason,
        rate=rate,
    )
    if not batching.start(wish, dry_run=dry_run, ask=not yes, watch=watch, as_json=as_json):
        raise typer.Exit(1)


@group.command("list")
def list_(
    *, limit: Annotated[int, typer.Option(min=1, max=200, help="The newest so many.")] = 20, as_json: AsJson = False
) -> None:
    """List batches, the newest first. They are kept for 30 days."""
    from cch.cli import batching  # noqa: PLC0415 - loads what talks to the server

    batching.list_batches(limit, as_json=as_json)


@group.command()
def show(
    batch: BatchId,
    *,
    result: Annotated[Result | None, typer.Option(help="Only instances with this result.")] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Show progress until the end first.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show a batch, and what has become of its instances."""
    from cch.cli import batching  # noqa: PLC0415 - loads what talks to the server

    batching.show_batch(batch, result.value if result else "", watch=watch, as_json=as_json)


@group.command()
def pause(batch: BatchId, *, as_json: AsJson = False) -> None:
    """Begin no other instance until it is resumed. What is being done is finished."""
    _steer(batch, "pause", as_json=as_json)


@group.command()
def resume(batch: BatchId, *, as_json: AsJson = False) -> None:
    """Go on with a paused batch."""
    _steer(batch, "resume", as_json=as_json)


@group.command()
def stop(batch: BatchId, *, as_json: AsJson = False) -> None:
    """End a batch: what it has not begun stays undone."""
    _steer(batch, "stop", as_json=as_json)


def _steer(batch: str, action: str, *, as_json: bool) -> None:
    from cch.cli import batching  # noqa: PLC0415 - loads what talks to the server

    batching.steer(batch, action, as_json=as_json)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="batch")
