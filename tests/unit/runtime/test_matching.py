"""Waits that take only some events, and messages that break a contract, on the host of real runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from world import World, eventually, open_memory_platform, with_answers

from cch.definition.contract_reader import read_contract
from cch.expressions.matching import MOST, Match, MatchError, read_match
from cch.graph.checks import load
from cch.identity import Box
from cch.ledger.waits import WaitRecord
from cch.runtime.platform import Platform
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

WAITING = """\
workflow_id: waiting
workflow_name: Waits for its own shipment
entry_point: Wait
initial_context: [shipmentId, limit]
nodes:
  Wait:
    type: event_wait
    event_key: released
    match: >-
      {% $event.released.id = shipmentId and $event.released.amount > limit and $instance.workflowId = 'waiting' %}
    on_event: Done
  Done: {type: end}
"""
CONTEXT = {"shipmentId": "S-1", "limit": 5, "_secret": "s"}
OTHERS: tuple[dict[str, Any], ...] = (
    {"released": {"id": "S-2", "amount": 9}},
    {"released": {"id": "S-1", "amount": 5}},
    {"released": {"id": "S-1", "amount": "nine"}},
    {"released": {"id": "S-1"}},
    {"id": "S-1"},
)
OWN = {"released": {"id": "S-1", "amount": 6}}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, WAITING, ASKING) as opened:
        yield opened


async def _open_wait(world: World) -> WaitRecord | None:
    waits = await world.platform.ledger.waits.of_box(Box(world.instance))
    return next((wait for wait in waits if wait.state == "open"), None)


async def test_a_wait_takes_the_event_of_which_its_match_is_true(platform: Platform) -> None:
    """Others with its key stay, also those for which the expression fails; it is stored with what it reads only."""
    world = World(platform, WAITING, context=CONTEXT)
    await world.create()
    run = asyncio.create_task(world.execute("Wait"))
    await eventually(lambda: _open_wait(world))
    wait = await _open_wait(world)
    assert wait is not None
    for number, other in enumerate(OTHERS):
        await world.event(other, f"other-{number}")
    await world.event(OWN, "own")

    await run

    assert (await world.view()).instance.status == "completed"
    assert await world.fates() == [*["late"] * len(OTHERS), "matched"]
    stored = json.loads(wait.match)
    assert (stored["form"], stored["context"]) == (1, {"shipmentId": "S-1", "limit": 5})
    assert list(stored["names"]) == ["instance"]


async def test_an_early_event_is_taken_only_if_it_matches(platform: Platform) -> None:
    """As one that comes later."""
    world = World(platform, WAITING, context=CONTEXT)
    await world.create()
    await world.event(OTHERS[0])
    await world.event(OWN)

    await world.execute("Wait")

    assert await world.fates() == ["late", "matched"]


def test_the_simulator_takes_the_same_events() -> None:
    """In its virtual time."""
    events = [{"after": f"{index}s", "payload": payload} for index, payload in enumerate([*OTHERS, OWN], 1)]
    given = {"name": "s", "context": {"shipmentId": "S-1", "limit": 5}, "events": events}

    result = simulate(load(WAITING), read_scenario(json.dumps(given)))

    assert (result.status, result.elapsed_seconds) == ("completed", len(events))
    assert result.messages["late"] == len(OTHERS)


def _record(**changes: Any) -> WaitRecord:
    plain = WaitRecord(
        id="w", instance="i", branch="", node="N", event_key="k", state="open", created=1, deadline=0,
        task_instance="t",
    )  # fmt: skip
    return replace(plain, **changes)


def test_a_wait_of_an_earlier_release_has_no_match() -> None:
    """Its key alone decides, as before."""
    assert _record().takes({"k": 1})
    assert not _record().takes({"other": 1})


@pytest.mark.parametrize("stored", ['{"form": 2, "all": true}', "no JSON", '{"form": 1}', "[]"])
def test_a_form_that_is_not_known_takes_nothing(stored: str) -> None:
    """The release that has written it takes the event; this one must not give it away."""
    assert read_match(stored) is None
    assert not _record(match=stored).takes({"k": 1})


def test_what_a_match_reads_is_bounded() -> None:
    """It becomes part of an item of the ledger."""
    with pytest.raises(MatchError, match="more than"):
        Match.of("{% $event.a = big %}", {"big": "x" * MOST}, {})
    with pytest.raises(MatchError, match="not an expression"):
        Match.of("a", {}, {})
    with pytest.raises(MatchError):
        Match.of("{% $eval('1') %}", {}, {})


async def test_a_match_that_cannot_be_stored_fails_its_node(platform: Platform) -> None:
    """With the reason; nobody waits."""
    world = World(platform, WAITING, context={**CONTEXT, "shipmentId": "x" * MOST})
    await world.create()

    end = await world.execute("Wait")

    assert end.state == "failed"
    assert "the match of 'Wait' cannot be used" in end.reason


# --- contracts --------------------------------------------------------------------------------------------------------

ASKING = """\
workflow_id: asking
workflow_name: Asks
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: 'a#b', on_response: Done, error_reply: failure}
  Done: {type: end}
"""
CONTRACT = """\
id: a#b
title: A
enforce: fail
replies: {SUCCESS: {type: object, required: [k], properties: {k: {enum: [GOOD]}}}}
"""


@pytest.mark.parametrize(
    ("payload", "status"), [({"k": "GOOD"}, "completed"), ({"k": "BAD"}, "failed"), ({}, "failed")]
)
async def test_the_real_host_and_the_simulator_agree_about_contracts(
    platform: Platform, payload: dict[str, Any], status: str
) -> None:
    """The version names its contract, which is read from where definitions are."""
    contract, _ = read_contract(CONTRACT)
    assert contract is not None
    definition = load(ASKING).held_to({"a#b": contract}).pinned()
    await asyncio.to_thread(platform.catalogue.contracts.keep, [contract])
    Path(platform.catalogue.place, "asking.yaml").write_text(definition.text)
    world = World(platform, definition.text, answers=[("SUCCESS", payload)])
    await world.create()

    await with_answers(world, world.execute("Ask"))
    scenario = {"name": "s", "capabilities": {"a#b": [{"payload": payload}]}}
    simulated = await asyncio.to_thread(simulate, definition, read_scenario(json.dumps(scenario)))

    instance = (await world.view()).instance
    assert (instance.status, simulated.status) == (status, status)
    assert ("breaks its contract" in instance.reason) == (status == "failed")
    assert [error["message"] for error in simulated.errors] == ([instance.reason] if status == "failed" else [])
