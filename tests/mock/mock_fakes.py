"""Requests as the orchestrator sends them, a clock that tests turn, queues in memory."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from typing import Any

from capability_mock.desk import Desk
from capability_mock.exchange import Delivery, Exchange
from capability_mock.names import Names
from capability_mock.queues import Outgoing, Received
from capability_mock.record import Record
from capability_mock.scenario import Scenario, parse_scenario
from capability_mock.script import Scripts

REPLIES = "http://sqs/1/cch-test-o-orchestrator-reply-queue"
REQUESTS = "http://sqs/1/cch-test-o-capability-import-request-queue"


def request(capability: str = "import#enrichment", **changes: Any) -> dict[str, Any]:
    """A request; `changes` by name: command_id, instance, branch, keys, context, reply_queue."""
    header = {
        "workflowInstanceId": changes.get("instance", "7d1c0a52-0000-4000-8000-000000000001"),
        "workflowDefinitionURI": "s3://bucket/import_vn_memphis_v1.yaml",
        "correlationId": "BOL-1",
        "commandId": changes.get("command_id", str(uuid.uuid4())),
        "requestKey": "Prepare#1",
        "replyToQueueUrl": changes.get("reply_queue", REPLIES),
        "source": "WorkflowOrchestrator",
        "timestamp": "2026-01-05T08:00:00Z",
    }
    if "branch" in changes:
        header["routingHint"] = {"branchKey": changes["branch"]}
    body = {
        "capability_id": capability,
        "request_output_keys": changes.get("keys", []),
        "context": changes.get("context", {"shipmentId": "SHP-1"}),
    }
    return {"header": header, "body": body}


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeQueues:
    """Notes every call; `broken` reply queues accept nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        self.hidden: list[tuple[str, int]] = []
        self.broken: set[str] = set()
        self.calls: defaultdict[str, int] = defaultdict(int)

    def discover(self) -> dict[str, str]:
        return {}

    def receive(self, url: str, *, wait: int, visibility: int) -> list[Received]:
        return []

    def send(self, url: str, messages: list[Outgoing]) -> set[int]:
        self.calls["send"] += 1
        if url in self.broken:
            return set(range(len(messages)))
        self.sent += [(url, message.body) for message in messages]
        return set()

    def delete(self, url: str, receipts: list[str]) -> None:
        self.calls["delete"] += 1
        self.deleted += receipts

    def hide(self, url: str, receipts: list[str], seconds: int) -> None:
        self.hidden += [(receipt, seconds) for receipt in receipts]


class Workbench:
    """The mock without threads and without AWS."""

    def __init__(self, scenario: str = "", **settings: Any) -> None:
        self.clock = FakeClock()
        self.queues = FakeQueues()
        self.record = Record()
        self.desk = Desk(
            scripts=Scripts(parse_scenario(scenario) if scenario else Scenario()),
            record=self.record,
            names=Names(env="test", owner="o"),
            clock=self.clock,
            wall=lambda: "2026-01-05T08:00:00.000Z",
        )
        self.exchange = Exchange(desk=self.desk, queues=self.queues, record=self.record, clock=self.clock, **settings)

    def arrive(self, *requests: dict[str, Any] | str, message_id: str = "", receipt: str = "") -> list[Delivery]:
        """Requests come in and what is ready is sent; returns what was ready."""
        messages = [
            Received(
                message_id=message_id or str(uuid.uuid4()),
                receipt=receipt or f"receipt-{index}",
                body=item if isinstance(item, str) else json.dumps(item),
            )
            for index, item in enumerate(requests)
        ]
        ready = self.exchange.receive(REQUESTS, messages)
        self.exchange.send(ready)
        return ready

    def pass_time(self, seconds: float) -> None:
        """Turns the clock and sends what has become due."""
        self.clock.now += seconds
        self.exchange.send(self.exchange.due())

    def replies(self) -> list[dict[str, Any]]:
        """What was sent, oldest first; a malformed one as `{"malformed": text}`."""
        found = []
        for _, body in self.queues.sent:
            try:
                found.append(json.loads(body))
            except ValueError:
                found.append({"malformed": body})
        return found

    def commands(self) -> list[dict[str, Any]]:
        return [reply["command"] for reply in self.replies()]

    def statuses(self) -> list[str]:
        return [command["status"] for command in self.commands()]
