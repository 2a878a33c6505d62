"""Commands that mend an instance through the API."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    #: The lines that say what the server has answered.
    Tell = Callable[[Mapping[str, Any]], Iterable[str]]

Instance: TypeAlias = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]
OneInstance: TypeAlias = Annotated[str, typer.Argument(metavar="[INSTANCE]", help="Id of the instance.")]
Workflow: TypeAlias = Annotated[str, typer.Option("--workflow", "-w", help="Id of a workflow: all its instances.")]
Capability: TypeAlias = Annotated[str, typer.Option("--capability", help="Id of a capability: who would ask it.")]
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


def _ask(method: str, path: str, body: Mapping[str, Any] | None, tell: Tell, *, as_json: bool) -> None:
    """Ask the server; say what it answers, as ``tell`` has it in words, or as it is."""
    from cch.cli.output import print_json, say  # noqa: PLC0415 - loads what talks to the server
    from cch.cli.server import Server, login  # noqa: PLC0415

    with Server(login()) as server:
        answer = server.call(method, path, None if body is None else dict(body))
    if as_json:
        print_json(answer)
    else:
        for line in tell(answer):
            say(line)


def _call(instance: str, action: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Let the server do something to one instance, and say what it did."""
    path = f"/instances/{instance}/{action}"
    _ask("POST", path, body, lambda answer: _done(instance, answer), as_json=as_json)


def _done(instance: str, answer: Mapping[str, Any]) -> Iterator[str]:
    if "before" not in answer:
        yield f"{instance}: {answer['state']}"
        return
    yield f"{instance}: {'done' if answer['done'] else 'could be done'}"
    yield f"  stood at {', '.join(answer['before']) or 'no node'}, then at {', '.join(answer['after']) or 'no node'}"
    for word, key in (("set aside", "set_aside"), ("superseded", "superseded")):
        for each in answer[key]:
            yield f"  {word}: {each}"


def retry(
    instance: Instance,
    node: Node,
    *,
    visit: Annotated[int | None, typer.Option(min=1, help="Of the node.  [default: the latest]")] = None,
    item: Annotated[str, typer.Option(metavar="KEY", help="In the item of a map that has this branch key.")] = "",
    adopt: Annotated[
        str,
        typer.Option(metavar="MESSAGE", help="Answer it with this late reply, and ask nobody (`cch messages list`)."),
    ] = "",
    reason: Why = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Begin a node anew: in a live, failed or completed instance. What came after it does not count any more."""
    body = {"node": node, "visit": visit, "item": item, "adopt": adopt, "reason": reason, "dry_run": dry_run}
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


def hold(
    instance: OneInstance = "",
    *,
    workflow: Workflow = "",
    capability: Capability = "",
    reason: Why = "",
    as_json: AsJson = False,
) -> None:
    """Stop an instance: nothing is sent or decided until it is released. Its deadlines wait; replies are kept.

    Or hold a whole workflow, also what begins later, or a capability: who would ask it is held.
    """
    what = _what(instance, workflow, capability)
    if what is None:
        _call(instance, "hold", {"reason": reason}, as_json=as_json)
    else:
        _hold_of("/holds", {**what, "reason": reason}, as_json=as_json)


def release(
    instance: OneInstance = "",
    *,
    workflow: Workflow = "",
    capability: Capability = "",
    rate: Annotated[
        float, typer.Option(min=0.01, max=1000, metavar="N", help="Of a workflow or capability: so many a second.")
    ] = 10.0,
    reason: Why = "",
    as_json: AsJson = False,
) -> None:
    """Let a held instance go on; or those of a whole workflow or capability, so many a second."""
    what = _what(instance, workflow, capability)
    if what is None:
        _call(instance, "release", {"reason": reason}, as_json=as_json)
    else:
        _hold_of("/holds/release", {**what, "reason": reason, "rate": rate}, as_json=as_json)


def holds(*, as_json: AsJson = False) -> None:
    """List the workflows and capabilities that are held as a whole."""

    def tell(answer: Mapping[str, Any]) -> Iterator[str]:
        yield from map(_told, answer["items"]) if answer["items"] else ("nothing is held as a whole",)

    _ask("GET", "/holds", None, tell, as_json=as_json)


def _what(instance: str, workflow: str, capability: str) -> dict[str, str] | None:
    """What is held as a whole; None: one instance.

    :raises typer.BadParameter: nothing is named, or several.
    """
    given = {"instance": instance, "workflow": workflow, "capability": capability}
    named = [(kind, name) for kind, name in given.items() if name]
    if len(named) != 1:
        raise typer.BadParameter("name one: an instance, --workflow or --capability")
    ((kind, name),) = named
    return None if kind == "instance" else {"kind": kind, "name": name}


def _told(hold: Mapping[str, Any]) -> str:
    state = f"being released, {hold['rate']:g} a second" if hold["released"] else f"held by {hold['by']}"
    why = f": {hold['reason']}" if hold["reason"] else ""
    batch = f"; batch {hold['batch']}" if hold["batch"] else ""
    return f"{hold['kind']} {hold['name']}: {state}{why} ({hold['held']} instances are held for it{batch})"


def _hold_of(path: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    _ask("POST", path, body, lambda answer: [_told(answer)], as_json=as_json)


def cancel(instance: Instance, reason: Why = "", as_json: AsJson = False) -> None:
    """End an instance: its open requests are superseded, and its Airflow run fails."""
    _call(instance, "cancel", {"reason": reason}, as_json=as_json)


def register(app: typer.Typer) -> None:
    for command in (retry, complete, patch, hold, release, holds, cancel):
        app.command()(command)
