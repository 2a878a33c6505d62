"""The router on in-memory queue and ledger: replies/s and wake latency, whatever the number of waiters."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

from bench.figures import Figures, percentile
from cch.exchange import Exchange, References, Waiters
from cch.ledger.ledger import Ledger
from cch.ledger.records import RequestRecord
from cch.messaging.router import Router
from cch.messaging.starts import Admitted
from cch.names import Names
from cch.runtime.platform import now_ms
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore

#: Replies in one measurement.
REPLIES = 5_000
#: Replies sent one after the other to measure the time from sending to waking.
SINGLE = 300
IDLE_SECONDS = 45.0


class _NoStarts:
    async def admit(self, workflow_id: str, context: object, definition_uri: str = "") -> Admitted:
        raise AssertionError


def _request(command_id: str, owner: str) -> RequestRecord:
    return RequestRecord(
        command_id=command_id, instance="i", region="r", node="n", visit=1, attempt=1, source="import#x", branch="",
        state="open", created=1, deadline=0, sent_at=1, task_instance="t", body_hash="", owners=frozenset({owner}),
    )  # fmt: skip


def _reply(command_id: str) -> str:
    command = {
        "type": "ASYNC_RESP", "id": str(uuid.uuid4()), "source": "Capability:import#x", "inReplyTo": command_id,
        "timestamp": "2026-01-05T08:00:00Z", "status": "SUCCESS", "payload": {"uri": "s3://bucket/key", "n": 1},
    }  # fmt: skip
    return json.dumps({"workflowInstanceId": "i", "command": command})


def _router(ledger: Ledger, queues: MemoryQueues) -> tuple[Router, Waiters]:
    exchange = Exchange(ledger, now_ms, References(lambda uri: uri, Names()))
    router = Router(ledger=ledger, exchange=exchange, queues=queues, names=Names(), admission=_NoStarts(), clock=now_ms)
    return router, exchange.waiters


async def _measure(waiters: int) -> tuple[float, float, float]:
    """(replies/s, median and 99th percentile of the wake latency in ms)."""
    names = Names()
    queues = MemoryQueues(names.reply_queue)
    ledger = Ledger(MemoryStore(), MemoryBlobs())
    router, waiters_of = _router(ledger, queues)
    queue = queues.make(names.reply_queue)
    idle = [waiters_of.registered(str(uuid.uuid4())) for _ in range(waiters)]
    for waiter in idle:
        waiter.__enter__()
    commands = [str(uuid.uuid4()) for _ in range(REPLIES + SINGLE)]
    for command in commands:
        await ledger.requests.open(_request(command, router.id), router.id)
    for command in commands[:REPLIES]:
        await queue.send(_reply(command))
    begun = time.perf_counter()
    router.start()
    with waiters_of.registered(commands[REPLIES - 1]) as last:
        await last.wait()
    while router.intake.fates["matched"] < REPLIES:
        await asyncio.sleep(0.001)
    rate = REPLIES / (time.perf_counter() - begun)
    latencies = []
    for command in commands[REPLIES:]:
        with waiters_of.registered(command) as woken:
            sent = time.perf_counter()
            await queue.send(_reply(command))
            await woken.wait()
            latencies.append((time.perf_counter() - sent) * 1000)
    await router.stop()
    return rate, percentile(latencies, 0.5), percentile(latencies, 0.99)


async def _idle_calls() -> float:
    """Receive calls a minute when nothing comes."""
    names = Names()
    queues = MemoryQueues(names.reply_queue, names.command_queue)
    router, _ = _router(Ledger(MemoryStore(), MemoryBlobs()), queues)
    router.start()
    router.attach_doorbell(lambda: None)
    await asyncio.sleep(IDLE_SECONDS)
    calls = queues.make(names.reply_queue).calls + queues.make(names.command_queue).calls
    # No reason to wait for the polls: the queues end with this loop.
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    return calls * 60 / IDLE_SECONDS


def measure_router() -> Figures:
    """Replies/s and latency with 1, 1,000 and 10,000 waiters, and calls when idle."""
    rows = [(f"{waiters:,} waiters", asyncio.run(_measure(waiters))) for waiters in (1, 1_000, 10_000)]
    calls = asyncio.run(_idle_calls())
    return Figures(
        title="replies through the router, in-memory queue and ledger",
        columns=("replies/s", "wake p50 ms", "wake p99 ms"),
        rows=rows,
        notes=(f"SQS receive calls a minute when idle, reply and command queue together: {calls:.0f}",),
    )
