"""Runs a synchronous call: a Python function in a thread, a Lambda function, an HTTP endpoint."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, assert_never

from cch.aws.session import client, explained
from cch.capabilities.endpoints import post
from cch.capabilities.failing import as_failure
from cch.capabilities.registry import CapabilityFunction, HttpBinding, LambdaBinding, PythonBinding, binding
from cch.errors import CapabilityError
from cch.interpreter.host import Call
from cch.settings import Settings


def call_body(call: Call) -> dict[str, Any]:
    """What a Lambda function or endpoint gets as its event or JSON body."""
    return {
        "capability_id": call.capability_id,
        "context": dict(call.context),
        "output_keys": list(call.outputs or ()),
        "lastReply": dict(call.last_reply) if call.last_reply is not None else None,
        "workflowInstanceId": call.instance_id,
        "correlationId": call.correlation_id,
        "requestKey": call.request_key,
        "attempt": call.attempt,
    }


async def run_call(call: Call, settings: Settings) -> Any:
    """The outputs of the call, as the code returned them.

    :raises CapabilityError: nothing bound, or the code raised.
    """
    bound = binding(call.capability_id, settings)
    with as_failure(call.capability_id):
        match bound:
            case PythonBinding(function):
                if inspect.iscoroutinefunction(function):
                    return await function(call)
                return await asyncio.to_thread(_in_thread, function, call)
            case LambdaBinding(function):
                name = function.format(prefix=settings.names.prefix)
                return await asyncio.to_thread(_invoke_lambda, name, call, settings)
            case HttpBinding(url):
                return await post(url, call_body(call), call)
            case _:
                assert_never(bound)


def _in_thread(function: CapabilityFunction, call: Call) -> Any:
    with as_failure(call.capability_id):
        return function(call)


def _invoke_lambda(name: str, call: Call, settings: Settings) -> Any:
    with explained(f"Lambda function {name}"):
        answer = client("lambda", settings).invoke(
            FunctionName=name, InvocationType="RequestResponse", Payload=json.dumps(call_body(call)).encode()
        )
        content: bytes = answer["Payload"].read()
    text = content.decode("utf-8", "replace")
    if answer.get("FunctionError"):
        raise CapabilityError(f"Lambda function {name} failed: {text[:500]}")
    try:
        return json.loads(content.decode("utf-8") or "null")
    except ValueError:
        raise CapabilityError(f"Lambda function {name} returned no JSON: {text[:200]}") from None
