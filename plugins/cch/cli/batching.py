"""Batches as the command line begins and shows them; the API server carries them out."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cch.cli.output import coloured, console, note, print_json, say, show, some, table
from cch.cli.server import RefusedError, Server, login
from cch.counting import counted
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.pauses import Pauses

#: What the API says where not the instances are in the way, but the command itself.
_WRONG = frozenset(
    {
        "invalid_request", "search_empty", "version_unknown", "workflow_needed", "workflow_not_found", "too_many",
        "workflow_not_usable", "node_unknown", "edge_unknown", "too_large", "batch_not_found", "not_found",
    }
)  # fmt: skip
#: Looks in a row without an answer before watching is given up: about five minutes, so a restart passes.
_PATIENCE = 30
#: Times that a batch is confirmed anew because others match now, where nobody has seen the number.
_TRIES = 10
_PAGE = 200
_KINDS = ("done", "skipped", "refused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWish:
    """What a person wants; ``search`` and ``action`` as the API takes them, ``rate`` in instances a second."""

    search: Mapping[str, Any]
    action: Mapping[str, Any]
    reason: str = ""
    rate: float = 10.0

    def body(self, **more: Any) -> dict[str, Any]:
        return {"search": dict(self.search), "action": dict(self.action), "reason": self.reason, **more}


def action_of(command: str, verdict: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The action as the API takes it. ``given``: every option; only those that were used, and that fit.

    :raises WrongUseError: an option belongs to another action.
    """
    takes = {
        "retry": {"node": "node"},
        "complete": {"node": "node", "edge": "edge", "written": "payload"},
        "patch": {"nodes": "nodes", "written": "patch"},
        "move": {"version": "version", "renames": "renames"},
    }.get(command, {})
    options = {"node": "--node", "edge": "--edge", "nodes": "--at", "version": "--to", "renames": "--rename"}
    used = {name: value for name, value in given.items() if value}
    for name in used:
        if name not in takes:
            raise WrongUseError(f"{options.get(name, '--set or --payload')} does not belong to {command}")
    if command == "patch" and "written" not in used:
        raise WrongUseError("patch needs --set or --payload: there is nothing to add")
    kind = {"kind": "decide", "verdict": verdict} if command == "complete" else {"kind": command}
    return {**kind, **{takes[name]: value for name, value in used.items()}}


