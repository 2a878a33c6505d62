"""Simulated capabilities answer by their contracts where nobody has scripted an answer."""

from __future__ import annotations

from typing import Any

import pytest
from workflows import definition_text

from cch.definition.contract_reader import read_contract
from cch.errors import DefinitionError
from cch.graph.checks import load
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import Simulated, simulate

CONTRACT = """\
id: a#b
title: A
enforce: %s
replies: {SUCCESS: {type: object, required: [k], properties: {k: {enum: [GOOD, BETTER]}}}}
errors: {BUSY: Later.}
answers: {usual: 5m}
"""
ASK = "{type: async_request, capability_id: 'a#b', timeout: 1h, on_response: E, on_failure: X}"
CALL = "{type: sync_call, capability_id: 'a#b', on_success: E, on_failure: X}"


def simulated(scenario: str, node: str = ASK, enforce: str = "fail") -> Simulated:
    contract, _ = read_contract(CONTRACT % enforce)
    assert contract is not None
    text = definition_text(f"N: {node}\nE: {{type: end}}\nX: {{type: end, status: failed}}\n")
    return simulate(load(text).held_to({"a#b": contract}), read_scenario(f"name: s\n{scenario}"))


def outcome(result: Simulated) -> tuple[str, Any, float]:
    return result.status, result.context.get("k"), result.elapsed_seconds


def test_what_nobody_has_scripted_is_answered_after_the_usual_time() -> None:
    """The result says so."""
    asked, called = simulated(""), simulated("", CALL)

    assert outcome(asked) == outcome(called) == ("completed", "GOOD", 300)
    assert asked.by_contract == ("a#b",)
    assert not asked.errors


def test_a_scripted_answer_without_a_payload_has_the_contracts() -> None:
    """Also an ERROR, with a code that the contract has."""
    good, bad = simulated("capabilities: {'a#b': [{after: 1s}]}"), simulated("capabilities: {'a#b': [{status: ERROR}]}")

    assert outcome(good) == ("completed", "GOOD", 1)
    assert (bad.status, bad.errors[0]["message"]) == ("failed", "a#b answered ERROR: BUSY")
    assert good.by_contract == ()


def test_a_scripted_answer_that_breaks_the_contract_fails_or_is_told() -> None:
    """As on Airflow."""
    scenario = "capabilities: {'a#b': [{payload: {k: BAD}}]}"

    failed, told = simulated(scenario), simulated(scenario, enforce="warn")

    assert failed.status == "failed"
    assert "breaks its contract" in failed.errors[0]["message"]
    assert told.status == "completed"
    assert [each[:3] for each in told.breaches] == ["N: "]


FORM = """
Wait:
  type: event_wait
  event_key: decision
  payload_schema: {type: object, required: [decision], properties: {decision: {enum: [CLEAR, BLOCK]}}}
  on_event: E
  timeout: 1d
  on_timeout: E
E: {type: end}
"""


def decided(event: str) -> Simulated:
    return simulate(load(definition_text(FORM)), read_scenario(f"name: s\nevents: [{event}]"))


def test_what_a_person_sends_has_to_fit_the_form_as_on_airflow() -> None:
    """The API refuses it, so that it is as if it had not been sent; a system's event is taken, and is told of."""
    refused = decided("{by: person, after: 1h, payload: {decision: clear}}")
    taken = decided("{after: 1h, payload: {decision: clear}}")
    good = decided("{by: person, after: 1h, payload: {decision: CLEAR}}")

    assert (refused.elapsed_seconds, refused.messages["refused"]) == (86_400, 1)
    assert refused.misfits[0].startswith("event event-0 is refused, as it does not fit the form of 'Wait': decision:")
    assert (taken.elapsed_seconds, taken.context["decision"]) == (3600, "clear")
    assert taken.misfits[0].startswith("a person could not send event event-0 to 'Wait'")
    assert (good.elapsed_seconds, good.misfits, good.messages["refused"]) == (3600, (), 0)


def test_an_event_is_by_a_person_or_a_system() -> None:
    """Anything else is a mistake in the scenario."""
    with pytest.raises(DefinitionError, match="by is 'robot': write person or system"):
        decided("{by: robot}")
