"""Calls that only wait, on a real Airflow: no worker is used, and a kill in the middle repeats them with their keys."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cch.definition.version import parse_version
from tests.e2e.conftest import Stack, started

DEFINITION = """
workflow_id: calls_e2e
workflow_name: Calls that only wait
entry_point: Quote
nodes:
  Quote: {type: sync_call, capability_id: e2e#quote, output_keys: [price], on_success: Duty}
  Duty: {type: sync_call, capability_id: e2e#duty, output_keys: [duty_estimate], on_success: Done}
  Done: {type: end}
"""
#: What is called behind the request is an address when an instance begins, and a Python function later.
REBOUND = """
workflow_id: rebound_e2e
workflow_name: A call that is bound to something else meanwhile
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: other#thing, on_response: Rate, error_reply: response}
  Rate: {type: sync_call, capability_id: finance#exchange_rate, output_keys: [exchangeRate], on_success: Done}
  Done: {type: end}
"""


class Quotes(http.server.ThreadingHTTPServer):
    """An endpoint; ``seen``: instance and idempotency key of each request. ``answers``: cleared, it answers nobody."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Quote)
        self.seen: list[tuple[str, str]] = []
        self.answers = threading.Event()
        self.answers.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/quote"

    def keys(self, instance: str) -> list[str]:
        return [key for each, key in self.seen if each == instance]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever has asked was killed."""


class _Quote(http.server.BaseHTTPRequestHandler):
    server: Quotes

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((body["workflowInstanceId"], self.headers["Idempotency-Key"]))
        self.server.answers.wait()
        answer = json.dumps({"price": 7}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def quotes() -> Iterator[Quotes]:
    server = Quotes()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.answers.set()
    server.shutdown()
    server.server_close()


def bind(file: Path, **bindings: str) -> None:
    """Let the bindings be these from now on: whoever reads the file finds all of it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({name.replace("_", "#", 1): value for name, value in bindings.items()}))
    new.replace(file)


@pytest.fixture(scope="module")
def bindings(quotes: Quotes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bindings") / "bindings.json"
    bind(file, e2e_quote=quotes.url, e2e_duty="lambda:{prefix}orchestra-b3", finance_exchange_rate=quotes.url)
    return file


@pytest.fixture(scope="module")
def calling(bindings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose triggerer calls."""
    settings = {"CCH_CALLS_IN_TRIGGERER": "true", "CCH_CAPABILITY_BINDINGS": str(bindings)}
    with started(settings) as stack:
        folder = tmp_path_factory.mktemp("definitions")
        for name, text in (("calls_e2e", DEFINITION), ("rebound_e2e", REBOUND)):
            (folder / f"{name}.yaml").write_text(text)
            stack.cch("publish", str(folder / f"{name}.yaml"))
            stack.eventually(f"the DAG {name}", lambda dag=name: stack.api("GET", f"/dags/{dag}")[0] == 200)
        stack.eventually("a report that runs are pinned", lambda: stack.item("VERSIONS", "PINNING").get("pins") == "1")
        yield stack


def tasks(stack: Stack, workflow: str, run_id: str) -> dict[str, dict[str, Any]]:
    """The task instances of a run after its end."""
    assert stack.run_ended(workflow, run_id) == "success"
    _, answer = stack.api("GET", f"/dags/{workflow}/dagRuns/{run_id}/taskInstances")
    return {each["task_id"]: each for each in answer["task_instances"]}


def was_on_a_worker(task: dict[str, Any]) -> bool:
    """Whether an executor has had it: a process of a worker reports its number, and the executor when it was queued."""
    return bool(task["queued_when"] or task["pid"] or task["hostname"])


def assert_called(stack: Stack, instance: str) -> None:
    done = stack.finished(instance)
    assert done["status"] == "completed", done
    assert done["visited"] == ["Quote", "Duty", "Done"]
    assert (done["context"]["price"], done["context"]["duty_estimate"]["rate_percent"]) == (7, 6.5)


def test_an_address_and_a_function_are_called_without_any_worker(calling: Stack, quotes: Quotes) -> None:
    """No task was ever given to the executor, and Airflow's graph shows every node."""
    instance = calling.start("calls_e2e", {})

    assert_called(calling, instance)
    found = tasks(calling, "calls_e2e", instance)
    assert {name: task["state"] for name, task in found.items()} == dict.fromkeys(("Quote", "Duty", "Done"), "success")
    assert [name for name, task in found.items() if was_on_a_worker(task)] == []
    assert len(quotes.keys(instance)) == 1
    _, run = calling.api("GET", f"/dags/calls_e2e/dagRuns/{instance}")
    version = parse_version(run["dag_versions"][0]["bundle_version"])
    assert version is not None
    assert version.planner == 2 + 256 * 0b11


def test_a_run_that_airflow_starts_itself_is_laid_out_the_same(calling: Stack) -> None:
    """By a person, or by another DAG."""
    run_id = f"manual-{uuid.uuid4()}"
    status, _ = calling.api("POST", "/dags/calls_e2e/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": {}})

    assert status == 200
    assert not any(map(was_on_a_worker, tasks(calling, "calls_e2e", run_id).values()))


def test_a_kill_of_the_triggerer_repeats_the_calls_with_their_keys(calling: Stack, quotes: Quotes) -> None:
    """The endpoint recognises each repetition; every instance happens once."""
    quotes.answers.clear()
    try:
        instances = [calling.start("calls_e2e", {}) for _ in range(6)]
        calling.eventually("all calls", lambda: all(quotes.keys(instance) for instance in instances))
        before = calling.local.processes.pid("triggerer")
        calling.local.processes.signal("triggerer", signal.SIGKILL)
        calling.eventually("another triggerer", lambda: calling.local.processes.pid("triggerer") not in (None, before))
        calling.eventually("the calls again", lambda: all(len(quotes.keys(each)) > 1 for each in instances))
    finally:
        quotes.answers.set()

    for instance in instances:
        assert_called(calling, instance)
        assert len(set(quotes.keys(instance))) == 1
        assert not any(map(was_on_a_worker, tasks(calling, "calls_e2e", instance).values()))
    answer = calling.cch("ledger", "check", check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_hold_a_clear_and_a_cancellation_bind_a_call_in_the_triggerer(calling: Stack, quotes: Quotes) -> None:
    """As they bind any task: nobody is called while held, and a cancelled instance goes no further."""
    quotes.answers.clear()
    try:
        held, cancelled, cleared = (calling.start("calls_e2e", {}) for _ in range(3))
        for instance in (held, cancelled, cleared):
            calling.eventually("the call", lambda each=instance: quotes.keys(each))
        calling.cch("hold", held, "--reason", "wait")
        calling.cch("cancel", cancelled, "--reason", "not wanted")
        status, _ = calling.api(
            "POST", "/dags/calls_e2e/clearTaskInstances",
            {"dry_run": False, "dag_run_id": cleared, "task_ids": ["Quote"], "only_failed": False},
        )  # fmt: skip
        assert status == 200
        calling.eventually("the call of the cleared task", lambda: len(quotes.keys(cleared)) == 2)
    finally:
        quotes.answers.set()

    assert_called(calling, cleared)
    assert len(set(quotes.keys(cleared))) == 1
    assert calling.finished(cancelled)["status"] == "cancelled"
    assert calling.status(held)["status"] == "running"
    calling.cch("release", held)
    assert_called(calling, held)
    assert len(set(quotes.keys(held))) == 1


def test_a_paused_dag_begins_no_call(calling: Stack, quotes: Quotes) -> None:
    """Its new runs are held back, and go on when it is unpaused."""
    calling.api("PATCH", "/dags/calls_e2e", {"is_paused": True})
    try:
        instance = calling.start("calls_e2e", {})
        calling.eventually("the run", lambda: calling.run_state("calls_e2e", instance) == "queued")
        time.sleep(3)
        assert quotes.keys(instance) == []
    finally:
        calling.api("PATCH", "/dags/calls_e2e", {"is_paused": False})

    assert_called(calling, instance)


def test_dags_test_agrees(calling: Stack) -> None:
    """It makes the calls in its own process."""
    correlation = f"BL-{uuid.uuid4().hex[:6]}"
    script = 'eval "$(cch env)" && airflow dags test calls_e2e --conf "$0"'
    calling.run(["bash", "-c", script, json.dumps({"_correlation_id": correlation})])

    found = json.loads(calling.cch("status", correlation, "--json").stdout)
    found = found[0] if isinstance(found, list) else found
    assert_called(calling, found.get("instance_id", found.get("id")))


def test_what_is_a_python_function_by_then_is_called_by_a_worker(
    calling: Stack, bindings: Path, quotes: Quotes
) -> None:
    """The run was laid out for the triggerer, and keeps that layout: its trigger hands the task over."""
    instance = str(uuid.uuid4())
    calling.mock_scenario(instance, {"capabilities": {"other#thing": [{"after": "10s"}]}})
    calling.start("rebound_e2e", {}, instance)
    calling.eventually("the request at the mock", lambda: calling.requests(instance))
    bind(bindings, e2e_quote=quotes.url, e2e_duty="lambda:{prefix}orchestra-b3")

    done = calling.finished(instance)

    assert done["status"] == "completed", done
    assert done["context"]["exchangeRate"] == 1.08
    assert quotes.keys(instance) == []
    found = tasks(calling, "rebound_e2e", instance)
    assert {name: was_on_a_worker(task) for name, task in found.items()} == {
        "Ask": False, "Rate": True, "Done": False,
    }  # fmt: skip
    assert os.environ["CCH_CAPABILITY_BINDINGS"] == str(bindings)
