"""Contracts on a real Airflow: a reply that breaks one fails its node, and a version keeps the contract that it has."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from cch.api.dashboard import FOLDER
from tests.e2e.conftest import Stack, start_message

DEFINITION = """\
workflow_id: {workflow}
workflow_name: Contracted
entry_point: Ask
initial_context: {{party: {{type: object}}}}
nodes:
  Ask: {{type: async_request, capability_id: "{capability}", timeout: 1h, on_response: Rate, error_reply: failure}}
  Rate: {{type: sync_call, capability_id: finance#exchange_rate, output_keys: [exchangeRate], on_success: Done}}
  Done: {{type: end}}
"""
CONTRACT = """\
id: {capability}
title: Screen a party
enforce: fail
request: {{type: object, required: [party]}}
replies:
  SUCCESS: {{type: object, required: [verdict], properties: {{verdict: {{enum: {verdicts}}}}}}}
errors: {{BUSY: Later.}}
examples: [{{reply: {{payload: {{verdict: CLEAR, score: 3}}}}}}]
"""


#: Milliseconds; a step of a workflow takes seconds on a busy machine.
expect.set_options(timeout=240_000)


class Contracted:
    """A workflow and a capability of this test's own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        name = uuid.uuid4().hex[:8]
        self.id, self.capability = f"contracted_{name}", f"screening#{name}"
        (folder / "capabilities").mkdir()
        (folder / f"{self.id}.yaml").write_text(DEFINITION.format(workflow=self.id, capability=self.capability))

    def contract(self, verdicts: str) -> str:
        return CONTRACT.format(capability=self.capability, verdicts=verdicts)

    def publish(self, verdicts: str = "[CLEAR, HELD]") -> dict[str, Any]:
        (self.folder / "capabilities" / "screening.yaml").write_text(self.contract(verdicts))
        answer: dict[str, Any] = json.loads(self.stack.cch("publish", str(self.folder), "--json").stdout)
        return answer

    def start(self, *answers: dict[str, Any]) -> str:
        instance = str(uuid.uuid4())
        if answers:
            self.stack.mock_scenario(instance, {"capabilities": {self.capability: list(answers)}})
        body = start_message(self.id, {"party": {"name": "ACME"}}, instance)
        self.stack.send("orchestrator-command-queue", body)
        return instance


@pytest.fixture
def contracted(stack: Stack, tmp_path: Path) -> Contracted:
    found = Contracted(stack, tmp_path)
    assert found.publish()["ok"] is True
    return found


def test_a_reply_that_breaks_its_contract_fails_the_node(stack: Stack, contracted: Contracted) -> None:
    """The instance, its node and Airflow's run have failed, with the reason, and nobody waits."""
    instance = contracted.start({"payload": {"verdict": "PERHAPS"}})

    status = stack.finished(instance)

    assert status["status"] == "failed"
    assert f"the reply SUCCESS of {contracted.capability} breaks its contract" in status["reason"]
    assert "'PERHAPS' is not one of ['CLEAR', 'HELD']" in status["reason"]
    assert stack.run_ended(contracted.id, instance) == "failed"
    assert stack.task_states(contracted.id, instance)["Ask"] == "failed"


def test_the_mock_answers_by_the_contract(stack: Stack, contracted: Contracted) -> None:
    """Nobody has scripted anything, and what comes keeps the contract."""
    stack.mock("PUT", "/contracts", yaml.safe_load(contracted.contract("[CLEAR, HELD]")))
    instance = contracted.start()

    status = stack.finished(instance)

    assert status["status"] == "completed"
    assert status["context"]["verdict"] == "CLEAR"
    assert status["context"]["score"] == 3


def test_an_instance_keeps_the_contract_of_its_version(stack: Stack, contracted: Contracted) -> None:
    """One that waits while a stricter contract is published is answered by the older one; the next start is not."""
    answer = {"payload": {"verdict": "HELD"}}
    waiting = contracted.start({**answer, "after": "20s"})
    stack.eventually("the request", lambda: stack.requests(waiting))
    contracted.publish("[CLEAR]")
    later = contracted.start(answer)

    assert stack.finished(later)["status"] == "failed"
    assert stack.finished(waiting)["status"] == "completed"


def test_doctor_finds_contracts_in_order(stack: Stack, contracted: Contracted) -> None:
    """And names nothing about the definition of this test."""
    findings = json.loads(stack.cch("doctor", "--json", check=False).stdout)

    assert any(each["area"] == "contracts" and each["level"] == "ok" for each in findings)
    assert not [each for each in findings if contracted.id in each["area"] and "contract" in each["what"]]


@pytest.mark.skipif(not (FOLDER / "index.html").is_file(), reason="the dashboard is not built: make ui")
def test_people_see_contracts_and_what_expressions_saw(stack: Stack, page: Page) -> None:
    """Of a sample whose capabilities answer by the contracts that are shipped, one of them under `enforce: fail`."""
    lines = [{"lineId": 1, "hts": "6109", "quantity": 10, "price": 12.5}]
    parties = [{"role": "SHIPPER", "name": "ACME"}, {"role": "CONSIGNEE", "name": "B"}]
    context = {"shipmentId": "S-1", "lines": lines, "parties": parties}
    instance = stack.start("informal_entry_v1", context, correlation_id="INF-E2E")
    status = stack.finished(instance)
    assert (status["status"], status["context"]["entry"]["number"]) == ("completed", "E-1"), status

    page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/capabilities?id=screening%23party")
    expect(page.get_by_role("heading", name="screening#party")).to_be_visible()
    expect(page.get_by_text("Reply SUCCESS").first).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{stack.local.layout.ui_url}/cch/ui/#/instances/{instance}?node=Assess")
    page.get_by_text("What its 4 expressions saw").click()
    expect(page.get_by_text("{% $round($sum(lines.(quantity * price)), 2) %}")).to_be_visible()
    expect(page.get_by_text("125", exact=True).first).to_be_visible()
