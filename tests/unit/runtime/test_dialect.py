"""An instance in the dialect of the first implementation: what its requests say, and how its definition is meant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text
from world import World, open_memory_platform, with_answers

from cch.definition.reader import read_definition
from cch.graph.findings import examine
from cch.ledger.records import Instance
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.runtime.resending import Rebuilder
from cch.settings import Settings
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

NESTED = """
workflow_id: nested
workflow_name: A map in a map
entry_point: Packs
nodes:
  Packs: {type: map_fork, execution: inline, input_list_key: packs, branch_key: id, branch_entry_node: Ask_Pack}
  Ask_Pack: {type: async_request, capability_id: some#pack, input_keys: [shipment], on_response: Lines}
  Lines:
    type: map_fork
    input_list_key: current_map_item.lines
    branch_key: no
    branch_entry_node: Ask_Line
    item_key: line
  Ask_Line: {type: async_request, capability_id: some#line, on_response: Line_Out}
  Line_Out: {type: end_branch}
  All_Lines: {type: join, join_branches: [Lines], on_success: Pack_Out}
  Pack_Out: {type: end_branch}
  All_Packs: {type: join, join_branches: [Packs], on_success: Done}
  Done: {type: end}
"""
ITEM = {"id": "p", "weight": 3, "shipment": "of the item", "_own": 1, "workflow_id": "x", "lines": [{"no": 1}]}
CONTEXT = {"shipment": "outer", "urgent": True, "packs": [ITEM]}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, NESTED, dialect="lambda_orchestrator") as opened:
        yield opened


async def requests_of(world: World, reply: Mapping[str, Any]) -> dict[str, str]:
    """What the instance sends, by command id, until it is completed."""
    sent: dict[str, str] = {}
    platform = world.platform
    queue = await platform.queues.find(platform.settings.names.fallback_queue)
    replies = await platform.queues.find(platform.settings.names.reply_queue)
    assert queue is not None
    assert replies is not None
    run = asyncio.create_task(world.execute("Packs"))
    while not run.done():
        for received in await queue.receive(0.01):
            header = json.loads(received.body)["header"]
            sent[header["commandId"]] = received.body
            command = {
                "type": "ASYNC_RESP", "id": f"r-{header['commandId']}", "source": "them", "payload": reply,
                "timestamp": "2026-01-05T08:00:00Z", "inReplyTo": header["commandId"],
            }  # fmt: skip
            await replies.send(json.dumps({"workflowInstanceId": world.instance, "command": command}))
        await asyncio.sleep(0.001)
    assert (await run).state == "success"
    return sent


async def test_requests_of_map_items_have_the_item_s_keys_flat(platform: Platform) -> None:
    """With what earlier replies of the branch brought; the item under its own key and the platform's keys win."""
    world = World(platform, NESTED, context=CONTEXT)
    await world.create()
    sent = await requests_of(world, {"weight": 4, "checked": True})

    pack, line = (json.loads(body)["body"]["context"] for body in sent.values())
    assert {k: pack[k] for k in ("id", "weight", "shipment", "workflow_id")} == {
        "id": "p", "weight": 3, "shipment": "of the item", "workflow_id": "nested",
    }  # fmt: skip
    assert "_own" not in pack
    assert {k: line[k] for k in ("id", "no", "weight", "checked", "shipment")} == {
        "id": "p", "no": 1, "weight": 4, "checked": True, "shipment": "of the item",
    }  # fmt: skip
    assert (line["line"], line["current_map_item"]["weight"]) == ({"no": 1}, 3)


async def test_a_flat_request_is_made_again_byte_for_byte(platform: Platform) -> None:
    """Whatever the setting is by then: the instance has recorded how it speaks."""
    world = World(platform, NESTED, context=CONTEXT)
    await world.create()
    sent = await requests_of(world, {"weight": 4})
    later = Platform(
        settings=Settings(dialect="cch", cache_folder=platform.settings.cache_folder), ledger=platform.ledger,
        queues=platform.queues, catalogue=platform.catalogue, read_object=str,
    )  # fmt: skip

    rebuilder = Rebuilder(later, Inspector(later))
    for command_id, body in sent.items():
        record = await platform.ledger.requests.get(command_id)
        assert record is not None
        assert await rebuilder.body(record) == body


async def test_flat_keys_are_in_the_request_only(platform: Platform) -> None:
    """The context of the instance is as without the dialect."""
    world = World(platform, NESTED, context=CONTEXT)
    await world.create()
    await requests_of(world, {})

    seen = await Inspector(platform).look(world.instance)
    assert seen is not None
    assert seen.instance.dialect == "lambda_orchestrator"
    assert set(seen.context) == {"shipment", "urgent", "packs"}


async def test_the_definition_s_dialect_wins_over_the_setting(tmp_path: Path) -> None:
    """Both ways."""
    text = NESTED + "dialect: lambda_orchestrator\n"
    async with open_memory_platform(tmp_path, text) as platform:
        world = World(platform, text, context=CONTEXT)
        await world.create()
        sent = await requests_of(world, {})
    assert all(json.loads(body)["body"]["context"]["weight"] == 3 for body in sent.values())


async def test_an_instance_of_an_unknown_dialect_is_left_alone(platform: Platform) -> None:
    """A later release made it; nothing fails, and the task tries again."""
    world = World(platform, NESTED, context=CONTEXT)
    world.define()
    await platform.ledger.instances.create(
        Instance(
            id=world.instance, workflow_id="nested", run_id=world.instance, correlation_id="c", status="pending",
            started=1, context=world.context, start_message="m", dialect="of tomorrow",
        )
    )  # fmt: skip
    task = asyncio.create_task(world.execute("Packs"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    assert (await world.view()).instance.status == "pending"


LABELS = 'A: {type: condition, condition_on_key: k, branches: {"True": T, "False": F, "None": N, _default: D}}\n'
ENDS = "".join(f"{name}: {{type: end, static_outputs: {{way: {name}}}}}\n" for name in "TFND")


@pytest.mark.parametrize(
    ("value", "dialect", "way"),
    [
        (True, "lambda_orchestrator", "T"), (False, "lambda_orchestrator", "F"), (None, "lambda_orchestrator", "N"),
        ("True", "cch", "T"), (True, "cch", "D"), (1, "lambda_orchestrator", "D"),
    ],
)  # fmt: skip
def test_labels_may_be_python_s_words(value: Any, dialect: str, way: str) -> None:
    """A boolean and null match them in the dialect; text matches itself in each."""
    definition = read_definition(definition_text(LABELS + ENDS))
    scenario = read_scenario(f"context: {{k: {json.dumps(value)}}}")

    result = simulate(definition, scenario, Settings(dialect=dialect))

    assert result.context["way"] == way


def test_the_exact_label_wins_over_python_s_word() -> None:
    """The first is what the value reads as."""
    text = definition_text(
        'A: {type: condition, condition_on_key: k, branches: {"True": F, true: T, _default: D}}\n' + ENDS
    )
    scenario = read_scenario("context: {k: true}")

    assert simulate(read_definition(text), scenario, Settings(dialect="lambda_orchestrator")).context["way"] == "T"


def test_without_the_dialect_such_labels_are_errors() -> None:
    """They would never match."""
    codes = {
        dialect: [p.code for p in examine(definition_text(LABELS + ENDS, dialect=dialect))[1] if p.severity == "error"]
        for dialect in ("cch", "lambda_orchestrator")
    }
    assert codes == {"cch": ["CCH-G008"] * 3, "lambda_orchestrator": []}


ASK = """
A: {type: async_request, capability_id: a#x, on_response: B, on_failure: F}
B: {type: end, static_outputs: {way: response}}
F: {type: end, static_outputs: {way: failure}}
"""


@pytest.mark.parametrize(("dialect", "way"), [("cch", "failure"), ("lambda_orchestrator", "response")])
async def test_an_error_reply_goes_on_in_the_dialect(tmp_path: Path, dialect: str, way: str) -> None:
    """Unless error_reply says otherwise."""
    text = definition_text(ASK, dialect=dialect)
    async with open_memory_platform(tmp_path, text) as platform:
        world = World(platform, text, answers=[("ERROR", {"messages": []})])
        await world.create()
        await with_answers(world, world.execute("A"))
        seen = await Inspector(platform).look(world.instance)
    assert seen is not None
    assert (seen.context["way"], seen.context["status"]) == (way, "ERROR")


async def test_an_end_that_writes_is_executed_where_several_ways_meet(tmp_path: Path) -> None:
    """By a task of its own: an end that writes nothing needs none."""
    text = definition_text("""
S: {type: fork, branches: [A, B]}
A: {type: async_request, capability_id: a#x, on_response: E}
B: {type: async_request, capability_id: b#x, on_response: E}
E: {type: end, static_outputs: {status: COMPLETED, "done.by": us}}
""")
    async with open_memory_platform(tmp_path, text) as platform:
        world = World(platform, text, answers=[("SUCCESS", {})])
        await world.create()
        assert "E" in world.plan.regions

        await with_answers(world, asyncio.gather(world.execute("S"), world.execute("A"), world.execute("B")))
        for head in ("S", "A", "B", "E"):
            await with_answers(world, world.execute(head, "t2"))
        seen = await Inspector(platform).look(world.instance)
    assert seen is not None
    assert seen.instance.status == "completed"
    assert (seen.context["status"], seen.context["done"]) == ("COMPLETED", {"by": "us"})


def test_read_jsonpath_takes_the_first_match_in_the_dialect() -> None:
    """As match: first does; what the definition says wins."""
    text = definition_text("""
A: {type: library_call, library_function_id: "s3#read_jsonpath", output_key: n, on_success: E,
    parameters: {input_s3_uri_key: doc, jsonpath_expression: "$.lines[*].n"}}
E: {type: end}
""")
    scenario = read_scenario("context: {doc: s3://b/d}\nobjects: {s3://b/d: {lines: [{n: 1}, {n: 2}]}}")
    found = {
        dialect: simulate(read_definition(text), scenario, Settings(dialect=dialect)).context["n"]
        for dialect in ("cch", "lambda_orchestrator")
    }
    assert found == {"cch": [1, 2], "lambda_orchestrator": 1}


@pytest.mark.parametrize("key", ["output_keys", "request_output_keys"])
def test_output_keys_may_be_an_object(key: str) -> None:
    """Its keys are the list, whatever their values describe."""
    text = definition_text(
        f"A: {{type: async_request, capability_id: a#x, {key}: {{b: text, a: {{}}}}, on_response: E}}\nE: {{type: end}}"
    )
    assert read_definition(text).nodes["A"].request_output_keys == ("b", "a")  # type: ignore[union-attr]
