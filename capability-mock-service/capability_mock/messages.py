"""The two messages of a capability: the request that comes in, the reply that goes out."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capability_mock.scenario import Answer


class RequestError(Exception):
    """A message that is no capability request; the text names every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as a capability sees it."""

    #: The idempotency key: the same id means the same request.
    command_id: str
    capability: str
    instance: str
    correlation_id: str
    reply_queue: str
    #: Empty when the request names no definition.
    definition_uri: str = ""
    #: Stable over the attempts of one node visit; empty when the orchestrator gives none.
    request_key: str = ""
    routing_hint: Mapping[str, Any] | None = None
    output_keys: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    #: The message as it came.
    text: str = ""

    @property
    def branch(self) -> str | None:
        """The map item the request is for; None outside a map."""
        key = (self.routing_hint or {}).get("branchKey")
        return None if key is None else str(key)


def parse_request(text: str) -> Request:
    """Reads a message from a capability queue. Raises RequestError with all its faults."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"not JSON: {error}") from error
    faults: list[str] = []
    header = _mapping(message, "header", faults)
    body = _mapping(message, "body", faults)
    values = {
        name: _text(part, name, faults)
        for part, name in (
            (header, "workflowInstanceId"),
            (header, "commandId"),
            (header, "replyToQueueUrl"),
            (body, "capability_id"),
        )
    }
    keys = body.get("request_output_keys") or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        faults.append("request_output_keys is not a list of texts")
    context = body.get("context") or {}
    if not isinstance(context, dict):
        faults.append("context is not a mapping")
    hint = header.get("routingHint")
    if hint is not None and not isinstance(hint, dict):
        faults.append("routingHint is not a mapping")
    if faults:
        raise RequestError("; ".join(faults))
    return Request(
        command_id=values["commandId"],
        capability=values["capability_id"],
        instance=values["workflowInstanceId"],
        correlation_id=str(header.get("correlationId") or values["workflowInstanceId"]),
        reply_queue=values["replyToQueueUrl"],
        definition_uri=str(header.get("workflowDefinitionURI") or ""),
        request_key=str(header.get("requestKey") or ""),
        routing_hint=hint,
        output_keys=tuple(keys),
        context=context,
        text=text,
    )


def reply_id(command_id: str) -> str:
    """The reply's own id: the same request gets the same, from every mock, after every restart."""
    try:
        namespace = uuid.UUID(command_id)
    except ValueError:
        namespace = uuid.uuid5(uuid.NAMESPACE_OID, command_id)
    return str(uuid.uuid5(namespace, "reply"))


def reply_text(request: Request, answer: Answer, payload: Mapping[str, Any], timestamp: str) -> str:
    """The reply's body: the command envelope, or, for a malformed answer, text that is no JSON."""
    if answer.malformed:
        return f"<malformed reply of {request.capability} to {request.command_id}>"
    command: dict[str, Any] = {
        "type": "ASYNC_RESP",
        "id": reply_id(request.command_id),
        "source": f"Capability:{request.capability}",
        "timestamp": timestamp,
        "status": answer.status,
        "payload": payload,
    }
    if answer.echo:
        command["inReplyTo"] = request.command_id
    if request.routing_hint is not None:
        command["routingHint"] = request.routing_hint
    envelope: dict[str, Any] = {
        "workflowInstanceId": request.instance,
        "correlationId": request.correlation_id,
        "command": command,
    }
    if request.definition_uri:
        envelope["workflowDefinitionURI"] = request.definition_uri
    return json.dumps(envelope)


def _mapping(message: Any, name: str, faults: list[str]) -> dict[str, Any]:
    value = message.get(name) if isinstance(message, dict) else None
    if isinstance(value, dict):
        return value
    faults.append(f"{name} is missing or not a mapping")
    return {}


def _text(part: Mapping[str, Any], name: str, faults: list[str]) -> str:
    value = part.get(name)
    if isinstance(value, str) and value:
        return value
    faults.append(f"{name} is missing or not a text")
    return ""
