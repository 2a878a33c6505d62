"""How large messages may be, what is too large for them, and that schema and router agree on every bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from world import World, eventually, open_memory_platform

from cch.envelope import MAX_BODY, parse_command
from cch.errors import MalformedMessageError
from cch.ledger.payloads import sha256
from cch.messaging.outgoing import BY_REFERENCE_ABOVE, Reference, queue_fault
from cch.runtime.platform import Platform
from cch.testing.memory_queue import MemoryQueue

SCHEMA = json.loads((files("cch") / "schemas" / "command.schema.json").read_text("utf-8"))
LARGE = """
workflow_id: large
workflow_name: Large
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#b, payload_ref: true, on_response: Done, on_failure: Bad}
  Bad: {type: end, status: failed}
  Done: {type: end}
"""


# --- bounds --------------------------------------------------------------------------------------------------


def message(**changes: Any) -> dict[str, Any]:
    command = {
        "type": "ASYNC_RESP", "id": "r", "source": "a#b", "timestamp": "2026-01-05T08:00:00Z", "payload": {},
        **changes.pop("command", {}),
    }  # fmt: skip
    return {"workflowInstanceId": "i", "command": command, **changes}


def the_router_takes(raw: dict[str, Any]) -> bool:
    try:
        parse_command(json.dumps(raw))
    except MalformedMessageError:
        return False
    return True


def the_schema_takes(raw: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(raw)


BOUNDS = {
    "instance": (200, lambda n: message(workflowInstanceId="i" * n)),
    "correlation id": (200, lambda n: message(correlationId="c" * n)),
    "definition": (2000, lambda n: message(workflowDefinitionURI="d" * n)),
    "id": (2000, lambda n: message(command={"id": "r" * n})),
    "source": (200, lambda n: message(command={"source": "s" * n})),
    "in reply to": (200, lambda n: message(command={"inReplyTo": "r" * n})),
    "in_reply_to": (200, lambda n: message(command={"in_reply_to": "r" * n})),
    "payload_ref": (2000, lambda n: message(command={"payload_ref": "u" * n})),
    "branch key": (200, lambda n: message(command={"routingHint": {"branchKey": "b" * n}})),
    "branch path": (20, lambda n: message(command={"routingHint": {"branchPath": ["b"] * n}})),
    "key in a branch path": (200, lambda n: message(command={"routingHint": {"branchPath": ["a", "b" * n]}})),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_schema_and_router_agree_on_every_bound(bound: str) -> None:
    """What a team validates against the published schema is taken, and what the router refuses is invalid."""
    most, make = BOUNDS[bound]

    assert (the_router_takes(make(most)), the_schema_takes(make(most))) == (True, True)
    assert (the_router_takes(make(most + 1)), the_schema_takes(make(most + 1))) == (False, False)


@pytest.mark.parametrize(
    "raw",
    [
        message(workflowInstanceId=""), message(command={"id": ""}), message(command={"source": ""}),
        message(command={"payload": []}), message(command={"status": "DONE"}), message(command={"type": "OTHER"}),
        message(command={"routingHint": {"branchPath": [""]}}), message(command={"routingHint": {"branchKey": {}}}),
        message(command={"routingHint": []}), message(workflowInstanceId="a b"), message(command={"payload_ref": 1}),
    ],
)  # fmt: skip
def test_schema_and_router_refuse_the_same(raw: dict[str, Any]) -> None:
    """Not only lengths."""
    assert (the_router_takes(raw), the_schema_takes(raw)) == (False, False)


# --- queues --------------------------------------------------------------------------------------------------


async def test_the_queue_says_how_much_it_takes() -> None:
    """SQS carries 1 MiB, but another team's queue may have stayed at 256 KiB; small messages ask nobody."""
    body, older, silent = "x" * 300_000, MemoryQueue("q", limit=262_144), MemoryQueue("q")

    assert "300000 bytes, more than 261120" in await queue_fault(older, body)
    assert await queue_fault(silent, body) == ""
    assert await queue_fault(older, "x" * 261_000) == ""
    assert "more than 1047552" in await queue_fault(silent, "x" * MAX_BODY)


# --- references ----------------------------------------------------------------------------------------------


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    objects: dict[str, str] = {}
    async with open_memory_platform(tmp_path, LARGE, objects=objects) as opened:
        opened.objects = objects  # type: ignore[attr-defined]
        yield opened


async def asked(world: World) -> dict[str, Any]:
    queue = await world.platform.queues.find(world.platform.settings.names.fallback_queue)
    assert queue is not None
    (received,) = await queue.receive(5)
    return json.loads(received.body)  # type: ignore[no-any-return]


async def answer(world: World, asked: dict[str, Any], **command: Any) -> None:
    queue = await world.platform.queues.find(world.platform.settings.names.reply_queue)
    assert queue is not None
    said = {
        "type": "ASYNC_RESP", "id": "r", "source": "a#b", "timestamp": "2026-01-05T08:00:00Z",
        "inReplyTo": asked["header"]["commandId"], "payload": {}, **command,
    }  # fmt: skip
    await queue.send(json.dumps({"workflowInstanceId": world.instance, "command": said}))


async def test_a_large_context_goes_and_comes_by_reference(platform: Platform) -> None:
    """Where the node allows it: the request names the object, and the reply may name one of the instance's own."""
    world = World(platform, LARGE, context={"lines": "x" * BY_REFERENCE_ABOVE})
    await world.create()
    run = asyncio.create_task(world.execute("Ask"))
    request = await asked(world)
    reference = request["body"]["payload_ref"]
    text = platform.objects[reference["uri"]]  # type: ignore[attr-defined]
    prefix = platform.settings.names.payload_prefix(world.instance)
    platform.objects[f"{prefix}answer.json"] = json.dumps({"large": "y", "both": 1})  # type: ignore[attr-defined]
    await answer(world, request, payload={"both": 2}, payload_ref=f"{prefix}answer.json")
    end = await asyncio.wait_for(run, 10)

    assert reference["uri"].startswith(prefix)
    assert (reference["sha256"], reference["bytes"]) == (sha256(text), len(text))
    assert json.loads(text) == world.context
    assert set(request["body"]["context"]) == {"workflowInstanceId", "workflow_id"}
    assert end.state == "success"
    outcome = (await world.view()).exits[0].outcomes[0]
    assert (outcome.patch["large"], outcome.patch["both"]) == ("y", 2)


@pytest.mark.parametrize("where", ["s3://other/answer.json", "{prefix}../x.json", "{other}answer.json", "{prefix}gone"])
async def test_a_reference_that_leads_elsewhere_is_rejected(platform: Platform, where: str) -> None:
    """A capability must not make the platform read what is not the instance's; the request stays open."""
    world = World(platform, LARGE, context={})
    await world.create()
    run = asyncio.create_task(world.execute("Ask"))
    request = await asked(world)
    names = platform.settings.names
    uri = where.format(prefix=names.payload_prefix(world.instance), other=names.payload_prefix("another"))
    await answer(world, request, payload_ref=uri)

    await eventually(lambda: rejected(platform))
    assert not run.done()
    run.cancel()


async def rejected(platform: Platform) -> bool:
    return [message.fate for message in await platform.ledger.messages.unmatched("rejected")] == ["rejected"]


def test_a_reference_is_made_only_for_what_is_large() -> None:
    """The bytes of requests that were made depend on the limit: it never changes."""
    assert BY_REFERENCE_ABOVE == 196_608
    assert Reference.of({"k": 1}, "s3://b/", "c") is None
