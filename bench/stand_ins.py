"""The stand-ins for AWS beside each other: what a call of each kind costs them."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import psutil

from bench.figures import Figures
from cch.stack.layout import aws_environment
from cch.stack.local import LocalStack
from cch.stack.topology import LOCAL, STAND_INS

#: Rounds in which each has its turn, and calls of each kind in one.
ROUNDS, CALLS = 5, 200
#: Items of the table, and of a partition, before the first round.
_ITEMS, _PARTITION = 2_000, 20
_NAMES = {"#PK": "PK"}


@dataclass
class _StandIn:
    """``spent``: kind of call → seconds of CPU, and of the clock."""

    process: psutil.Process
    kinds: Mapping[str, Callable[[int], Any]]
    spent: dict[str, tuple[float, float]] = field(default_factory=dict)

    def round(self, number: int) -> None:
        for kind, call in self.kinds.items():
            before, begun = self._cpu(), time.monotonic()
            for each in range(number * CALLS, (number + 1) * CALLS):
                call(each)
            cpu, clock = self.spent.get(kind, (0.0, 0.0))
            self.spent[kind] = cpu + self._cpu() - before, clock + time.monotonic() - begun

    def _cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def _started(name: str) -> Iterator[_StandIn]:
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        os.environ["CCH_HOME"] = home
        stack = LocalStack.open(LOCAL.on(name))
        try:
            stack.start(lambda _line: None, ("aws",))
            os.environ.update(aws_environment(stack.layout))
            kinds = _kinds()
            os.environ.clear()
            os.environ.update(before)
            pid = stack.processes.pid("aws")
            assert pid, f"{name} has ended"
            yield _StandIn(psutil.Process(pid), kinds)
        finally:
            stack.stop()
            os.environ.clear()
            os.environ.update(before)


def _kinds() -> dict[str, Callable[[int], Any]]:
    """What is called, as the program calls it; the number makes each call another one."""
    dynamodb, sqs, s3 = boto3.client("dynamodb"), boto3.client("sqs"), boto3.client("s3")
    table, bucket = "cch-dev-local-workflow-state-table", "cch-dev-local-eventdata-bucket"
    url = sqs.get_queue_url(QueueName="cch-dev-local-orchestrator-reply-queue")["QueueUrl"]
    payload = json.dumps({"context": {f"key{number}": "x" * 40 for number in range(12)}})
    for number in range(_ITEMS):
        dynamodb.put_item(TableName=table, Item=_item(number, payload))

    def put(number: int) -> None:
        dynamodb.put_item(
            TableName=table, Item=_item(_ITEMS + number, payload), ConditionExpression="(attribute_not_exists(#PK))",
            ExpressionAttributeNames=_NAMES, ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )  # fmt: skip

    def update(number: int) -> None:
        dynamodb.update_item(
            TableName=table, Key=_key(number % _ITEMS), UpdateExpression="SET #s = :v0, #c = :v1 REMOVE #o",
            ConditionExpression="(#s = :v2) OR (#s = :v0)", ReturnValues="ALL_NEW",
            ExpressionAttributeNames={"#s": "state", "#c": "changed", "#o": "open_instance"},
            ExpressionAttributeValues={":v0": {"S": "answered"}, ":v1": {"N": str(number)}, ":v2": {"S": "open"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )  # fmt: skip

    def query(number: int) -> None:
        dynamodb.query(
            TableName=table, KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)", ConsistentRead=True,
            ExpressionAttributeValues={":pk": _key(number % _ITEMS)["PK"], ":sk": {"S": "0"}},
        )  # fmt: skip

    return {
        "PutItem": put,
        "UpdateItem": update,
        f"Query of {_PARTITION} items": query,
        "GetItem": lambda n: dynamodb.get_item(TableName=table, Key=_key(n % _ITEMS), ConsistentRead=True),
        "SendMessage": lambda _: sqs.send_message(QueueUrl=url, MessageBody=payload),
        "ReceiveMessage and DeleteMessageBatch": lambda _: _receive(sqs, url),
        "PutObject": lambda n: s3.put_object(Bucket=bucket, Key=f"payloads/{n % 100}", Body=payload.encode()),
        "GetObject": lambda n: s3.get_object(Bucket=bucket, Key=f"payloads/{n % 100}")["Body"].read(),
    }


def _receive(sqs: Any, url: str) -> None:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    entries = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(found)]
    sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def _key(number: int) -> dict[str, Any]:
    return {"PK": {"S": f"INST#{number // _PARTITION}"}, "SK": {"S": f"{number % _PARTITION:04d}"}}


def _item(number: int, payload: str) -> dict[str, Any]:
    started = {"N": str(1_700_000_000_000 + number)}
    return {
        **_key(number), "payload": {"S": payload}, "state": {"S": "open"}, "status": {"S": "running"},
        "started": started, "open_instance": {"S": f"INST#{number // _PARTITION}"}, "asked": started,
    }  # fmt: skip


def measure_stand_ins() -> Figures:
    """CPU of the stand-in's process for a call, in rounds that alternate."""
    with ExitStack() as both:
        running = {name: both.enter_context(_started(name)) for name in STAND_INS}
        for number in range(ROUNDS):
            for stand_in in running.values():
                stand_in.round(number)
    count = ROUNDS * CALLS
    moto, quick = (running[name].spent for name in ("moto", "quick"))
    rows = [
        (kind, (*(each[kind][0] * 1000 / count for each in (moto, quick)), moto[kind][0] / max(quick[kind][0], 0.001)))
        for kind in moto
    ]
    return Figures(
        title=f"ms of CPU of the stand-in for AWS for one call, {count} of each kind by one client",
        columns=("moto", "quick", "moto / quick"),
        rows=rows,
        notes=(
            "; ".join(
                f"{name}: {len(each) * count / sum(clock for _, clock in each.values()):,.0f} calls/s"
                for name, each in (("moto", moto), ("quick", quick))
            )
            + " as one client sees it, which computes more than the quick one",
            f"the table has {_ITEMS:,} items at the start, and one more with each PutItem",
        ),
    )
