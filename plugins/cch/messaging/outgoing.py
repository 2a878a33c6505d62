"""Requests out: the body, which is the same whenever the same command id is sent, and the queue it goes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.envelope import MAX_BODY, iso, routing_hint
from cch.identity import Address
from cch.ledger.payloads import dump, sha256
from cch.messaging.queue import ILLEGAL, MessageQueue, Queues
from cch.names import Names
from cch.tracing import traceparent

#: SQS counts a message's attributes too: bytes that are kept for them.
ROOM_FOR_ATTRIBUTES = 1024
#: Bytes of the largest request body that any queue can take.
LARGEST_REQUEST = MAX_BODY - ROOM_FOR_ATTRIBUTES
#: Queues of which nobody has said otherwise take this many bytes, whatever SQS allowed when they were made.
_SURELY_TAKEN = 262_144 - ROOM_FOR_ATTRIBUTES
#: Contexts of more bytes go by reference where the node allows it. The bytes of requests that were made depend on it.
BY_REFERENCE_ABOVE = 196_608


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A context that lies in an object, instead of in the request."""

    uri: str
    text: str

    @classmethod
    def of(cls, context: Mapping[str, Any], prefix: str, command_id: str) -> Reference | None:
        """Where the context of a request goes, below ``prefix``; None if it is small enough for the message."""
        text = dump(dict(context))
        if len(text.encode()) <= BY_REFERENCE_ABOVE:
            return None
        return cls(uri=f"{prefix}requests/{command_id}.json", text=text)

    def facts(self) -> dict[str, Any]:
        """What the request says of the object."""
        return {"uri": self.uri, "sha256": sha256(self.text), "bytes": len(self.text.encode())}


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
    reference: Reference | None = None,
) -> str:
    """The JSON text of a request. ``created`` (ms) is the request's, not the sending's: a repeat is identical.

    With a ``reference`` the context is in its object, and the body names that.
    """
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
        "context": {**({} if reference else context), "workflowInstanceId": instance, "workflow_id": workflow_id},
        **({"payload_ref": reference.facts()} if reference else {}),
    }
    # Such characters occur only in texts, where JSON can write them as an escape.
    return ILLEGAL.sub(lambda found: f"\\u{ord(found[0]):04x}", dump({"header": header, "body": body}))


def request_fault(body: str, largest: int = LARGEST_REQUEST) -> str:
    """Why a queue that takes bodies of ``largest`` bytes can never take this one; "" if it can."""
    size = len(body.encode())
    if size <= largest:
        return ""
    return f"the request would have {size} bytes, more than {largest}: choose input_keys, or let payload_ref carry it"


async def queue_fault(queue: MessageQueue, body: str, most: int = MAX_BODY) -> str:
    """Why this queue can never take the body, or requests may not be so large (``most`` bytes a message); else "".

    Only about large bodies the queue is asked.
    """
    size = len(body.encode())
    told = await queue.largest() if size > _SURELY_TAKEN else None
    return request_fault(body, min(most, told or MAX_BODY) - ROOM_FOR_ATTRIBUTES)


async def send_request(queue: MessageQueue, body: str, instance: str, command_id: str) -> None:
    """Send a request, or send it again, with the trace context that reply and capability go on with."""
    await queue.send(body, {"traceparent": traceparent(instance, command_id)})


async def capability_queue(queues: Queues, names: Names, capability_id: str) -> MessageQueue | None:
    """The capability's queue, else the fallback queue, else None."""
    own = await queues.find(names.capability_queue(capability_id))
    return own or await queues.find(names.fallback_queue)
