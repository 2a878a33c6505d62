"""Commands that mend an instance through the API."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

Instance: TypeAlias = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]
Node: TypeAlias = Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")]
Why: TypeAlias = Annotated[str, typer.Option("--reason", "-r", help="Kept with the instance and in the audit log.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Values: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="One value: JSON, else text. Dots nest.")
]
Payload: TypeAlias = Annotated[str, typer.Option("--payload", "-p", help="A JSON object, @file, or @- for stdin.")]


class As(StrEnum):
    """How a node is decided."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


def _call(instance: str, action: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Ask the server, and say what it did."""
    from cch.cli.output import print_json, say  # noqa: PLC0415 - loads what talks to the server
    from cch.cli.server import Server, login  # noqa: PLC0415

    with Server(login()) as server:
        answer = server.call("POST", f"/instances/{instance}/{action}", dict(body))
    if as_json:
        print_json(answer)
        return
    if "before" not in answer:
        say(f"{instance}: {answer['state']}")
        return
    say(f"{instance}: {'done' if answer['done'] else 'could be done'}")
    say(f"  stood at {', '.join(answer['before']) or 'no node'}, then at {', '.join(answer['after']) or 'no node'}")
    for word, key in (("set aside", "set_aside"), ("superseded", "superseded")):
        for each in answer[key]:
            say(f"  {word}: {each}")


def retry(
    instance: Instance,
    node: Node,
    *,
    visit: Annotated[int | None, typer.Option(min=1, help="Of the node.  [default: the latest]")] = None,
    adopt: Annotated[
        str,
        typer.Option(metavar="MESSAGE", help="Answer it with this late reply, and ask nobody (`cch messages list`)."),
    ] = "",
    reason: Why = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Begin a node anew: in a live, failed or completed instance. What came after it does not count any more."""
    body = {"node": node, "visit": visit, "adopt": adopt, "reason": reason, "dry_run": dry_run}
    _call(instance, "retry", body, as_json=as_json)


def complete(
    instance: Instance,
    node: Node,
    *,
    decided: Annotated[As, typer.Option("--as", help="What has become of it.")] = As.COMPLETED,
    payload: Payload = "",
    values: Values = None,
    edge: Annotated[str, typer.Option(help="The way that it takes.  [default: that of success, or on_failure]")] = "",
    reason: Why = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Decide about a node that waits or has failed: it is completed by hand, skipped, or failed."""
    from cch.cli import starting  # noqa: PLC0415 - loads the platform

    written = starting.read_context(payload, values or [], [])
    body = {"node": node, "verdict": decided.value, "payload": written, "edge": edge, "reason": reason}
    _call(instance, "decide", {**body, "dry_run": dry_run}, as_json=as_json)


def patch(
    instance: Instance,
    *,
    payload: Payload = "",
    values: Values = None,
    nodes: Annotated[
        list[str] | None, typer.Option("--at", metavar="NODE", help="Where it stands and shall know of it.")
    ] = None,
    reason: Why = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Add to what the nodes know that come next. Requests that were sent keep their bodies."""
    from cch.cli import starting  # noqa: PLC0415 - loads the platform

    added = starting.read_context(payload, values or [], [])
    body = {"patch": added, "nodes": nodes or [], "reason": reason, "dry_run": dry_run}
    _call(instance, "patch", body, as_json=as_json)


def hold(instance: Instance, reason: Why = "", as_json: AsJson = False) -> None:
    """Stop an instance: nothing is sent or decided until it is released. Its deadlines wait; replies are kept."""
    _call(instance, "hold", {"reason": reason}, as_json=as_json)


def release(instance: Instance, reason: Why = "", as_json: AsJson = False) -> None:
    """Let a held instance go on."""
    _call(instance, "release", {"reason": reason}, as_json=as_json)


def cancel(instance: Instance, reason: Why = "", as_json: AsJson = False) -> None:
    """End an instance: its open requests are superseded, and its Airflow run fails."""
    _call(instance, "cancel", {"reason": reason}, as_json=as_json)


def register(app: typer.Typer) -> None:
    for command in (retry, complete, patch, hold, release, cancel):
        app.command()(command)
