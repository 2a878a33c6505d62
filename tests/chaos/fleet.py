"""Many instances of three definitions: starting them, and proving that each has happened once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from cch.identity import ROOT
from cch.ledger.audit import audit
from cch.ledger.ledger import Ledger
from cch.ledger.records import ENDED, JournalEntry, RegionKey, RequestRecord
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.settings import load_settings
from tests.chaos.world import World

WORKFLOWS = ("chaos_sequence_v1", "chaos_loop_v1", "chaos_map_v1")
#: Calls of AWS that somebody makes only if there is a message.
_MESSAGES = ("AmazonSQS.SendMessage", "AmazonSQS.DeleteMessage")
#: Instances that are looked at together.
_AT_ONCE = 20
#: Instances that may be looked at in a second: each costs a call of AWS's stand-in, which has other things to do.
_LOOKS = 100


@dataclass(kw_only=True)
class Fleet:
    """Instances by id, with their workflow; an equal number of each."""

    world: World
    workflows: Sequence[str] = WORKFLOWS
    instances: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    #: Calls of DynamoDB that are our own.
    looks: int = 0
    #: What lay in the queues before.
    _left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = self.left_in_queues()

    def start(self, count: int) -> None:
        """Send the commands."""
        queue = self.queue("orchestrator-command-queue")
        for _ in range(count):
            instance = str(uuid.UUID(int=self.world.random.getrandbits(128), version=4))
            workflow = self.workflows[len(self.instances) % len(self.workflows)]
            self.instances[instance] = workflow
            self.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(_start(workflow, instance)))

    @property
    def sqs(self) -> Any:
        return boto3.client("sqs")

    def queue(self, name: str) -> str:
        prefix = "cch-{CCH_ENV}-{CCH_OWNER}".format(**os.environ)
        return str(self.sqs.get_queue_url(QueueName=f"{prefix}-{name}")["QueueUrl"])

    async def look(self, platform: Platform) -> Counter[str]:
        """How many instances have which status."""
        open_ones = [instance for instance in self.instances if instance not in self.ended]
        self.looks += len(open_ones)
        for instance, status in await _each(open_ones, platform.ledger.instances.status):
            if status in ENDED:
                self.ended[instance] = str(status)
        return Counter(self.ended.values())

    def signs(self) -> dict[str, object]:
        """What moves while instances get on; heartbeats and polls do not count."""
        effects, calls = self.world.effects, {}
        with contextlib.suppress(OSError):
            calls = self.world.aws_calls()
        return {
            "instances that have ended": len(self.ended),
            "bytes of effects": effects.stat().st_size if effects.exists() else 0,
            "messages sent or deleted": sum(n for name, n in calls.items() if name.startswith(_MESSAGES)),
            "processes": sorted(filter(None, map(self.world.stack.processes.pid, self.world.stack.topology.services))),
        }

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return 0.5 + (len(self.instances) - len(self.ended)) / _LOOKS

    # --- what must be true in the end ---

    async def problems(self, platform: Platform) -> list[str]:
        """Everything that is not as it should be."""
        taken = _effects_by_instance(self.world.effects)

        async def one(instance: str) -> list[str]:
            found = await instance_problems(platform.ledger, instance, taken.get(instance, []))
            return [f"{self.instances[instance]} {instance}: {problem}" for problem in found]

        found = [problem for _, problems in await _each(self.instances, one) for problem in problems]
        result = await audit(platform.ledger, Inspector(platform).plan)
        found += [f"audit: {finding.where}: {finding.what}" for finding in result.findings]
        return found

    def left_in_queues(self) -> dict[str, int]:
        """Messages by queue, of those that have come since the fleet was made; none may stay."""
        found: dict[str, int] = {}
        for url in self.sqs.list_queues().get("QueueUrls", ()):
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            values = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            name = url.rsplit("/", 1)[1]
            if (number := sum(map(int, values.values())) - self._left.get(name, 0)) > 0:
                found[name] = number
        return found


def _start(workflow: str, instance: str) -> dict[str, Any]:
    bills = [{"number": f"{instance[:4]}-{number}"} for number in range(2)]
    return {
        "workflowInstanceId": instance,
        "correlationId": f"CHAOS-{instance[:8]}",
        "workflowDefinitionURI": f"s3://{load_settings().names.definitions_bucket}/{workflow}.yaml",
        "command": {
            "type": "START_WORKFLOW",
            "id": instance,
            "source": "chaos",
            "timestamp": "2026-01-05T08:00:00Z",
            "payload": {"shipmentId": instance, "bills": bills},
        },
    }


async def _each(instances: Iterable[str], look: Any) -> list[tuple[str, Any]]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(instance: str) -> tuple[str, Any]:
        async with gate:
            return instance, await look(instance)

    return await asyncio.gather(*map(one, instances))


def _effects_by_instance(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        effect = json.loads(line)
        found.setdefault(effect["instance"], []).append(effect["commandId"])
    return found


async def instance_problems(ledger: Ledger, instance: str, effects: Sequence[str]) -> list[str]:
    """What is wrong with one instance. ``effects``: command ids, read before."""
    view = await ledger.instances.view(instance)
    if view is None:
        return ["it is not in the ledger"]
    if view.instance.status not in ENDED:  # its requests have changed since the effects were read
        return ["it has not ended"]
    found = [] if view.instance.status == "completed" else [f"{view.instance.status}: {view.instance.reason}"]
    keys = [RegionKey(instance=instance, region=exit_.region, scope=ROOT) for exit_ in view.exits]
    keys += await ledger.maps.scopes(instance)
    for key in keys:
        found += [
            f"region {key.region}{key.scope.text}: {problem}" for problem in twice(await ledger.journal.read(key))
        ]
    nodes = Counter(outcome.id for exit_ in view.exits for outcome in exit_.outcomes)
    found += [f"{visit} is in the exits of {number} regions" for visit, number in nodes.items() if number > 1]
    return found + effect_problems(await ledger.requests_of(view.instance), effects)


def twice(journal: Sequence[JournalEntry]) -> list[str]:
    """Outcomes that a journal has more than once, of those that count."""
    found, counted = [], set[str]()
    for entry in journal:
        if entry.mode == "fresh":
            counted.clear()
        counted.difference_update(entry.dropped)
        for outcome in entry.outcomes:
            if outcome.id in counted:
                found.append(f"outcome {outcome.id} was committed twice")
            counted.add(outcome.id)
    return found


def effect_problems(requests: Sequence[RequestRecord], effects: Sequence[str]) -> list[str]:
    """What capabilities did beside what the ledger asked for: each step that was answered happened once."""
    known = {request.command_id: request for request in requests}
    found = [f"effect {command_id} was never asked for" for command_id in effects if command_id not in known]
    found += [f"effect {command_id} happened {n} times" for command_id, n in Counter(effects).items() if n > 1]
    answered = [request for request in requests if request.state == "answered"]
    found += [
        f"request {r.command_id} of {r.node} was answered without an effect"
        for r in answered
        if r.command_id not in effects
    ]
    # A person who retries a node, and a cleared task that had succeeded, begin a new generation.
    agreed = Counter((r.scope, r.generation, r.node, r.visit) for r in answered if r.reply_status != "ERROR")
    found += [
        f"{node}#{visit}{scope.text} was answered {n} times" for (scope, _, node, visit), n in agreed.items() if n > 1
    ]
    return found
