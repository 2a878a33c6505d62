"""``cch migrate``: instances to another version of their workflow, one or all that a search finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cch.cli.output import console, note, print_json, say, show, some, table
from cch.cli.server import RefusedError, Server, login
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.pauses import Pauses

#: Rounds over instances of which a step was on a worker, before they are left as they are.
_ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateWish:
    """What a person wants. ``instance``: one, else all live ones of ``workflow`` (of version ``came_from``)."""

    workflow: str = ""
    instance: str = ""
    came_from: str = ""
    to: str = ""
    renames: Mapping[str, str]
    reason: str = ""
    dry_run: bool = False
    per_second: float | None = None


def renames_of(texts: Sequence[str]) -> dict[str, str]:
    """``Old=New`` as a mapping.

    :raises WrongUseError: a text has another form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise WrongUseError(f"--rename {text!r}: write Old=New")
        if old.strip() in found:
            raise WrongUseError(f"--rename names {old.strip()!r} twice")
        found[old.strip()] = new.strip()
    return found


def migrate(wish: MigrateWish, *, as_json: bool) -> bool:
    """Move them, and say what has become of each; whether all of them could be moved."""
    with Server(login()) as server:
        ids = [wish.instance] if wish.instance else _live(server, wish)
        results = _all(server, wish, ids, quiet=as_json)
    if as_json:
        print_json({"dry_run": wish.dry_run, "instances": results})
    else:
        _tell(wish, results)
    return all(result["outcome"] in ("moved", "could be moved") for result in results)


def _live(server: Server, wish: MigrateWish) -> list[str]:
    search = {"workflow_id": wish.workflow, "state": ["PENDING", "RUNNING", "WAITING"]}
    if wish.came_from:
        search["version"] = wish.came_from
    try:
        found = [each["id"] for each in server.instances(**search)]
    except RefusedError as refused:
        raise WrongUseError(str(refused)) from None
    if not found:
        raise WrongUseError(f"no instance of {wish.workflow} is alive" + (" in that version" if wish.came_from else ""))
    return found


def _all(server: Server, wish: MigrateWish, ids: Sequence[str], *, quiet: bool) -> list[dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    pauses = Pauses(first=0.5, longest=10.0)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console(stderr=True), disable=quiet or len(ids) == 1) as shown:
        bar = shown.add_task("looking" if wish.dry_run else "moving", total=len(ids))
        todo = list(ids)
        for _ in range(_ROUNDS):
            for identifier in todo:
                began = time.monotonic()
                results[identifier] = _one(server, wish, identifier)
                shown.update(bar, completed=sum(each["outcome"] != "busy" for each in results.values()))
                _slow_down(wish.per_second, time.monotonic() - began)
            todo = [identifier for identifier in todo if results[identifier]["outcome"] == "busy"]
            if not todo:
                break
            time.sleep(pauses.next())
    return list(results.values())


def _slow_down(per_second: float | None, took: float, sleep: Callable[[float], None] = time.sleep) -> None:
    if per_second and (rest := 1 / per_second - took) > 0:
        sleep(rest)


def _one(server: Server, wish: MigrateWish, identifier: str) -> dict[str, Any]:
    body = {"version": wish.to, "renames": dict(wish.renames), "reason": wish.reason, "dry_run": wish.dry_run}
    try:
        answer = server.call("POST", f"/instances/{identifier}/move", body)
    except RefusedError as refused:
        if refused.problem in ("version_unknown", "not_found", "invalid_request", "workflow_not_usable"):
            raise WrongUseError(str(refused)) from None
        return {"id": identifier, "outcome": "busy" if refused.problem == "busy" else "refused", "reason": str(refused)}
    except ServiceUnavailableError as error:
        return {"id": identifier, "outcome": "busy", "reason": str(error)}
    return {"id": identifier, "outcome": "could be moved" if wish.dry_run else "moved", **answer}


def _tell(wish: MigrateWish, results: Sequence[dict[str, Any]]) -> None:
    if len(results) == 1:
        _tell_one(results[0])
        return
    groups: dict[tuple[str, str], list[str]] = {}
    for result in results:
        way = f"{', '.join(result['before'])} → {', '.join(result['after'])}" if "after" in result else result["reason"]
        groups.setdefault((result["outcome"], way), []).append(result["id"])
    rows = [(outcome, str(len(ids)), way, some(ids)) for (outcome, way), ids in sorted(groups.items())]
    show(table("instances", ("outcome", "instances", "where, or why not", "for example"), rows))
    if wish.dry_run:
        note("nothing was changed: leave out --dry-run to move them")


def _tell_one(result: Mapping[str, Any]) -> None:
    say(f"{result['id']}: {result['outcome']}")
    if "reason" in result:
        say(f"  {result['reason']}")
        return
    say(f"  stands at {', '.join(result['before']) or 'no node'}, there at {', '.join(result['after']) or 'no node'}")
    for word in ("kept", "superseded"):
        for each in result[word]:
            say(f"  {word}: {each}")
    for each in result["notes"]:
        say(f"  note: {each}")