def _call(server: Server, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """What the API answers.

    :raises WrongUseError: the command cannot be meant so.
    """
    try:
        return server.call(method, path, body, **query)
    except RefusedError as refused:
        if refused.problem in _WRONG:
            raise WrongUseError(str(refused)) from None
        raise


def preview(server: Server, wish: BatchWish, examples: int = 5) -> dict[str, Any]:
    """What the batch would do."""
    found: dict[str, Any] = _call(server, "POST", "/batches/preview", wish.body(examples=examples))
    return found


def confirm(server: Server, wish: BatchWish, expected: int) -> dict[str, Any]:
    """Begin the batch.

    :raises RefusedError: another number matches now.
    """
    body = wish.body(expected=expected, rate=wish.rate, id=str(uuid.uuid4()))
    pauses = Pauses(first=0.5, longest=10.0)
    while True:  # under one id: to repeat it begins nothing else
        try:
            begun: dict[str, Any] = _call(server, "POST", "/batches", body)
        except ServiceUnavailableError:
            if pauses.tries >= _PATIENCE:
                raise
            time.sleep(pauses.next())
        else:
            return begun


def begin(server: Server, wish: BatchWish) -> dict[str, Any] | None:
    """Begin the batch for those that match, however many that are; None: nobody does."""
    for last in (False,) * (_TRIES - 1) + (True,):
        expected = preview(server, wish, examples=0)["count"]
        if not expected:
            return None
        try:
            return confirm(server, wish, expected)
        except RefusedError as refused:
            if refused.problem != "count_changed" or last:
                raise
    return None


def follow(server: Server, batch: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Show how far it is, until it has ended or somebody has paused it; the batch then."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    pauses, tries = Pauses(first=0.5, longest=2.0), Pauses(first=0.5, longest=10.0)
    with Progress(*columns, console=console(stderr=True), disable=quiet) as shown:
        bar = shown.add_task(batch["action"]["kind"], total=batch["total"])
        while batch["state"] == "running":
            time.sleep(pauses.next())
            try:
                batch = _call(server, "GET", f"/batches/{batch['id']}")
            except ServiceUnavailableError:
                if tries.tries >= _PATIENCE:
                    raise
                time.sleep(tries.next())
            else:
                tries.reset()
            shown.update(bar, completed=batch["total"] - batch["left"])
    return batch


def results(server: Server, batch_id: str, result: str = "") -> Iterator[dict[str, Any]]:
    """What has become of its instances, page by page."""
    query: dict[str, Any] = {"limit": _PAGE, **({"result": result} if result else {})}
    while True:
        page = _call(server, "GET", f"/batches/{batch_id}/results", **query)
        yield from page["items"]
        if not page["next_cursor"]:
            return
        query["cursor"] = page["next_cursor"]


def start(wish: BatchWish, *, dry_run: bool, ask: bool, watch: bool, as_json: bool) -> bool:
    """Begin a batch after its preview; whether it was done to all, as far as that was waited for."""
    with Server(login()) as server:
        seen = preview(server, wish)
        if not as_json or (ask and not dry_run):
            _show_preview(seen, stderr=as_json)
        if dry_run:
            if as_json:
                print_json(seen)
            return True
        if not seen["count"]:
            raise WrongUseError("no instance matches that you may change")
        if ask and not typer.confirm(f"{wish.action['kind']} {counted(seen['count'], 'instance')}?", err=True):
            note("nothing was changed")
            return False
        batch = confirm(server, wish, seen["count"])
        if not as_json:
            say(f"batch {batch['id']}")
        if watch:
            batch = _watched(server, batch, quiet=as_json)
        if as_json:
            print_json(batch)
        elif watch:
            _show_batch(batch)
            _show_results(list(results(server, batch["id"])))
        return not watch or batch["done"] == batch["total"]


def _watched(server: Server, batch: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    try:
        return follow(server, batch, quiet=quiet)
    except KeyboardInterrupt:
        note(f"the server goes on: cch batch show {batch['id']}, or cch batch pause {batch['id']}")
        raise typer.Exit(130) from None


def list_batches(limit: int, *, as_json: bool) -> None:
    with Server(login()) as server:
        page = _call(server, "GET", "/batches", limit=limit)
    if as_json:
        print_json(page["items"])
        return
    if not page["items"]:
        say("there are no batches")
        return
    rows = [
        (
            each["id"], coloured(each["state"]), each["action"]["kind"],
            f"{each['total'] - each['left']} of {each['total']}", str(each["refused"] + each["failed"]),
            ", ".join(each["workflows"]), f"{each['by']}, {each['created'][:16].replace('T', ' ')}", each["reason"],
        )
        for each in page["items"]
    ]  # fmt: skip
    show(table("", ("id", "state", "action", "over", "not done", "workflows", "by (UTC)", "reason"), rows))


def show_batch(batch_id: str, result: str, *, watch: bool, as_json: bool) -> None:
    with Server(login()) as server:
        batch = _call(server, "GET", f"/batches/{batch_id}")
        if watch:
            batch = _watched(server, batch, quiet=as_json)
        found = list(results(server, batch_id, result))
    if as_json:
        print_json({**batch, "results": found})
        return
    _show_batch(batch)
    _show_results(found)


def steer(batch_id: str, action: str, *, as_json: bool) -> None:
    with Server(login()) as server:
        batch = _call(server, "POST", f"/batches/{batch_id}/{action}")
    if as_json:
        print_json(batch)
    else:
        _show_batch(batch)


# --- for people -------------------------------------------------------------------------------------------------


def _show_preview(seen: Mapping[str, Any], *, stderr: bool) -> None:
    out = console(stderr=stderr)
    where = ", ".join(f"{count} of {workflow}" for workflow, count in sorted(seen["workflows"].items()))
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(seen["statuses"].items()))
    out.print(f"{counted(seen['count'], 'instance')}" + (f": {where}; {statuses}" if where else ""), markup=False)
    if seen["not_allowed"]:
        out.print(f"{counted(seen['not_allowed'], 'instance')} more that you may not change: left out", markup=False)
    if seen["examples"]:
        rows = [(each["id"], each["correlation_id"], _way(each)) for each in seen["examples"]]
        out.print(table("for example", ("id", "business key", "where, or why not"), rows))


def _way(example: Mapping[str, Any]) -> str:
    if not example["possible"]:
        return f"not possible: {example['refused']}"
    if not example["before"] and not example["after"]:
        return "possible"
    return f"{', '.join(example['before']) or 'no node'} → {', '.join(example['after']) or 'no node'}"


def _show_batch(batch: Mapping[str, Any]) -> None:
    counts = ", ".join(f"{batch[kind]} {kind}" for kind in _KINDS if batch[kind])
    left = f", {batch['left']} left" if batch["left"] else ""
    say(f"batch {batch['id']}: {batch['action']['kind']}, {batch['state']}: {counts or 'nothing yet'}{left}")


def _show_results(found: Sequence[Mapping[str, Any]]) -> None:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in found:
        groups[each["result"], each["reason"]].append(each["instance_id"])
    rows = [(coloured(kind), str(len(ids)), reason, some(ids)) for (kind, reason), ids in sorted(groups.items())]
    if rows:
        show(table("", ("result", "instances", "reason", "for example"), rows))
