"""Contracts of capabilities and what expressions saw, through Airflow's app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cch.definition.contract_reader import read_contract
from cch.graph.checks import load
from tests.api.conftest import Office
from tests.api.definitions import ASK
from tests.api.test_access import is_problem

CONTRACT = """\
id: authority#ask
title: Ask the authority
owner: desk
request: {type: object, required: [bl], properties: {bl: {type: string, title: Bill}}}
replies: {SUCCESS: {type: object, required: [found], properties: {found: {enum: [yes, no]}}}}
errors: {BUSY: Later.}
answers: {usual: 1m, longest: 1h}
examples: [{reply: {payload: {found: yes}}}]
"""
TEXT = (
    ASK.replace("    on_response: Decide\n", "    output: {answer: '{% $reply.found %}'}\n    on_response: Decide\n")
    .replace("    event_key: decision\n", "    event_key: decision\n    match: '{% $event.by != bl %}'\n")
    .replace("  bl: {type: string, minLength: 1, title: Bill of lading}", "  bl: true")
)
MAP = """
workflow_id: open_map
workflow_name: Packs
entry_point: Fan
initial_context: [packs]
nodes:
  Fan: {type: map_fork, input_list_key: packs, branch_key: id, branch_entry_node: Submit, execution: inline}
  Submit: {type: async_request, capability_id: packs#submit, input: {n: "{% $item.n * 2 %}"}, on_response: Pack_Done}
  Pack_Done: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""


@pytest.fixture
def contracted(office: Office) -> Office:
    """An environment with a contract, and a definition that was published with it."""
    contract, problems = read_contract(CONTRACT)
    assert contract is not None, problems
    office.platform.catalogue.contracts.keep([contract])
    office.platform.catalogue.contracts.publish([contract])
    folder = Path(office.platform.catalogue.place)
    (folder / "open_ask.yaml").write_text(load(TEXT).held_to({contract.id: contract}).pinned().text)
    (folder / "open_map.yaml").write_text(MAP)
    return office


async def expressions(office: Office, instance: str, node: str, **query: Any) -> list[dict[str, Any]]:
    answer = await office.get(f"/instances/{instance}/nodes/{node}/expressions", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_contracts_are_listed_with_who_asks(contracted: Office) -> None:
    """Of the workflows that the user may see only."""
    (item,) = (await contracted.get("/capabilities")).json()["items"]
    (of_guest,) = (await contracted.get("/capabilities", user="una")).json()["items"]

    assert (item["id"], item["owner"], item["enforce"], item["usual_seconds"]) == ("authority#ask", "desk", "warn", 60)
    assert item["replies"]["SUCCESS"]["required"] == ["found"]
    assert item["examples"] == [{"title": "", "request": None, "status": "SUCCESS", "payload": {"found": "yes"}}]
    assert "open_ask" in item["workflows"]
    assert "secret_ask" not in of_guest["workflows"]


async def test_a_workflow_shows_contracts_at_its_nodes_and_in_its_form(contracted: Office) -> None:
    """What the definition does not say of a key that it sends, the contract does."""
    found = (await contracted.get("/workflows/open_ask")).json()

    nodes = {node["name"]: node for node in found["graph"]["nodes"]}
    assert nodes["Ask"]["contract"]["title"] == "Ask the authority"
    assert nodes["Ask"]["contract"]["errors"] == {"BUSY": "Later."}
    assert (nodes["Ask"]["expressions"], nodes["Decide"]["expressions"], nodes["Done"]["contract"]) == (1, 1, None)
    assert found["start_schema"]["properties"]["bl"] == {"type": "string", "title": "Bill"}


async def test_the_panel_shows_what_expressions_saw_and_gave(contracted: Office) -> None:
    """By path and name, at each visit; one that waits is evaluated as far as it can be."""
    instance = await contracted.start()
    contracted.execute(instance, "open_ask", "Ask")
    command = (await contracted.waiting(instance))["waits"][0]["id"]
    before = await expressions(contracted, instance, "Ask")
    await contracted.reply(instance, command, {"found": "maybe"})
    await contracted.until(lambda: contracted.wait_of(instance, "event"))

    (after,) = await expressions(contracted, instance, "Ask")
    (waiting,) = await expressions(contracted, instance, "Decide")
    detail = (await contracted.get(f"/instances/{instance}")).json()

    assert before[0]["error"] == "what it reads of $reply is not recorded"
    assert (after["place"], after["text"]) == ("output.answer", "{% $reply.found %}")
    assert after["saw"]["$reply"]["found"] == after["gave"] == "maybe"
    assert waiting["saw"]["bl"] == "MEDU1"
    visit = next(each for each in detail["visits"] if each["node"] == "Ask")
    assert "breaks its contract: found: 'maybe' is not one of ['yes', 'no']" in visit["breach"]
    assert detail["context"]["answer"] == "maybe"


async def test_expressions_of_an_item_see_the_item(contracted: Office) -> None:
    """Each item its own."""
    packs = [{"id": "a", "n": 2}, {"id": "b", "n": 5}]
    instance = await contracted.start("open_map", context={"packs": packs})
    contracted.execute(instance, "open_map", "Fan")
    await contracted.until(lambda: contracted.wait_of(instance, "request"))

    (second,) = await expressions(contracted, instance, "Submit", map_node="Fan", index=1)

    assert (second["gave"], second["saw"]) == (10, {"$item": {"id": "b", "n": 5}})
    path = f"/instances/{instance}/nodes/Submit/expressions"
    assert is_problem(await contracted.get(path, map_node="Fan", index=7), 404, "item_not_found")


async def test_what_is_not_there_is_not_found(contracted: Office) -> None:
    """Also an instance that the user may not see."""
    instance = await contracted.start()

    assert is_problem(await contracted.get(f"/instances/{instance}/nodes/Nobody/expressions"), 404, "node_not_found")
    assert (await contracted.get("/instances/nobody/nodes/Ask/expressions")).status_code == 404
