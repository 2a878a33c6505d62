"""Instances as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from cch.cli.output import coloured, complain, console, duration, moment, say, show, table
from cch.envelope import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from cch.cli.watched import Watched
    from cch.ledger.records import Instance, RequestRecord
    from cch.runtime.items import ItemProgress
    from cch.runtime.progress import NodeProgress, Progress

#: Longest reason in a table; the whole one is in the JSON form.
_REASON = 200
#: Columns from which a terminal shows everything; a narrower one would cut names into pieces.
_WIDE = 110


# --- for people -------------------------------------------------------------------------------------------------


def request_note(request: RequestRecord) -> str:
    """How a request stands, in a few words."""
    if request.state == "open":
        sent = f"sent {moment(request.sent_at, day=False)}" if request.sent_at else "not sent yet"
        limit = f", until {moment(request.deadline)}" if request.deadline else ""
        return f"{sent}{limit}"
    after = duration((request.closed_at - (request.sent_at or request.created)) / 1000)
    status = f"{request.reply_status} " if request.reply_status else ""
    return f"{status}after {after}" + (f": {request.reason[:_REASON]}" if request.reason else "")


def node_note(node: NodeProgress) -> str:
    """What to know about a node beside its state."""
    if node.request is not None:
        attempt = f", attempt {node.request.attempt}" if node.request.attempt > 1 else ""
        return f"for {node.request.source} since {moment(node.since, day=False)}{attempt}"
    if node.wait is not None:
        event = f"an event with {node.wait.event_key}" if node.wait.event_key else "an event"
        limit = f", until {moment(node.wait.deadline)}" if node.wait.deadline else ""
        return f"for {event} since {moment(node.since, day=False)}{limit}"
    items = ", ".join(f"{number} {state}" for state, number in node.items.items())
    parts = [items and f"items: {items}", f"→ {node.edge}" if node.edge else "", node.reason[:_REASON]]
    return " ".join(part for part in parts if part)


def _is_narrow() -> bool:
    return console().width < _WIDE


def _nodes(progress: Progress, now: int) -> Table:
    rows: list[tuple[str | Text, ...]] = []
    for node in progress.nodes:
        lasts = node.state in ("WAITING", "RUNNING")
        seconds = max(0, now - node.since) / 1000 if lasts and node.since else node.seconds
        visits = str(node.visits or "")
        state, note = coloured(node.state), node_note(node)
        if _is_narrow():
            rows.append((node.name, state, duration(seconds), note))
            continue
        since = moment(node.since, day=False)
        rows.append((node.name, node.type, state, visits, since, duration(seconds), note))
    columns = ("node", "state", "for", "") if _is_narrow() else ("node", "type", "state", "visit", "since", "for", "")
    return table("", columns, rows)


def _requests(requests: Iterable[RequestRecord]) -> Table:
    rows: list[tuple[str | Text, ...]] = []
    for r in requests:
        state, note = coloured(r.state), request_note(r)
        if _is_narrow():
            rows.append((r.node, r.source, state, note))
            continue
        times = (moment(r.sent_at, day=False), moment(r.closed_at, day=False))
        rows.append((r.node, r.source, str(r.attempt), state, *times, note))
    wide = ("node", "capability", "attempt", "state", "sent", "closed", "")
    return table("requests", ("node", "capability", "state", "") if _is_narrow() else wide, rows)


def _headline(progress: Progress, now: int) -> Text:
    instance = progress.instance
    key = "" if instance.correlation_id == instance.id else f" ({instance.correlation_id})"
    line = Text.assemble((instance.workflow_id, "bold"), f"  {instance.id}{key}  ", coloured(instance.status))
    return line.append(f"  {duration(progress.seconds(now))}")


def _gates(instance: Instance) -> Iterator[Text]:
    """Who keeps a live instance from going on, since when and why."""
    if instance.ended:
        return
    for gate in instance.closed:
        what = "held by" if gate.kind == "held" else "being changed by"
        why = f": {gate.reason}" if gate.reason else ""
        yield Text(f"{what} {gate.by} since {moment(gate.since)}{why[:_REASON]}", "yellow")
    if instance.due:
        yield Text(f"may run until {moment(instance.due)}", "dim")


def detail(progress: Progress, now: int) -> RenderableType:
    """One instance: nodes, requests, errors."""
    parts: list[RenderableType] = [_headline(progress, now), *_gates(progress.instance)]
    parts.append(_nodes(progress, now) if progress.nodes else Text("its definition is not kept anywhere", "yellow"))
    if progress.items_in_all > len(progress.items):
        parts.append(
            Text(f"only the first {len(progress.items)} of {progress.items_in_all} map items are shown", "dim")
        )
    if progress.requests:
        parts.append(_requests(progress.requests))
    for error in progress.errors:
        at = f" at {error['node']}" if error.get("node") else ""
        parts.append(Text(f"{error.get('code')}{at}: {str(error.get('message'))[:_REASON]}", "red"))
    return Group(*parts)


def show_context(progress: Progress) -> None:
    """The context as JSON, alone on stdout's last lines."""
    say("context:")
    say(json.dumps(progress.context, indent=2, ensure_ascii=False))


