"""Everything about one instance, put together from the ledger and the definition that it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from cch.api import airflow_runs
from cch.api.access import Access
from cch.api.mapping import (
    at,
    error_view,
    held_view,
    moment,
    requests_view,
    summary,
    visit_view,
    wait,
    wait_view,
)
from cch.api.models import (
    Action,
    ActionView,
    ErrorView,
    EventWaitView,
    GateView,
    InstanceDetail,
    Links,
    MapView,
    NodeView,
    RequestView,
    TimelineEntry,
    VisitView,
)
from cch.api.problems import not_found
from cch.definition.version import parse_version
from cch.errors import CchError
from cch.graph.plan import Plan
from cch.interpreter.context import selected
from cch.ledger.gates import Gate
from cch.ledger.records import ActionRecord, Instance
from cch.ledger.versions import Shelf
from cch.runtime.inspection import Inspector
from cch.runtime.lingering import Lingering, of_instance
from cch.runtime.platform import Platform
from cch.runtime.progress import NodeProgress, Progress

#: Visits and requests of one instance that are shown: the latest ones.
MOST_VISITS = 2000
MOST_REQUESTS = 500
#: Items of maps whose journals are read for the detail; of a map with more, none are.
_MOST_ITEMS = 100
#: Items of its maps whose held messages are looked for, the first ones: a page is read again and again.
_ITEMS_OF_HELD = 10


def run_url(instance: Instance) -> str:
    return f"{airflow_runs.root_path()}/dags/{instance.workflow_id}/runs/{instance.run_id}" if instance.run_id else ""


def node_view(node: NodeProgress, plan: Plan | None, run: str) -> NodeView:
    task_id = plan.task_of.get(node.name, "") if plan else ""
    return NodeView(
        name=node.name,
        type=node.type,
        title=node.title,
        state=node.state,
        visits=node.visits,
        since=moment(node.since),
        seconds=node.seconds,
        edge=node.edge,
        reason=node.reason,
        items={state: number for state, number in node.items.items() if number},
        task_id=task_id,
        task_url=f"{run}/tasks/{task_id}" if run and task_id else "",
    )


def timeline(
    instance: Instance,
    requests: Iterable[RequestView],
    waits: Iterable[EventWaitView],
    errors: Iterable[ErrorView],
    actions: Iterable[ActionView] = (),
) -> list[TimelineEntry]:
    """What happened, oldest first."""
    entries = [TimelineEntry(at=at(instance.started), kind="start", text=f"started {instance.workflow_id}")]
    for request in requests:
        named = {"node": request.node, "branch": request.branch, "ref": request.command_id}
        attempt = f", attempt {request.attempt}" if request.attempt > 1 else ""
        entries.append(
            TimelineEntry(at=request.created, kind="request", text=f"asked {request.capability}{attempt}", **named)
        )
        if request.closed is not None and request.state == "answered":
            text = f"{request.capability} answered {request.reply_status or 'SUCCESS'}"
            entries.append(TimelineEntry(at=request.closed, kind="reply", text=text, **named))
        elif request.closed is not None:
            text = f"{request.capability}: {request.reason or request.state.replace('_', ' ')}"
            kind = "timeout" if request.state == "timed_out" else "error"
            entries.append(TimelineEntry(at=request.closed, kind=kind, text=text, **named))  # type: ignore[arg-type]
    for each in waits:
        named = {"node": each.node, "branch": each.branch, "ref": each.id}
        what = f"an event with {each.event_key}" if each.event_key else "an event"
        entries.append(TimelineEntry(at=each.created, kind="wait", text=f"waits for {what}", **named))
        if each.closed is not None:
            text = "the event came" if each.state == "event" else f"the wait {each.state.replace('_', ' ')}"
            kind = "event" if each.state == "event" else "timeout"
            entries.append(TimelineEntry(at=each.closed, kind=kind, text=text, **named))  # type: ignore[arg-type]
    entries += [
        TimelineEntry(at=error.at, kind="error", node=error.node, text=f"{error.code}: {error.message}")
        for error in errors
        if error.at is not None
    ]
    entries += [TimelineEntry(at=each.at, kind="action", text=_action_text(each)) for each in actions]
    if instance.ended:
        entries.append(TimelineEntry(at=at(instance.ended), kind="end", text=instance.reason or instance.status))
    return sorted(entries, key=lambda entry: entry.at)[-MOST_VISITS:]


def _action_text(action: ActionView) -> str:
    where = f" {action.node}" if action.node else ""
    way = f" from version {action.from_version} to {action.to_version}" if action.kind == "moved" else ""
    why = f": {action.reason}" if action.reason else ""
    batch = f" (batch {action.batch})" if action.batch else ""
    return f"{action.by} has {action.kind}{where or ' it'}{way}{batch}{why}"


def _action_view(record: ActionRecord, shelf: Shelf) -> ActionView:
    def number(stored: str) -> int | None:
        version = parse_version(stored)
        known = shelf.known(version.digest) if version is not None else None
        return known.number if known is not None else None

    return ActionView(
        kind=record.kind,
        at=at(record.at),
        by=record.by,
        reason=record.reason,
        node=str(record.about.get("node", "")),
        from_version=number(record.came_from) if record.kind == "moved" else None,
        to_version=number(record.version) if record.kind == "moved" else None,
        before=list(record.before),
        after=list(record.after),
        batch=str(record.about.get("batch", "")),
    )


def _gate_view(gate: Gate) -> GateView:
    return GateView(kind=gate.kind, by=gate.by, since=at(gate.since), reason=gate.reason)


def maps_of(visits: Iterable[VisitView], items: Mapping[str, tuple[int, int]], plan: Plan | None) -> list[MapView]:
    """The maps that have begun. ``items``: map → (latest visit, items begun)."""
    ended = {visit.node: visit for visit in visits}
    names = plan.graph.nodes if plan else items
    return [
        MapView(
            node=name,
            visit=items[name][0],
            items=items[name][1],
            done=items[name][1] if name in ended and ended[name].visit == items[name][0] else None,
            started=ended[name].started if name in ended else None,
        )
        for name in names
        if name in items
    ]


class DetailReader:
    """Reads one instance for one user."""

    def __init__(self, platform: Platform, inspector: Inspector, access: Access) -> None:
        self._platform = platform
        self._inspector = inspector
        self._access = access

    async def read(self, known: Instance) -> InstanceDetail:
        """:raises ApiError: 404, the ledger does not know it (any more)."""
        instance_id = known.id
        plan = await self._inspector.plan(known)
        items = await self._maps(known, plan)
        few = sum(begun for _, begun in items.values()) <= _MOST_ITEMS
        progress = await self._inspector.look(instance_id, _MOST_ITEMS if items and few else 0)
        if progress is None:
            raise not_found("instance", instance_id)
        instance = progress.instance
        known_versions = await self._platform.ledger.versions.shelf(instance.workflow_id)
        version = known_versions.known(instance.definition_digest)
        shown = [wait(each) for each in progress.open_waits]
        row = summary(instance, await self._name(instance, plan), shown, version.number if version else None)
        requests = requests_view([each for each in progress.requests if each.scope.is_root][-MOST_REQUESTS:])
        event_waits = [wait_view(each) for each in progress.waits]
        errors = [error_view(error) for error in progress.errors]
        visits = [visit_view(outcome) for outcome in progress.outcomes]
        run = run_url(instance)
        done = await self._platform.ledger.actions.of_instance(instance_id) if instance.gates else []
        actions = [_action_view(each, known_versions) for each in done]
        if instance.status == "pending" and (start := await self._platform.ledger.mailboxes.start_of(instance_id)):
            row.reason = start.reason
        held = () if progress.ended else await self._held(instance)
        return InstanceDetail(
            **row.model_dump(),
            run_id=instance.run_id,
            nodes=[node_view(node, plan, run) for node in progress.nodes],
            visits=visits[-MOST_VISITS:],
            visits_truncated=len(visits) > MOST_VISITS,
            maps=maps_of(visits, items, plan),
            requests=requests,
            event_waits=event_waits,
            timeline=timeline(instance, requests, event_waits, errors, actions),
            errors=errors,
            held=[held_view(each) for each in held],
            context=dict(progress.context),
            initial_context=selected(instance.context, None),
            links=Links(airflow_run=run, airflow_graph=f"{run}?graph" if run else ""),
            actions=actions,
            gates=[] if progress.ended else [_gate_view(gate) for gate in instance.closed],
            allowed=await self._allowed(progress),
        )

    async def _held(self, instance: Instance) -> list[Lingering]:
        return await of_instance(self._platform.ledger, instance, self._platform.clock(), _ITEMS_OF_HELD)

    async def _maps(self, instance: Instance, plan: Plan | None) -> dict[str, tuple[int, int]]:
        """Map → (latest visit, items begun)."""
        names = list(plan.graph.maps) if plan else []
        found = await asyncio.gather(*(self._platform.ledger.maps.map_visit(instance, n) for n in names))
        return {name: visit for name, visit in zip(names, found, strict=True) if visit is not None}

    async def _name(self, instance: Instance, plan: Plan | None) -> str:
        if plan is not None:
            return plan.graph.definition.workflow_name
        try:
            found = await asyncio.to_thread(self._platform.catalogue.current, instance.workflow_id)
        except CchError:
            return instance.workflow_id
        return found.workflow_name

    async def _allowed(self, progress: Progress) -> list[Action]:
        if progress.ended or not await self._access.may_edit(progress.instance.workflow_id):
            return []
        is_open = any(request.state == "open" for request in progress.requests)
        return ["event", "cancel", "resend"] if is_open else ["event", "cancel"]
