"""Tells a topic what instances do: events of the chosen types, at least once, in the order of their scope.

An event of a visit goes out after its visit is durable, and before the next turn of the same scope becomes so. A
process that dies in between leaves one turn that perhaps nobody was told of; whoever goes on tells it again, under the
same event id. A topic that cannot be reached holds a turn up for :data:`PATIENCE` at most: then the event is given up
and counted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cch import metrics
from cch.errors import MessageRefusedError, ServiceUnavailableError
from cch.event_types import EventType, chosen_types
from cch.identity import Address
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome
from cch.ledger.records import Instance, RegionKey, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.pauses import MakePauses, Pauses
from cch.runtime.lifecycle_event import LifecycleEvent, about_instance, messages_of, step_of, way_of
from cch.settings import Settings

log = logging.getLogger(__name__)

#: Seconds for which a turn waits for the topic.
PATIENCE = 30.0


class Topic(Protocol):
    """Where lifecycle events go."""

    async def publish(self, body: str, attributes: Mapping[str, str], *, group: str, event_id: str) -> None:
        """Tell one event. ``group``: events of one business key, whose order a topic may keep.

        :raises ServiceUnavailableError: it does not answer.
        :raises MessageRefusedError: it will never take the event.
        """
        ...


class Publisher:
    """Publishes events of the types that the settings choose."""

    def __init__(self, topic: Topic, settings: Settings, pauses: MakePauses = Pauses) -> None:
        self._topic = topic
        self._types = chosen_types(settings.lifecycle_events)
        self._consignment_key = settings.lifecycle_consignment_key
        self._pauses = pauses

    def wants(self, kind: EventType) -> bool:
        return kind in self._types

    async def publish(self, events: Sequence[LifecycleEvent], patience: float | None = None) -> bool:
        """Tell those of the events that are wanted; False if one was given up after ``patience`` (s)."""
        loop = asyncio.get_running_loop()
        given_up, all_told = loop.time() + (PATIENCE if patience is None else patience), True
        for event in events:
            if self.wants(event.type):
                outcome = await self._one(event, given_up)
                metrics.count("cch.lifecycle", outcome="published" if outcome == "published" else "lost")
                all_told &= outcome != "lost"
        return all_told

    async def _one(self, event: LifecycleEvent, given_up: float) -> str:
        pauses = self._pauses()
        while asyncio.get_running_loop().time() < given_up:
            try:
                body, group = event.text(self._consignment_key), event.instance.correlation_id
                await self._topic.publish(body, event.attributes(), group=group, event_id=event.id)
            except MessageRefusedError as error:
                log.warning("%s", error)
                log.error("lifecycle event lost", extra=_facts(event))  # noqa: TRY400 - the reason is said above
                return "refused"
            except ServiceUnavailableError as error:
                log.warning("lifecycle event not published yet: %s", error)
                await asyncio.sleep(pauses.next())
            else:
                return "published"
        log.error("lifecycle event lost", extra=_facts(event))
        return "lost"


def _facts(event: LifecycleEvent) -> dict[str, str]:
    return {"cch_instance": event.instance.id, "cch_event": event.id}


class Announcer:
    """Tells of one scope of one instance; ``generation`` of its journal tells repeated work from repeated news."""

    def __init__(
        self, publisher: Publisher, instance: Instance, key: RegionKey, generation: int, *, branch: str = ""
    ) -> None:
        self._publisher = publisher
        self._instance = instance
        self._key = key
        self._generation = generation
        self._branch = branch
        self._under_way: asyncio.Task[bool] | None = None

    async def announce(self, outcomes: Sequence[Outcome], flow: TokenFlow) -> None:
        """Begin to tell of these visits, after what was told before."""
        self._tell([event for outcome in outcomes for event in self._visit(outcome, flow)])

    async def told(self) -> None:
        """Return when everything has been told or given up."""
        if self._under_way is not None:
            await self._under_way

    def begun(self, flow: TokenFlow) -> None:
        """The instance has begun, if nothing of it is done yet; one that goes on is not told anew."""
        if self._publisher.wants("WorkflowInstanceStarted") and self._key.scope.is_root and not flow.outcomes:
            entry = flow.graph.entry
            about, at = about_instance(self._instance), self._instance.started
            self._tell([self._event("WorkflowInstanceStarted", about, at, flow, {"step": step_of(flow.graph, entry)})])

    async def request_sent(self, record: RequestRecord, flow: TokenFlow) -> None:
        """It is in its queue, and not marked as sent yet: whoever sends it again after a crash tells this again."""
        if self._publisher.wants("RequestSent"):
            self._tell([self._request("RequestSent", record, record.created, flow, {})])
            await self.told()

    def request_closed(self, record: RequestRecord, flow: TokenFlow) -> None:
        """It was answered, or ended without an answer."""
        if not self._publisher.wants("RequestAnswered"):
            return
        outcome = {"outcome": record.state, "status": record.reply_status or None, "reason": record.reason or None}
        self._tell([self._request("RequestAnswered", record, record.closed_at, flow, outcome)])

    def wants_waits(self) -> bool:
        """Whether anybody is told that waits begin."""
        return self._publisher.wants("EventWaitStarted")

    async def wait_started(self, wait: WaitRecord, visit: int, flow: TokenFlow) -> None:
        """It is about to be there."""
        self._tell([self._wait("EventWaitStarted", wait, wait.created, flow, {"visit": visit})])
        await self.told()

    def wait_ended(self, wait: WaitRecord, visit: int, flow: TokenFlow) -> None:
        """An event ended it, its time was up, or the instance ended."""
        if self._publisher.wants("EventWaitEnded"):
            facts = {"visit": visit, "outcome": wait.state}
            self._tell([self._wait("EventWaitEnded", wait, wait.closed_at, flow, facts)])

    def map_started(self, node: str, visit: int, items: int, *, at: int, flow: TokenFlow) -> None:
        """Its body is about to run for so many items."""
        if not self._publisher.wants("MapStarted"):
            return
        about = self._step(node, visit)
        step = {**step_of(flow.graph, node), "visit": visit}
        facts = {"step": step, "details": {"items": items}}
        self._tell([self._event("MapStarted", about, at, flow, facts)])

    def _tell(self, events: Sequence[LifecycleEvent]) -> None:
        wanted = [event for event in events if self._publisher.wants(event.type)]
        if wanted:
            self._under_way = asyncio.create_task(self._after(self._under_way, wanted))

    async def _after(self, before: asyncio.Task[bool] | None, events: Sequence[LifecycleEvent]) -> bool:
        if before is not None:
            await before
        return await self._publisher.publish(events)

    def _step(self, node: str, visit: int) -> str:
        return self._key.step(self._instance.scheme, self._generation, node, visit, self._branch).id

    def _event(self, kind: EventType, about: str, at: int, flow: TokenFlow, facts: Mapping[str, Any]) -> LifecycleEvent:
        return LifecycleEvent(
            **{
                "type": kind,
                "about": about,
                "at": at,
                "instance": self._instance,
                "workflow_name": flow.graph.definition.workflow_name,
                "address": Address(self._key.scope.branch_path(self._branch)),
                **({} if "context" in facts else {"context": flow.final_context()}),
                **facts,
            }
        )

    def _visit(self, outcome: Outcome, flow: TokenFlow) -> list[LifecycleEvent]:
        graph, about = flow.graph, self._step(outcome.node, outcome.visit)
        facts = {
            "context": flow.after(outcome),
            "step": {**step_of(graph, outcome.node), **way_of(outcome)},
            "next_steps": [step_of(graph, target) for target in outcome.targets],
            "messages": messages_of(outcome, about),
        }
        events = [self._event("WorkflowStateChange", about, outcome.stamp, flow, facts)]
        in_item = not self._key.scope.is_root
        if graph.nodes[outcome.node].ends == "branch" or (in_item and (outcome.failed or not outcome.targets)):
            ended = {**facts, "details": {"failed": outcome.failed}}
            events.append(self._event("BranchEnded", about, outcome.stamp, flow, ended))
        return events

    def _request(
        self, kind: EventType, record: RequestRecord, at: int, flow: TokenFlow, more: Mapping[str, Any]
    ) -> LifecycleEvent:
        step = {**step_of(flow.graph, record.node), "visit": record.visit}
        details = {
            "commandId": record.command_id, "capabilityId": record.source, "attempt": record.attempt,
            **{key: value for key, value in more.items() if value is not None},
        }  # fmt: skip
        return self._event(kind, record.command_id, at, flow, {"step": step, "details": details})

    def _wait(
        self, kind: EventType, wait: WaitRecord, at: int, flow: TokenFlow, more: Mapping[str, Any]
    ) -> LifecycleEvent:
        step = {**step_of(flow.graph, wait.node), "visit": more["visit"]}
        details = {"waitId": wait.id, "eventKey": wait.event_key} | {k: v for k, v in more.items() if k != "visit"}
        about = wait.id if _is_uuid(wait.id) else about_instance(self._instance, wait.id)
        return self._event(kind, about, at, flow, {"step": step, "details": details})


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
