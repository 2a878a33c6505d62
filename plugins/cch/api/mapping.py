"""The ledger's records as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cch.api.models import (
    ErrorView,
    EventWaitView,
    HeldMessage,
    InstanceState,
    InstanceSummary,
    MessageView,
    RequestView,
    VisitView,
    Wait,
)
from cch.interpreter.context import selected
from cch.interpreter.contracted import TOLD
from cch.interpreter.outcome import Outcome
from cch.ledger.messages import message_id
from cch.ledger.records import Instance, InstanceStatus, MessageRecord, RequestRecord
from cch.ledger.waiting import OpenWait
from cch.ledger.waits import WaitRecord
from cch.runtime.lingering import Lingering

#: Waits of one instance that a row shows.
MOST_WAITS = 5

_STATES: Mapping[InstanceStatus, InstanceState] = {
    "pending": "PENDING",
    "running": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}
STATUSES: Mapping[InstanceState, InstanceStatus] = {
    **{state: status for status, state in _STATES.items()},
    "WAITING": "running",
}


def moment(milliseconds: int) -> datetime | None:
    """0 is never."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(time: datetime) -> int:
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def wait(record: OpenWait) -> Wait:
    return Wait(
        id=record.id,
        kind="event" if record.is_event else "request",
        node=record.node,
        capability="" if record.is_event else record.capability,
        event_key=record.event_key,
        branch=record.branch,
        branch_path=list(record.path),
        since=at(record.since),
        deadline=moment(record.deadline),
    )


def request_wait(record: RequestRecord) -> Wait:
    return Wait(
        id=record.command_id,
        kind="request",
        node=record.node,
        capability=record.source,
        branch=record.branch,
        branch_path=list(record.path),
        since=at(record.created),
        deadline=moment(record.deadline),
    )


def wait_of_event(record: WaitRecord) -> Wait:
    return Wait(
        id=record.id,
        kind="event",
        node=record.node,
        event_key=record.event_key,
        branch=record.branch,
        branch_path=list(record.path),
        since=at(record.created),
        deadline=moment(record.deadline),
    )


def instance_state(instance: Instance, waits: Sequence[Wait]) -> InstanceState:
    return "WAITING" if waits and instance.status == "running" else _STATES[instance.status]


def summary(instance: Instance, name: str, waits: Sequence[Wait], number: int | None = None) -> InstanceSummary:
    """``number``: of the version that the instance runs."""
    shown = waits if instance.status == "running" else ()
    return InstanceSummary(
        id=instance.id,
        workflow_id=instance.workflow_id,
        workflow_name=name,
        correlation_id=instance.correlation_id,
        state=instance_state(instance, shown),
        started=at(instance.started),
        ended=moment(instance.ended),
        due=None if instance.ended else moment(instance.due),
        reason=instance.reason,
        waits=list(shown[:MOST_WAITS]),
        waiting_since=shown[0].since if shown else None,
        version=number,
        definition_digest=instance.definition_digest,
    )


def request_view(record: RequestRecord) -> dict[str, Any]:
    return {
        "command_id": record.command_id,
        "node": record.node,
        "visit": record.visit,
        "attempt": record.attempt,
        "capability": record.source,
        "branch": record.branch,
        "state": record.state,
        "created": at(record.created),
        "sent": moment(record.sent_at),
        "deadline": moment(record.deadline),
        "closed": moment(record.closed_at),
        "reply_status": record.reply_status,
        "reply": dict(record.reply) if record.state == "answered" else None,
        "message_id": message_id(record.answered_by) if record.answered_by else "",
        "reason": record.reason,
    }


def requests_view(records: Iterable[RequestRecord]) -> list[RequestView]:
    return [RequestView(**request_view(record)) for record in records]


def wait_view(record: WaitRecord) -> EventWaitView:
    return EventWaitView(
        id=record.id,
        node=record.node,
        branch=record.branch,
        branch_path=list(record.path),
        event_key=record.event_key,
        state=record.state,
        created=at(record.created),
        deadline=moment(record.deadline),
        closed=moment(record.closed_at),
        message_id=message_id(record.message) if record.message else "",
    )


def visit_view(outcome: Outcome) -> VisitView:
    cause = outcome.cause
    return VisitView(
        node=outcome.node,
        visit=outcome.visit,
        started=at(outcome.started),
        ended=at(outcome.stamp),
        edge=outcome.label,
        targets=list(outcome.targets),
        failed=outcome.failed,
        cause=str(cause.get("kind", "")),
        command_id=str(cause.get("command_id", "")),
        attempt=int(cause.get("attempt", 0)),
        breach=str(cause.get(TOLD, "")),
        changed=selected(outcome.patch, None),
    )


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def error_view(raw: Mapping[str, Any]) -> ErrorView:
    return ErrorView(
        code=str(raw.get("code", "")),
        message=str(raw.get("message", "")),
        node=str(raw.get("node", "")),
        at=_parsed(str(raw.get("timestamp", ""))),
        handled=raw.get("handled"),
    )


def message_view(record: MessageRecord, workflow_id: str = "") -> dict[str, Any]:
    return {
        "id": message_id(record.key),
        "state": record.fate,
        "kind": record.kind,
        "queue": record.key.split("#", 2)[1],
        "reason": record.reason,
        "instance_id": record.instance,
        "workflow_id": workflow_id,
        "capability": record.source,
        "branch": record.branch,
        "command_id": record.command_id,
        "received": at(record.received),
    }


def held_view(each: Lingering) -> HeldMessage:
    return HeldMessage(**message_view(each.record), would_match=each.would_match, attach=each.attach)


def as_message(record: MessageRecord, workflow_id: str = "") -> MessageView:
    return MessageView(**message_view(record, workflow_id))
