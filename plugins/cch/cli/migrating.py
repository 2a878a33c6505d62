"""``cch migrate``: instances to another version of their workflow, one, or all live ones in a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cch.cli import batching
from cch.cli.output import note, print_json, say, show, some, table
from cch.cli.server import RefusedError, Server, login
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.pauses import Pauses

#: Instances that a dry run looks at one by one, and those that a batch moves in a second if nobody says less.
_LOOKED_AT, _RATE = 200, 1000.0
#: Tries with an instance of which a step is on a worker, before it is left as it is.
_ROUNDS = 10
#: What the API calls the results of a batch, as this command does.
_OUTCOMES = {"done": "moved"}


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
        results = [_patiently(server, wish)] if wish.instance else _all(server, wish, quiet=as_json)
    if as_json:
        print_json({"dry_run": wish.dry_run, "instances": results})
    else:
        _tell(wish, results)
    return all(result["outcome"] in ("moved", "could be moved") for result in results)


def _all(server: Server, wish: MigrateWish, *, quiet: bool) -> list[dict[str, Any]]:
    search = {"workflow_id": wish.workflow, "state": ["PENDING", "RUNNING", "WAITING"]}
    if wish.came_from:
        search["version"] = wish.came_from
    action: dict[str, Any] = {"kind": "move", "version": wish.to, "renames": dict(wish.renames)}
    batch_wish = batching.BatchWish(
        search=search, action=action, reason=wish.reason, rate=wish.per_second or _RATE
    )  # fmt: skip
    if wish.dry_run:
        seen = batching.preview(server, batch_wish, _LOOKED_AT)
        if seen["count"] > len(seen["examples"]) and not quiet:
            note(f"{len(seen['examples'])} of {seen['count']} were looked at")
        found = [_looked_at(each) for each in seen["examples"]]
    else:
        batch = batching.begin(server, batch_wish)
        if batch is not None:
            batching.follow(server, batch, quiet=quiet)
        found = [_moved(each) for each in batching.results(server, batch["id"])] if batch else []
    if not found:
        raise WrongUseError(f"no instance of {wish.workflow} is alive" + (" in that version" if wish.came_from else ""))
    return found


def _looked_at(example: Mapping[str, Any]) -> dict[str, Any]:
    if not example["possible"]:
        return {"id": example["id"], "outcome": "refused", "reason": example["refused"]}
    return {
        "id": example["id"], "outcome": "could be moved", "before": example["before"], "after": example["after"]
    }  # fmt: skip


def _moved(result: Mapping[str, Any]) -> dict[str, Any]:
    outcome = _OUTCOMES.get(result["result"], result["result"])
    return {"id": result["instance_id"], "outcome": outcome, "reason": result["reason"]}


def _patiently(server: Server, wish: MigrateWish) -> dict[str, Any]:
    pauses = Pauses(first=0.5, longest=10.0)
    while (result := _one(server, wish))["outcome"] == "busy" and pauses.tries < _ROUNDS:
        time.sleep(pauses.next())
    return result


def _one(server: Server, wish: MigrateWish) -> dict[str, Any]:
    identifier = wish.instance
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
    if wish.instance:
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
