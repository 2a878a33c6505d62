"""Replies from SQS through a real triggerer to the next request: how many a second, how soon, and for how much work.

Many instances wait in one triggerer, as :mod:`bench.triggerer` makes them, each in one task (granularity workflow) or
in one task after the other. The benchmark is the capability: it takes their requests, sends the replies, and counts the
requests that follow. Every step is stored on the way: the reply's fate, the request's end, the journal's turn, the next
request.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import boto3

from bench.copies import copy_run
from bench.figures import Figures, percentile
from bench.waiters import CAPABILITY, NAMES, RUN, WORKFLOW, WaitersBench, one_waiting
from cch.stack.topology import Topology

#: Instances that wait; of these, so many are answered one after the other, the others together.
WAITING, ALONE = 1_000, 100
#: Threads that send replies, ten in a call.
_SENDERS = 4
_PATIENCE = 900.0
#: Granularity → what lies between the two requests of an instance.
BETWEEN = {"workflow": "in one task", "node": "from task to task"}
DEFINITION = f"""
workflow_id: {WORKFLOW}
workflow_name: Two requests
entry_point: First
nodes:
  First: {{type: async_request, capability_id: {CAPABILITY}, on_response: Second}}
  Second: {{type: async_request, capability_id: {CAPABILITY}, on_response: Done}}
  Done: {{type: end}}
"""


def measure_replies() -> Figures:
    """For both granularities, replies answered one by one, then all others at once."""
    rows = [row for granularity in BETWEEN for row in _rows(granularity)]
    return Figures(
        title=f"replies to {WAITING:,} instances that wait in one triggerer, PostgreSQL",
        columns=(
            "replies",
            "replies/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "triggerer's CPU ms each",
            "AWS's CPU ms each",
            "calls each",
        ),
        rows=rows,
        notes=(
            "p50, p95, p99: from the sending of a reply until the capability has received the instance's next request",
            "from task to task: no scheduler works meanwhile; the next region runs ahead of Airflow's task",
            "calls, AWS's CPU: with the capability's own, who sends replies and takes requests ten in a call",
            "a stand-in for AWS computes on one core, one call at a time; DynamoDB takes calls side by side",
        ),
    )


def _rows(granularity: str) -> list[tuple[str, tuple[float | int | str, ...]]]:
    definition = f"{DEFINITION}execution: {{granularity: {granularity}}}\n"
    with one_waiting(Topology(database="postgresql"), definition) as bench:
        # The mock took the first instance's request, and nobody answers it.
        bench.stack.processes.stop(["mock"])
        copy_run(bench.stack, RUN, WAITING, 1, "ours")
        bench.begin(WAITING + 1)
        capability = _Capability()
        requests = capability.take()
        asked = list(islice(requests, WAITING))
        alone = [_milliseconds(capability, requests, request) for request in asked[:ALONE]]
        rate, work, by_aws, calls = _together(bench, capability, requests, asked[ALONE:])
    quantiles = [percentile(alone, each) for each in (0.5, 0.95, 0.99)]
    where = BETWEEN[granularity]
    return [
        (f"{where}, one by one", (ALONE, "", *quantiles, "", "", "")),
        (f"{where}, all at once", (len(asked) - ALONE, rate, "", "", "", work, by_aws, calls)),
    ]


class _Capability:
    """The queues of a team that answers."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs")
        queue = NAMES.fallback_queue  # the capability has none of its own
        self._requests = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def take(self) -> Iterator[dict[str, Any]]:
        """The requests as they come."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            got = self._sqs.receive_message(QueueUrl=self._requests, MaxNumberOfMessages=10, WaitTimeSeconds=5)
            messages = got.get("Messages", [])
            if messages:
                gone = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
                self._sqs.delete_message_batch(QueueUrl=self._requests, Entries=gone)
            yield from (json.loads(message["Body"]) for message in messages)
        raise TimeoutError("no more requests come")

    def answer(self, requests: list[dict[str, Any]]) -> None:
        """Reply to up to ten requests."""
        replies = [{"Id": str(n), "MessageBody": json.dumps(_reply(request))} for n, request in enumerate(requests)]
        self._sqs.send_message_batch(QueueUrl=requests[0]["header"]["replyToQueueUrl"], Entries=replies)


def _reply(request: dict[str, Any]) -> dict[str, Any]:
    header = request["header"]
    command = {
        "type": "ASYNC_RESP", "id": str(uuid.uuid4()), "source": f"Capability:{CAPABILITY}", "status": "SUCCESS",
        "inReplyTo": header["commandId"], "timestamp": datetime.now(UTC).isoformat(), "payload": {"done": True},
    }  # fmt: skip
    return {"workflowInstanceId": header["workflowInstanceId"], "command": command}


def _milliseconds(capability: _Capability, requests: Iterator[dict[str, Any]], request: dict[str, Any]) -> float:
    begun = time.perf_counter()
    capability.answer([request])
    following = next(requests)
    assert following["header"]["workflowInstanceId"] == request["header"]["workflowInstanceId"]
    return (time.perf_counter() - begun) * 1000


def _together(
    bench: WaitersBench, capability: _Capability, requests: Iterator[dict[str, Any]], asked: list[dict[str, Any]]
) -> tuple[float, float, float, float]:
    """Replies/s, and for each reply: the triggerer's and AWS's ms of CPU, and calls of AWS."""
    before, worked, by_aws = bench.calls(), bench.cpu(), bench.aws_cpu()
    begun, count = time.monotonic(), len(asked)
    with ThreadPoolExecutor(_SENDERS) as senders:
        sent = [senders.submit(capability.answer, asked[n : n + 10]) for n in range(0, count, 10)]
        following = {request["header"]["workflowInstanceId"] for request in islice(requests, count)}
        assert len(following) == count
    assert all(each.exception() is None for each in sent)
    seconds, made = time.monotonic() - begun, sum(bench.calls().values()) - sum(before.values())
    return (
        count / seconds,
        (bench.cpu() - worked) / count * 1000,
        (bench.aws_cpu() - by_aws) / count * 1000,
        made / count,
    )
