"""Tells a topic what instances do: one event for each visit of a node, at least once, in the order of its scope.

An event goes out after its visit is durable, and before the next turn of the same scope becomes so. A process that
dies in between leaves one turn that perhaps nobody was told of; whoever goes on tells it again, under the same event
id. A topic that cannot be reached holds a turn up for :data:`PATIENCE` at most: then the event is given up and counted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cch import metrics
from cch.envelope import iso, routing_hint
from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.graph.model import Graph
from cch.identity import Address
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome
from cch.ledger.payloads import dump
from cch.ledger.records import Instance, RegionKey
from cch.pauses import MakePauses, Pauses

log = logging.getLogger(__name__)

#: Seconds for which a turn waits for the topic.
PATIENCE = 30.0
#: SNS takes 256 KiB (AWS quota, less than SQS) and counts attributes too, for which 1 KiB is kept.
_LARGEST = 262_144 - 1024


class Topic(Protocol):
    """Where lifecycle events go."""

    async def publish(self, body: str, attributes: Mapping[str, str], *, group: str, event_id: str) -> None:
        """Tell one event. ``group``: events of one business key, whose order a topic may keep.

        :raises ServiceUnavailableError: it does not answer.
        :raises MessageRefusedError: it will never take the event.
        """
        ...


class Announcer:
    """Tells of one scope of one instance; ``generation`` of its journal tells repeated work from repeated news."""

    def __init__(
        self,
        topic: Topic,
        instance: Instance,
        key: RegionKey,
        generation: int,
        branch: str,
        *,
        pauses: MakePauses = Pauses,
    ) -> None:
        self._topic = topic
        self._instance = instance
        self._key = key
        self._generation = generation
        self._branch = branch
        self._pauses = pauses
        self._under_way: asyncio.Task[None] | None = None

    async def announce(self, outcomes: Sequence[Outcome], flow: TokenFlow) -> None:
        """Begin to tell of these visits, after the ones before have been told or given up."""
        await self.told()
        events = [self._event(outcome, flow) for outcome in outcomes]
        if events:
            self._under_way = asyncio.create_task(self._publish(events))

    async def told(self) -> None:
        """Return when everything has been told or given up."""
        if self._under_way is not None:
            await self._under_way

    async def _publish(self, events: Sequence[dict[str, Any]]) -> None:
        given_up = asyncio.get_running_loop().time() + PATIENCE
        for event in events:
            outcome, pauses = "lost", self._pauses()
            while outcome == "lost" and asyncio.get_running_loop().time() < given_up:
                try:
                    group = event["correlationId"]
                    await self._topic.publish(_text(event), _attributes(event), group=group, event_id=event["eventId"])
                    outcome = "published"
                except MessageRefusedError as error:
                    log.warning("%s", error)
                    break
                except ServiceUnavailableError as error:
                    log.warning("lifecycle event not published yet: %s", error)
                    await asyncio.sleep(pauses.next())
            metrics.count("cch.lifecycle", outcome=outcome)
            if outcome == "lost":
                log.error("lifecycle event lost", extra=self._facts(event))

    def _facts(self, event: Mapping[str, Any]) -> dict[str, str]:
        return {"cch_instance": self._instance.id, "cch_event": event["eventId"]}

    def _event(self, outcome: Outcome, flow: TokenFlow) -> dict[str, Any]:
        instance, graph = self._instance, flow.graph
        visit = self._key.step(instance.scheme, self._generation, outcome.node, outcome.visit, self._branch)
        event: dict[str, Any] = {
            "eventId": str(uuid.uuid5(uuid.UUID(visit.id), "WorkflowStateChange")),
            "eventType": "WorkflowStateChange",
            "eventTimestamp": iso(outcome.stamp),
            "source": "WorkflowOrchestrator",
            "correlationId": instance.correlation_id,
            "businessContext": {k: v for k, v in flow.after(outcome).items() if not k.startswith("_")},
            "workflowContext": {
                "workflowInstanceId": instance.id,
                "workflowId": instance.workflow_id,
                "workflowName": graph.definition.workflow_name,
                "workflowDefinitionURI": instance.definition_uri,
            },
            "transition": {
                "currentStep": {**_step(graph, outcome.node), "visit": outcome.visit, **_way(outcome)},
                "nextSteps": [_step(graph, target) for target in outcome.targets],
            },
            "messages": list(outcome.errors),
        }
        event |= routing_hint(Address(self._key.scope.branch_path(self._branch)))
        return event


def _step(graph: Graph, name: str) -> dict[str, str]:
    node = graph.nodes[name]
    return {"name": name, "title": node.title or name, "type": node.type}


def _way(outcome: Outcome) -> dict[str, Any]:
    return {"failed": True} if outcome.failed else {"edge": outcome.label}


def _text(event: Mapping[str, Any]) -> str:
    """The event as JSON; without its context if SNS would not take it."""
    text = dump(event)
    if len(text.encode()) <= _LARGEST:
        return text
    return dump({**event, "businessContext": {}, "businessContextOmitted": True})


def _attributes(event: Mapping[str, Any]) -> dict[str, str]:
    """What subscribers may filter by."""
    step = event["transition"]["currentStep"]
    return {
        "eventType": event["eventType"],
        "workflowId": event["workflowContext"]["workflowId"],
        "step": step["name"],
        "stepType": step["type"],
    }
