"""Contracts as an AsyncAPI 3 document, from the side of the team that serves the capabilities."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from cch import __version__
from cch.definition.contract import Contract

#: Statuses of replies, in the order in which they are listed.
_STATUSES = ("SUCCESS", "ERROR")


@cache
def _message_schema(name: str) -> dict[str, Any]:
    text = resources.files("cch").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return {key: value for key, value in found.items() if key not in ("$schema", "$id")}


def asyncapi(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """The document. Queues have no address in it: that is an environment's, and each request names its reply queue."""
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Capabilities",
            "version": "1.0.0",
            "description": "Requests that capabilities take, and replies that they give. Made by `cch contract export`"
            f" {__version__}.",
        },
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {
            "messages": {},
            "schemas": {"request": _message_schema("request"), "reply": _message_schema("command")},
        },
    }
    for name, contract in zip(_names(contracts), contracts.values(), strict=True):
        _add(document, name, contract)
    return document


def _names(contracts: Mapping[str, Contract]) -> list[str]:
    """A name for each capability that keys of AsyncAPI may be."""
    found: list[str] = []
    for capability in contracts:
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", capability)
        found.append(plain if plain not in found else f"{plain}-{len(found)}")
    return found


def _add(document: dict[str, Any], name: str, contract: Contract) -> None:
    components = document["components"]
    requests, replies = f"{name}.requests", f"{name}.replies"
    request = f"{name}.request"
    answers = {status: f"{name}.{status}" for status in _STATUSES}
    components["schemas"] |= _schemas(name, contract)
    components["messages"][request] = _request(name, contract)
    components["messages"] |= {key: _reply(name, contract, status) for status, key in answers.items()}
    document["channels"][requests] = _channel(f"Requests to {contract.id}", [request])
    document["channels"][replies] = _channel(f"Replies of {contract.id}", list(answers.values()))
    document["operations"][name] = {
        "action": "receive",
        "title": contract.title,
        "description": _about(contract),
        "channel": {"$ref": f"#/channels/{requests}"},
        "messages": [{"$ref": f"#/channels/{requests}/messages/{request}"}],
        "reply": {
            "address": {
                "location": "$message.payload#/header/replyToQueueUrl",
                "description": "Each request names the queue of its reply.",
            },
            "channel": {"$ref": f"#/channels/{replies}"},
            "messages": [{"$ref": f"#/channels/{replies}/messages/{key}"} for key in answers.values()],
        },
        **({"tags": [{"name": contract.owner}]} if contract.owner else {}),
        "x-capability": contract.id,
        "x-enforce": contract.enforce,
    }


def _channel(title: str, messages: list[str]) -> dict[str, Any]:
    found = {key: {"$ref": f"#/components/messages/{key}"} for key in messages}
    return {"address": None, "title": title, "messages": found}


def _about(contract: Contract) -> str:
    lines = [contract.description] if contract.description else []
    for said, seconds in (("usually", contract.usual), ("at the latest", contract.longest)):
        lines += [f"It answers {said} after {seconds:g} s."] if seconds is not None else []
    known = {"visit": "the request key", "attempt": "the command id", "none": "nothing: it repeats the work"}
    lines += [f"It knows a repetition by {known[contract.idempotency]}."] if contract.idempotency else []
    lines += [f"- `{code}`: {meaning}" for code, meaning in (contract.errors or {}).items()]
    return "\n".join(lines)


def _schemas(name: str, contract: Contract) -> dict[str, Any]:
    described = {f"{name}.context": contract.request} | {
        f"{name}.payload.{status}": contract.replies.get(status) for status in _STATUSES
    }
    return {key: _moved(schema, key) for key, schema in described.items() if schema is not None}


def _moved(schema: Any, key: str) -> Any:
    """A schema whose references to itself lead to where it is in the document."""
    if isinstance(schema, Mapping):
        moved = {each: _moved(value, key) for each, value in schema.items()}
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            moved["$ref"] = f"#/components/schemas/{key}{reference.removeprefix('#')}"
        return moved
    return [_moved(each, key) for each in schema] if isinstance(schema, list) else schema


def _request(name: str, contract: Contract) -> dict[str, Any]:
    body: dict[str, Any] = {"capability_id": {"const": contract.id}}
    if contract.request is not None:
        body["context"] = {"$ref": f"#/components/schemas/{name}.context"}
    payload = {"allOf": [{"$ref": "#/components/schemas/request"}, {"properties": {"body": {"properties": body}}}]}
    examples = [
        {**_named(each.title), "payload": {"body": {"capability_id": contract.id, "context": each.request}}}
        for each in contract.examples
        if each.request is not None
    ]
    return _message(f"Request to {contract.id}", payload, "$message.payload#/header/commandId", examples)


def _reply(name: str, contract: Contract, status: str) -> dict[str, Any]:
    command: dict[str, Any] = {
        "type": {"const": "ASYNC_RESP"},
        "source": {"const": f"Capability:{contract.id}"},
        "status": {"const": status},
    }
    if contract.replies.get(status) is not None:
        command["payload"] = {"$ref": f"#/components/schemas/{name}.payload.{status}"}
    if status == "ERROR" and contract.errors is not None:
        code = {"type": "object", "properties": {"code": {"enum": list(contract.errors)}}}
        coded = {"properties": {"messages": {"type": "array", "items": code}}}
        command["payload"] = {"allOf": [command["payload"], coded]} if "payload" in command else coded
    payload = {"allOf": [{"$ref": "#/components/schemas/reply"}, {"properties": {"command": {"properties": command}}}]}
    examples = [
        {**_named(each.title), "payload": {"command": {"status": status, "payload": dict(each.payload)}}}
        for each in contract.examples
        if each.status == status
    ]
    return _message(f"{status} of {contract.id}", payload, "$message.payload#/command/inReplyTo", examples)


def _named(title: str) -> dict[str, str]:
    return {"summary": title} if title else {}


def _message(title: str, payload: Any, correlation: str, examples: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": title,
        "contentType": "application/json",
        "correlationId": {"location": correlation},
        "payload": payload,
        **({"examples": examples} if examples else {}),
    }
