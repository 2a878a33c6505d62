"""Versions of one workflow side by side on a real Airflow: each instance ends by the graph that it began with."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from cch.ledger.records import instance_id_of_run
from tests.e2e.conftest import Stack, start_message

HEAD = "workflow_id: {workflow}\nworkflow_name: Versions\ninitial_context: [lines]\n"
#: A wait, a loop, a call on a worker, and a map whose items ask somebody.
FIRST = """entry_point: Hold
nodes:
  Hold: {type: event_wait, event_key: go, on_event: Round}
  Round: {type: event_wait, event_key: more, on_event: More}
  More: {type: condition, condition_on_key: more, branches: {'true': Round, _default: Rate}}
  Rate: {type: sync_call, capability_id: finance#exchange_rate, on_success: Lines}
  Lines: {type: map_fork, input_list_key: lines, branch_key: line, branch_entry_node: Line}
  Line: {type: async_request, capability_id: other#thing, on_response: Line_Done, error_reply: failure}
  Line_Done: {type: end_branch}
  Joined: {type: join, join_branches: [Lines], destination: lines, on_success: E}
  E: {type: end}
"""
#: ``Hold`` is called ``Start_Signal``, ``Rate`` is gone, ``Extra`` is new.
SECOND = (
    FIRST.replace("Hold", "Start_Signal")
    .replace("_default: Rate", "_default: Extra")
    .replace(
        "  Rate: {type: sync_call, capability_id: finance#exchange_rate, on_success: Lines}",
        "  Extra: {type: set_state, static_outputs: {extra: true}, on_success: Lines}",
    )
)
#: ``Hold`` is back, as a call on a worker.
THIRD = """entry_point: Hold
nodes:
  Hold: {type: sync_call, capability_id: finance#exchange_rate, output_keys: [exchangeRate], on_success: Signal}
  Signal: {type: event_wait, event_key: go, on_event: E}
  E: {type: end}
"""
CONTEXT = {"lines": [{"line": "a"}, {"line": "b"}]}


class Workflow:
    """A workflow of this test's own, and its instances."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.id = f"versions_{uuid.uuid4().hex[:8]}"
        self.file = folder / "definition.yaml"

    def publish(self, nodes: str, *options: str) -> dict[str, Any]:
        self.file.write_text(HEAD.format(workflow=self.id) + nodes)
        answer = json.loads(self.stack.cch("publish", str(self.file), "--json", *options).stdout)
        (one,) = answer["definitions"]
        found: dict[str, Any] = one
        return found

    def waiting(self, instance: str, node: str) -> str:
        """The instance, once it waits at the node."""

        def waits() -> bool:
            status = self.stack.status(instance)
            return any(each["name"] == node and each["state"] == "WAITING" for each in status.get("nodes", ()))

        self.stack.eventually(f"{instance} at {node}", waits)
        return instance

    def start(self, node: str, version: str = "") -> str:
        """A new instance, once it waits at the node."""
        named = {"workflowVersion": version} if version else {}
        instance = str(uuid.uuid4())
        body = {**start_message(self.id, CONTEXT, instance), **named}
        self.stack.send("orchestrator-command-queue", body)
        return self.waiting(instance, node)

    def event(self, instance: str, *sets: str) -> None:
        self.stack.cch("event", instance, *(argument for each in sets for argument in ("--set", each)))

    def versions(self) -> dict[int, dict[str, Any]]:
        answer = json.loads(self.stack.cch("versions", self.id, "--json").stdout)
        return {each["version"]: each for each in answer["versions"]}

    def mark(self, instance: str) -> str:
        """The version by which Airflow shows the run."""
        _, run = self.stack.api("GET", f"/dags/{self.id}/dagRuns/{instance}")
        (version,) = run["dag_versions"]
        return str(version["bundle_version"])

    def graph(self, instance: str) -> set[str]:
        """The tasks that Airflow's own page shows for the run."""
        _, run = self.stack.api("GET", f"/dags/{self.id}/dagRuns/{instance}")
        (version,) = run["dag_versions"]
        path = f"/ui/structure/structure_data?dag_id={self.id}&version_number={version['version_number']}"
        _, shown, _ = self.stack.call("GET", path, token=self.stack.token())
        return {node["id"] for node in shown["nodes"]}


@pytest.fixture
def workflow(stack: Stack, tmp_path: Path) -> Workflow:
    return Workflow(stack, tmp_path)


def test_three_versions_live_side_by_side(stack: Stack, workflow: Workflow) -> None:
    """A node renamed, removed, added, and an id that changes its kind: each instance ends by its own graph."""
    assert workflow.publish(FIRST)["version"] == 1
    first = workflow.start("Hold")
    stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
    assert workflow.publish(SECOND)["action"] == "updated"
    second = workflow.start("Start_Signal")
    published = workflow.publish(THIRD)
    third = workflow.start("Signal")

    assert "+ node Signal" in published["difference"]
    standing = workflow.versions()
    assert {number: (each["live"], each["current"]) for number, each in standing.items()} == {
        1: (1, False), 2: (1, False), 3: (1, True),
    }  # fmt: skip
    assert standing[1]["nodes"] == {"Hold": 1}
    for instance, number in ((first, 1), (second, 2), (third, 3)):
        assert workflow.mark(instance).startswith(standing[number]["digest"])
    assert "Start_Signal" in workflow.graph(second)
    assert {"Hold", "Rate"} <= workflow.graph(first)
    assert "Signal" not in workflow.graph(first)

    for instance in (first, second, third):
        workflow.event(instance, "go=true")
    for instance in (first, second):
        workflow.waiting(instance, "Round")
        workflow.event(instance, "more=true")
        workflow.event(instance, "more=false")
    ended = {instance: stack.finished(instance) for instance in (first, second, third)}

    assert {status["status"] for status in ended.values()} == {"completed"}
    ways = {instance: [name.partition("[")[0] for name in status["visited"]] for instance, status in ended.items()}
    assert ways[first][:6] == ["Hold", "Round", "More", "Round", "More", "Rate"]
    assert ways[first].count("Line") == 2
    assert ways[second][:6] == ["Start_Signal", "Round", "More", "Round", "More", "Extra"]
    assert ways[second].count("Line") == 2
    assert ways[third] == ["Hold", "Signal", "E"]
    for instance in (first, second, third):
        assert stack.run_ended(workflow.id, instance) == "success"


def test_a_start_names_its_version(stack: Stack, workflow: Workflow) -> None:
    """By number, label, or in the address; one that nobody has is rejected; a rollback takes one command."""
    workflow.publish(FIRST)
    workflow.publish(THIRD)
    stack.cch("label", workflow.id, "stable", "1")

    by_label = workflow.start("Hold", "@stable")
    newest = workflow.start("Signal")
    stack.cch("rollback", workflow.id)
    after = workflow.start("Hold")
    stack.cch("run", f"{workflow.id}@2", "--context", json.dumps(CONTEXT), "--instance-id", f"{after}-2")
    workflow.waiting(f"{after}-2", "Signal")

    _, run = stack.api("POST", f"/dags/{workflow.id}/dagRuns",
                       {"conf": {**CONTEXT, "_cch_version": "2"}, "logical_date": None})  # fmt: skip
    in_airflow = run["dag_run_id"]
    workflow.waiting(instance_id_of_run(workflow.id, in_airflow), "Signal")

    digests = {number: each["digest"] for number, each in workflow.versions().items()}
    marks = [workflow.mark(each)[:64] for each in (by_label, newest, after, f"{after}-2", in_airflow)]
    assert marks == [digests[1], digests[2], digests[1], digests[2], digests[2]]
    wrong = stack.cch("run", f"{workflow.id}@77", "--context", json.dumps(CONTEXT), check=False)
    assert wrong.returncode != 0
    assert "has no version '77'" in wrong.stderr
    for instance in (by_label, newest, after, f"{after}-2"):
        stack.cch("event", instance, "--set", "go=true")
