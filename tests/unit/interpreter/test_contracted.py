"""Requests and replies that break the contract of their capability: nothing, a word about it, or a failed node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from scripted import ManualClock, ScriptedHost
from workflows import graph_of

from cch.definition.contract_reader import read_contract
from cch.graph.build import build_graph
from cch.interpreter.contracted import TOLD
from cch.interpreter.effects import perform
from cch.interpreter.host import Answer, Call, Request
from cch.interpreter.visit import Result, Visit

CONTRACT = """\
id: a#b
title: A
enforce: %s
request: {type: object, required: [x], properties: {x: {type: integer}}}
replies: {SUCCESS: {type: object, required: [k], properties: {k: {enum: [GOOD]}}}}
errors: {BUSY: Later.}
"""
ASYNC = "{type: async_request, capability_id: 'a#b', on_response: E, on_failure: X, retry: %s}"
CALL = "{type: sync_call, capability_id: 'a#b', on_success: E, on_failure: X, retry: %s}"
ONCE, TWICE = "{max_attempts: 1}", "{max_attempts: 2, delay: 5s}"
FINE = {"x": 1}


async def performed(node: str, host: ScriptedHost, enforce: str, context: Mapping[str, Any]) -> Result:
    contract, _ = read_contract(CONTRACT % enforce)
    assert contract is not None
    plain = graph_of(f"N: {node}\nE: {{type: end}}\nX: {{type: end}}\n")
    graph = build_graph(replace(plain.definition, contracts={"a#b": contract}))
    visit = Visit(graph=graph, number=1, context=context, now=1_700_000_000_000)
    return await perform(graph.nodes["N"], visit, host)


def host_with(*answers: Mapping[str, Any], status: str = "SUCCESS") -> ScriptedHost:
    """A host whose capability gives these payloads one after the other."""
    given = list(answers)

    def reply(request: Request) -> Answer:
        return Answer(kind="reply", at=0, command_id=f"c{request.attempt}", status=status, payload=given.pop(0))

    def call(_: Call) -> Mapping[str, Any]:
        return given.pop(0)

    return ScriptedHost(clock=ManualClock(), on_request=reply, on_call=call)


@pytest.mark.parametrize("node", [ASYNC, CALL])
async def test_a_bad_reply_fails_its_node_with_the_reason(node: str) -> None:
    """Nothing of it comes into the context, and `$error.code` is CONTRACT."""
    result = await performed(node % ONCE, host_with({"k": "BAD"}), "fail", FINE)

    assert (result.label, result.failed) == ("on_failure", False)
    assert result.patch["_errorCode"] == "CONTRACT"
    assert (
        "the reply SUCCESS of a#b breaks its contract: k: 'BAD' is not one of ['GOOD']"
        in result.patch["_internalError"]
    )
    assert "k" not in result.patch


@pytest.mark.parametrize("node", [ASYNC, CALL])
async def test_a_bad_reply_is_told_under_warn(node: str) -> None:
    """The node goes on with it, and its cause says what was wrong."""
    host = host_with({"k": "BAD"})

    result = await performed(node % ONCE, host, "warn", FINE)

    assert result.label in ("on_response", "on_success")
    assert result.patch["k"] == "BAD"
    assert result.cause[TOLD].endswith("k: 'BAD' is not one of ['GOOD']")
    assert ("contract broken", {"capability": "a#b", "enforce": "warn"}) in host.notes


@pytest.mark.parametrize("node", [ASYNC, CALL])
async def test_nobody_looks_under_off(node: str) -> None:
    """The outcome is what it is without a contract."""
    result = await performed(node % ONCE, host_with({"k": "BAD"}), "off", {})

    assert TOLD not in result.cause
    assert result.patch["k"] == "BAD"


@pytest.mark.parametrize("node", [ASYNC, CALL])
async def test_a_bad_request_is_never_sent_and_never_tried_again(node: str) -> None:
    """Another attempt would send the same."""
    host = host_with({"k": "GOOD"})

    result = await performed(node % TWICE, host, "fail", {"x": "one"})

    assert (host.requests, host.calls, host.slept_until) == ([], [], [])
    assert (result.label, result.patch["_errorCode"]) == ("on_failure", "CONTRACT")
    assert "the request to a#b breaks its contract: x: 'one' is not of type 'integer'" in result.patch["_internalError"]


@pytest.mark.parametrize("node", [ASYNC, CALL])
async def test_a_bad_reply_is_tried_again_as_any_failure(node: str) -> None:
    """The second attempt may be answered well."""
    result = await performed(node % TWICE, host_with({"k": "BAD"}, {"k": "GOOD"}), "fail", FINE)

    assert result.label in ("on_response", "on_success")
    assert (result.patch["k"], TOLD in result.cause) == ("GOOD", False)


@pytest.mark.parametrize(("on", "attempts"), [("CONTRACT", 2), ("BUSY", 1)])
async def test_retry_may_name_the_breach(on: str, attempts: int) -> None:
    """Under the code CONTRACT."""
    host = host_with({"k": "BAD"}, {"k": "BAD"})

    await performed(ASYNC % f"{{max_attempts: 2, on: [{on}]}}", host, "fail", FINE)

    assert len(host.requests) == attempts


async def test_an_error_with_a_code_that_nobody_has_agreed_on_breaks_the_contract() -> None:
    """One that is agreed on is an ERROR like any other."""
    known = host_with({"messages": [{"code": "BUSY"}]}, status="ERROR")
    unknown = host_with({"messages": [{"code": "GONE"}]}, status="ERROR")

    good = await performed(ASYNC % ONCE, known, "fail", FINE)
    bad = await performed(ASYNC % ONCE, unknown, "fail", FINE)

    assert (good.patch["_errorCode"], bad.patch["_errorCode"]) == ("BUSY", "CONTRACT")
    assert "'GONE'" in bad.patch["_internalError"]
