"""Runs a synchronous call: a Python function in a thread, a Lambda function, an HTTP endpoint."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from typing import Any, assert_never

from cch.aws.session import client, explained
from cch.capabilities.registry import HttpBinding, LambdaBinding, PythonBinding, binding
from cch.errors import CapabilityError, CchError
from cch.interpreter.host import Call
from cch.settings import Settings

#: Seconds an HTTP endpoint may take when the node has no timeout of its own.
_HTTP_SECONDS = 300.0


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


def _mapping(value: Any, capability_id: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise CapabilityError(f"{capability_id} returned {type(value).__name__}, not a mapping of outputs")
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise CapabilityError(f"{capability_id} returned something that is not JSON: {error}") from None


async def run_call(call: Call, settings: Settings) -> Mapping[str, Any]:
    """The outputs of the call, as JSON values.

    :raises CapabilityError: nothing bound, the code raised, or what it returned is no JSON object.
    """
    bound = binding(call.capability_id, settings)
    try:
        match bound:
            case PythonBinding(function):
                if inspect.iscoroutinefunction(function):
                    result = await function(call)
                else:
                    result = await asyncio.to_thread(function, call)
            case LambdaBinding(function):
                name = function.format(prefix=settings.names.prefix)
                result = await asyncio.to_thread(_invoke_lambda, name, call, settings)
            case HttpBinding(url):
                result = await _post(url, call)
            case _:
                assert_never(bound)
    except CchError as error:
        if isinstance(error, CapabilityError):
            raise
        raise CapabilityError(str(error)) from error
    except Exception as error:
        raise CapabilityError(f"{call.capability_id} failed: {type(error).__name__}: {error}") from error
    return _mapping(result, call.capability_id)


def _invoke_lambda(name: str, call: Call, settings: Settings) -> Any:
    with explained(f"Lambda function {name}"):
        answer = client("lambda", settings).invoke(
            FunctionName=name, InvocationType="RequestResponse", Payload=json.dumps(call_body(call)).encode()
        )
        text = answer["Payload"].read().decode("utf-8", "replace")
    if answer.get("FunctionError"):
        raise CapabilityError(f"Lambda function {name} failed: {text[:500]}")
    try:
        return json.loads(text or "null")
    except ValueError:
        raise CapabilityError(f"Lambda function {name} returned no JSON: {text[:200]}") from None


async def _post(url: str, call: Call) -> Any:
    import httpx  # noqa: PLC0415 - only where an endpoint is bound

    headers = {"Idempotency-Key": call.idempotency_key or call.request_key}
    try:
        async with httpx.AsyncClient(timeout=_HTTP_SECONDS) as http:
            answer = await http.post(url, json=call_body(call), headers=headers)
    except httpx.HTTPError as error:
        raise CapabilityError(f"{url} did not answer: {type(error).__name__}: {error}") from None
    if not answer.is_success:
        raise CapabilityError(f"{url} answered {answer.status_code}: {answer.text[:300]}")
    try:
        return answer.json()
    except ValueError:
        raise CapabilityError(f"{url} answered no JSON: {answer.text[:200]}") from None
