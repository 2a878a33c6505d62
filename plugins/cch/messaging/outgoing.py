"""Requests out: the body, which is the same whenever the same command id is sent, and the queue it goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cch.envelope import MAX_BODY, iso, routing_hint
from cch.identity import Address
from cch.ledger.payloads import dump
from cch.messaging.queue import ILLEGAL, MessageQueue, Queues
from cch.names import Names
from cch.tracing import traceparent

#: Bytes of the largest request body: SQS counts a message's attributes too, and 1 KiB is kept for them.
LARGEST_REQUEST = MAX_BODY - 1024


def request_body(
    *,
    instance: str,
    workflow_id: str,
    definition_uri: str,
    correlation_id: str,
    command_id: str,
    request_key: str,
    reply_to: str,
    created: int,
    address: Address,
    capability_id: str,
    output_keys: tuple[str, ...],
    context: Mapping[str, Any],
) -> str:
    """The JSON text of a request. ``created`` (ms) is the request's, not the sending's: a repeat is identical."""
    header: dict[str, Any] = {
        "workflowInstanceId": instance,
        "workflowDefinitionURI": definition_uri,
        "correlationId": correlation_id,
        "commandId": command_id,
        "requestKey": request_key,
        "replyToQueueUrl": reply_to,
        "source": "WorkflowOrchestrator",
        "timestamp": iso(created),
        **routing_hint(address),
    }
    body = {
        "capability_id": capability_id,
        "request_output_keys": list(output_keys),
        "context": {**context, "workflowInstanceId": instance, "workflow_id": workflow_id},
    }
    # Only texts can have such characters, and there JSON has another way to write them.
    return ILLEGAL.sub(lambda found: f"\\u{ord(found[0]):04x}", dump({"header": header, "body": body}))


def request_fault(body: str) -> str:
    """Why a request of this body can never be sent; "" if it can."""
    size = len(body.encode())
    if size <= LARGEST_REQUEST:
        return ""
    return f"the request would have {size} bytes, more than {LARGEST_REQUEST}: choose input_keys"


async def send_request(queue: MessageQueue, body: str, instance: str, command_id: str) -> None:
    """Send a request, or send it again, with the trace context that reply and capability go on with."""
    await queue.send(body, {"traceparent": traceparent(instance, command_id)})


async def capability_queue(queues: Queues, names: Names, capability_id: str) -> MessageQueue | None:
    """The capability's queue, else the fallback queue, else None."""
    own = await queues.find(names.capability_queue(capability_id))
    return own or await queues.find(names.fallback_queue)
