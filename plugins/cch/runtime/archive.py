"""The archive: one compressed JSON document for each instance that has expired.

``instances/workflow=<id>/day=<day of the end, UTC>/<instance>.json.gz`` has one line, so that tools such as Athena
read a day of a workflow as a partition with a row for each instance. ``keys/<instance>`` has the name of its document.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from cch.envelope import iso
from cch.interpreter.context import selected
from cch.interpreter.replay import has_failed
from cch.ledger.messages import message_id
from cch.ledger.payloads import dump

if TYPE_CHECKING:
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import Instance, MessageRecord, RequestRecord
    from cch.ledger.waits import WaitRecord
    from cch.runtime.progress import Progress

#: Version of the document's form. Fields are added, never renamed.
FORM = 1


class Archive(Protocol):
    """Where documents are kept, by name."""

    async def write(self, name: str, data: bytes) -> None:
        """Put it there, also if it is there already.

        :raises ServiceUnavailableError: it cannot be written now.
        """
        ...

    async def read(self, name: str) -> bytes | None:
        """None: there is none of that name."""
        ...


def document_name(instance: Instance) -> str:
    day = iso(instance.ended)[:10]
    return f"instances/workflow={instance.workflow_id}/day={day}/{instance.id}.json.gz"


async def store(archive: Archive, instance: Instance, document: Mapping[str, Any]) -> None:
    """Write the document, then the note of where it is. A repetition writes the same bytes."""
    name = document_name(instance)
    await archive.write(name, gzip.compress(f"{dump(document)}\n".encode(), mtime=0))
    await archive.write(f"keys/{instance.id}", name.encode())


async def load(archive: Archive, instance_id: str) -> dict[str, Any] | None:
    """The document of an instance; None if it was not archived."""
    name = await archive.read(f"keys/{instance_id}")
    data = await archive.read(name.decode()) if name is not None else None
    return None if data is None else json.loads(gzip.decompress(data))


def document(progress: Progress, messages: Iterable[MessageRecord], archived: int) -> dict[str, Any]:
    """What an instance was and did, without the platform's own keys. Times are ISO 8601 or null."""
    instance = progress.instance
    visits: list[tuple[Outcome, tuple[str, ...]]] = [(outcome, ()) for outcome in progress.outcomes]
    visits += [(outcome, each.item.path) for each in progress.items for outcome in each.outcomes]
    return {
        "form": FORM,
        "instance_id": instance.id,
        "workflow_id": instance.workflow_id,
        "correlation_id": instance.correlation_id,
        "status": instance.status,
        "started": time(instance.started),
        "ended": time(instance.ended),
        "seconds": progress.seconds(archived),
        "reason": instance.reason,
        "version": instance.definition_digest,
        "run_id": instance.run_id,
        "archived": time(archived),
        "input": selected(instance.context, None),
        "context": dict(progress.context),
        "visits": [_visit(outcome, path) for outcome, path in sorted(visits, key=lambda one: one[0].stamp)],
        "requests": [_request(request) for request in progress.requests],
        "waits": [_wait(wait) for wait in progress.waits],
        "messages": [_message(message) for message in messages],
        "errors": [dict(error) for error in progress.errors],
    }


def time(milliseconds: int) -> str | None:
    """ISO 8601; None for 0."""
    return iso(milliseconds) if milliseconds else None


def _visit(outcome: Outcome, path: tuple[str, ...]) -> dict[str, Any]:
    return {
        "node": outcome.node,
        "visit": outcome.visit,
        "branch_path": list(path),
        "started": time(outcome.started),
        "ended": time(outcome.stamp),
        "edge": outcome.label,
        "targets": list(outcome.targets),
        "failed": has_failed(outcome),
        "cause": dict(outcome.cause),
        "changes": selected(outcome.patch, None),
    }


def _request(request: RequestRecord) -> dict[str, Any]:
    return {
        "command_id": request.command_id,
        "node": request.node,
        "visit": request.visit,
        "attempt": request.attempt,
        "branch_path": list(request.path),
        "capability": request.source,
        "state": request.state,
        "created": time(request.created),
        "sent": time(request.sent_at),
        "closed": time(request.closed_at),
        "reply_status": request.reply_status,
        "reply": dict(request.reply),
        "reason": request.reason,
    }


def _wait(wait: WaitRecord) -> dict[str, Any]:
    return {
        "id": wait.id,
        "node": wait.node,
        "branch_path": list(wait.path),
        "event_key": wait.event_key,
        "state": wait.state,
        "created": time(wait.created),
        "closed": time(wait.closed_at),
    }


def _message(message: MessageRecord) -> dict[str, Any]:
    return {
        "id": message_id(message.key),
        "kind": message.kind,
        "state": message.fate,
        "source": message.source,
        "command_id": message.command_id,
        "received": time(message.received),
        "reason": message.reason,
    }