def show_end(watched: Watched) -> None:
    """How watching ended: the tables for the last time, the final context, and what went wrong."""
    if watched.progress is not None:
        show(detail(watched.progress, watched.started.at + round(watched.seconds * 1000)))
        show_context(watched.progress)
    if watched.reason:
        complain(f"{watched.started.instance_id} {watched.status}: {watched.reason}")
    elif watched.status == "failed" and watched.progress is not None:
        complain(f"{watched.started.instance_id} failed: {_why(watched.progress)}")


def _why(progress: Progress) -> str:
    """What failed: an instance that ended at a `failed` end as its author meant it to has no reason of its own."""
    said = [str(error.get("message")) for error in progress.errors]
    return progress.instance.reason or (said[-1] if said else "no reason is recorded")


def instances_table(title: str, instances: Iterable[Instance], now: int) -> Table:
    rows = [
        (
            i.id, i.workflow_id, "" if i.correlation_id == i.id else i.correlation_id, coloured(i.status),
            moment(i.started), duration(max(0, (i.ended or now) - i.started) / 1000), i.reason[:_REASON],
        )
        for i in instances
    ]  # fmt: skip
    return table(title, ("instance", "workflow", "correlation id", "status", "started", "for", "reason"), rows)


# --- for programs -----------------------------------------------------------------------------------------------


def _time(milliseconds: int) -> str | None:
    return iso(milliseconds) if milliseconds else None


def request_data(request: RequestRecord) -> dict[str, Any]:
    """A request as JSON; times are ISO 8601 or null, ``seconds`` from sending to closing."""
    begun = request.sent_at or request.created
    return {
        "command_id": request.command_id,
        "node": request.node,
        "visit": request.visit,
        "attempt": request.attempt,
        "capability": request.source,
        "state": request.state,
        "created": _time(request.created),
        "sent": _time(request.sent_at),
        "deadline": _time(request.deadline),
        "closed": _time(request.closed_at),
        "seconds": (request.closed_at - begun) / 1000 if request.closed_at else None,
        "reply_status": request.reply_status,
        "answered_by": request.answered_by,
        "reason": request.reason,
    }


def node_data(node: NodeProgress) -> dict[str, Any]:
    return {
        "name": node.name,
        "type": node.type,
        "title": node.title,
        "state": node.state,
        "visits": node.visits,
        "since": _time(node.since),
        "seconds": node.seconds,
        "edge": node.edge,
        "waits_for": node.request.source if node.request else "event" if node.wait else None,
        "event_key": node.wait.event_key if node.wait else None,
        "reason": node.reason,
        **({"items": dict(node.items)} if node.items else {}),
    }


def item_data(each: ItemProgress) -> dict[str, Any]:
    """An item of a map as JSON; ``at`` are the nodes that hold its tokens."""
    return {
        "map": each.item.node,
        "branch": each.item.branch,
        "index": each.item.index,
        "state": each.state,
        "at": list(each.at),
        "visited": [outcome.node for outcome in each.outcomes],
    }


def instance_data(instance: Instance) -> dict[str, Any]:
    return {
        "instance_id": instance.id,
        "workflow_id": instance.workflow_id,
        "correlation_id": instance.correlation_id,
        "status": instance.status,
        "started": _time(instance.started),
        "ended": _time(instance.ended),
        "reason": instance.reason,
        "due": None if instance.ended else _time(instance.due),
        "gates": [
            {"kind": gate.kind, "by": gate.by, "since": _time(gate.since), "reason": gate.reason}
            for gate in instance.closed
        ],
    }


def _course(progress: Progress | None, seconds: float) -> dict[str, Any]:
    return {
        "visited": list(progress.visited) if progress else [],
        "context": dict(progress.context) if progress else {},
        "seconds": round(seconds, 3),
        "requests": [request_data(request) for request in progress.requests] if progress else [],
        "errors": [dict(error) for error in progress.errors] if progress else [],
    }


def detail_data(progress: Progress, now: int) -> dict[str, Any]:
    """One instance as ``cch status --json`` shows it."""
    nodes = [node_data(node) for node in progress.nodes]
    return {
        **instance_data(progress.instance),
        **_course(progress, progress.seconds(now)),
        "nodes": nodes,
        "items": [item_data(item) for item in progress.items],
        "items_in_all": progress.items_in_all,
    }


def result_data(watched: Watched) -> dict[str, Any]:
    """How a run ended, as ``cch run --json`` shows it."""
    course = _course(watched.progress, watched.seconds)
    if watched.reason:
        course["errors"].append({"code": watched.status.upper(), "message": watched.reason, "node": ""})
    return {
        "instance_id": watched.started.instance_id,
        "workflow_id": watched.started.workflow_id,
        "status": watched.status,
        **course,
    }
