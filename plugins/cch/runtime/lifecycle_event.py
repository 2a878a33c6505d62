"""What a lifecycle event says: pure functions from what is stored to the JSON object that is published."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cch.definition.paths import read_path
from cch.definition.rules import NEWEST
from cch.envelope import iso, routing_hint
from cch.event_types import EventType
from cch.graph.model import Graph
from cch.identity import NAMESPACE, THE_INSTANCE, Address
from cch.interpreter.context import as_text
from cch.interpreter.outcome import Outcome
from cch.ledger.payloads import dump
from cch.ledger.records import Instance
from cch.names import Names
from cch.values import MISSING

#: SNS takes 256 KiB (AWS quota, less than SQS) and counts attributes too, for which 1 KiB is kept.
_LARGEST = 262_144 - 1024
_LEVELS = ("ERROR", "WARNING", "INFO")
#: Messages of one reply that an event repeats.
_MOST_MESSAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """One event. ``about`` is the UUID of what it tells of, so that a repeat has the same id; ``at`` is in ms."""

    type: EventType
    about: str
    at: int
    instance: Instance
    workflow_name: str
    context: Mapping[str, Any]
    step: Mapping[str, Any]
    next_steps: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    address: Address = THE_INSTANCE

    @property
    def id(self) -> str:
        return str(uuid.uuid5(uuid.UUID(self.about), self.type))

    def text(self, consignment_key: str) -> str:
        """The event as JSON; without its context if SNS would not take it.

        ``consignment_key``: the path of the context whose value is told as ``consignmentId``; "" for none.
        """
        body = self._body(consignment_key)
        text = dump(body)
        if len(text.encode()) <= _LARGEST:
            return text
        text = dump({**body, "businessContext": {}, "businessContextOmitted": True})
        return text if len(text.encode()) <= _LARGEST else dump({**body, "businessContext": {}, "messages": []})

    def _body(self, consignment_key: str) -> dict[str, Any]:
        public = {key: value for key, value in self.context.items() if not key.startswith("_")}
        return {
            "eventId": self.id,
            "eventType": self.type,
            "eventTimestamp": iso(self.at),
            "source": "WorkflowOrchestrator",
            "correlationId": self.instance.correlation_id,
            "businessContext": public,
            "workflowContext": {
                "workflowInstanceId": self.instance.id,
                "workflowId": self.instance.workflow_id,
                "workflowName": self.workflow_name,
                "workflowDefinitionURI": self.instance.definition_uri,
                **({"consignmentId": _consignment(public, consignment_key)} if consignment_key else {}),
            },
            "transition": {"currentStep": dict(self.step), "nextSteps": [dict(step) for step in self.next_steps]},
            "messages": [dict(message) for message in self.messages],
            **({"details": dict(self.details)} if self.details else {}),
            **routing_hint(self.address),
        }

    def attributes(self) -> dict[str, str]:
        """What subscribers may filter by."""
        return {
            "eventType": self.type,
            "workflowId": self.instance.workflow_id,
            "step": self.step["name"],
            "stepType": self.step["type"],
        }


def probe(names: Names) -> str:
    """An event that tells nothing but that somebody has tried the topic."""
    nobody = {"name": "", "title": "", "type": ""}
    return dump(
        {
            "eventId": str(uuid.uuid4()),
            "eventType": "Probe",
            "eventTimestamp": iso(time.time_ns() // 1_000_000),
            "source": "WorkflowOrchestrator",
            "correlationId": f"cch doctor of {names.env}-{names.owner}",
            "businessContext": {},
            "workflowContext": {
                "workflowInstanceId": "", "workflowId": "", "workflowName": "", "workflowDefinitionURI": "",
            },
            "transition": {"currentStep": nobody, "nextSteps": []},
            "messages": [],
        }
    )  # fmt: skip


def about_instance(instance: Instance, *more: object) -> str:
    """Names an instance, or one end of it, in the ids of events."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(("lifecycle", instance.id, *map(str, more)))))


def step_of(graph: Graph, name: str) -> dict[str, Any]:
    """A node as events name it."""
    node = graph.nodes[name]
    return {"name": name, "title": node.title or name, "type": node.type}


def way_of(outcome: Outcome) -> dict[str, Any]:
    """How a visit ended."""
    return {"visit": outcome.visit, **({"failed": True} if outcome.failed else {"edge": outcome.label})}


def messages_of(outcome: Outcome, about: str) -> list[dict[str, Any]]:
    """What a visit says to people: errors that it logged, and the messages that a capability or event brought."""
    logged = [
        {"level": "ERROR", "code": error.get("code"), "summary": error.get("message"), "timestamp": iso(outcome.stamp),
         "context": {"node": outcome.node}}
        for error in outcome.errors
    ]  # fmt: skip
    brought = outcome.patch.get("messages") if outcome.cause.get("kind") in ("reply", "event") else None
    listed = [each for each in brought if isinstance(each, Mapping)] if isinstance(brought, list) else []
    failed = outcome.patch.get("status") == "ERROR"
    found: list[Mapping[str, Any]] = [*logged, *listed[:_MOST_MESSAGES]]
    return [_message(each, f"{about}\n{number}", outcome, failed=failed) for number, each in enumerate(found)]


def _message(raw: Mapping[str, Any], seed: str, outcome: Outcome, *, failed: bool) -> dict[str, Any]:
    """One message in the form that consumers know, whatever of it was given."""
    level = str(raw.get("level") or "").upper()
    context = raw.get("context")
    given = raw.get("context") if isinstance(context, Mapping) else {} if context is None else {"value": context}
    said = next((raw[key] for key in ("summary", "message", "text") if raw.get(key) is not None), "")
    return {
        "messageId": _uuid(raw.get("messageId")) or str(uuid.uuid5(NAMESPACE, seed)),
        "timestamp": raw.get("timestamp") if isinstance(raw.get("timestamp"), str) else iso(outcome.stamp),
        "level": level if level in _LEVELS else "WARNING" if level == "WARN" else "ERROR" if failed else "INFO",
        "code": "" if raw.get("code") is None else as_text(raw["code"]),
        "summary": as_text(said),
        "context": given,
    }


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        return ""


def _consignment(context: Mapping[str, Any], path: str) -> str | None:
    value = read_path(path, NEWEST).find(context)
    return None if value is MISSING or value is None else as_text(value)
