"""The whole stand-in as an ASGI application: which service a request is for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from cch.testing import aws_calls
from cch.testing.aws_calls import AwsCalls
from cch.testing.lambda_functions import invocation, invoked_name
from cch.testing.quick_aws import queues, tables
from cch.testing.quick_aws.buckets import Buckets
from cch.testing.quick_aws.protocol import Answer, Request
from cch.testing.quick_aws.queues import Queues
from cch.testing.quick_aws.tables import Tables
from cch.testing.quick_aws.topics import Topics

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class QuickAws:
    """DynamoDB, SQS, S3, SNS, STS, and ``functions``, a folder of Lambda functions."""

    def __init__(self, functions: Path) -> None:
        self._functions = functions.resolve()
        self._calls = AwsCalls()
        self._tables, self._queues, self._buckets = Tables(), Queues(), Buckets()
        self._topics = Topics(self._queues.deliver)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        answer = await self._answer(await _request(scope, receive))
        headers = list(answer.headers)
        if scope["method"] != "HEAD" and answer.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/cch/"):
            return self._control(request)
        target = request.header("x-amz-target")
        self._calls.count(target, request.method)
        if target.startswith(tables.TARGET):
            return await self._tables.answer(target.removeprefix(tables.TARGET), request)
        if target.startswith(queues.TARGET):
            return await self._queues.answer(target.removeprefix(queues.TARGET), request)
        if (function := invoked_name(request.path)) is not None:
            return await self._invoked(function, request)
        if request.service in ("sns", "sts"):
            return self._topics.answer(request)
        if not target and request.service in ("", "s3"):
            return self._buckets.answer(request)
        message = f"the quick stand-in does not know {request.service or target}: use moto's (`cch up --aws moto`)"
        return _refusal(400, "UnknownOperationException", message)

    def _control(self, request: Request) -> Answer:
        if request.path == aws_calls.PATH:
            return Answer(self._calls.answer(request.method), headers=((b"content-type", b"application/json"),))
        message = f"the quick stand-in has no {request.path}; faults are moto's alone (`cch up --aws moto`)"
        return _refusal(404, "NotFound", message)

    async def _invoked(self, function: str, request: Request) -> Answer:
        kind = request.header("x-amz-invocation-type")
        told = await asyncio.to_thread(invocation, self._functions, function, request.body, kind)
        return Answer(told.body, told.status, [(n.lower().encode(), v.encode()) for n, v in told.headers])


def _refusal(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(body, status, ((b"content-type", b"application/x-amz-json-1.1"),))


async def _request(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    parts, more = [], True
    while more:
        event = await receive()
        parts.append(event.get("body", b""))
        more = event.get("more_body", False)

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return Request(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), b"".join(parts), gone)
