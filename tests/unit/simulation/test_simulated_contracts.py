"""Simulated capabilities answer by their contracts where nobody has scripted an answer."""

from __future__ import annotations

from typing import Any

from workflows import definition_text

from cch.definition.contract_reader import read_contract
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
