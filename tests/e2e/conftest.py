"""One real stack for the whole run: AWS's stand-in, the mock and Airflow as processes, on ports of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from playwright.sync_api import Page

from cch.stack.layout import USER, environment
from cch.stack.local import LocalStack
from cch.stack.patience import Patience, StandstillError
from tests.chaos.leaks import leaked
from tests.e2e.browser import chromium, logged_in

ROOT = Path(__file__).resolve().parents[2]
TABLE = "cch-dev-local-workflow-state-table"
#: The local stack's topic; moto's account has this number.
TOPIC = "arn:aws:sns:us-east-1:123456789012:cch-dev-local-workflow-lifecycle-topic"


def eventually(what: str, look: Callable[[], Any], stack: Stack | None = None) -> Any:
    """The first true value that ``look`` returns; however long it takes, as long as anything moves in the stack."""
    try:
        return Patience(signs=stack.signs if stack else dict).until(what, look)
    except StandstillError as error:
        pytest.fail(str(error))


@dataclass
class Stack:
    """What tests need of the running stack."""

    local: LocalStack
    variables: dict[str, str]
    _clients: dict[str, Any] = field(default_factory=dict)

    # --- programs ---

    def cch(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line as a person would."""
        command = [str(Path(sys.executable).with_name("cch")), *arguments]
        return self.run(command, check=check)

    def run(self, command: list[str], *, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            command,
            env={**os.environ, **self.variables, **extra},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and answer.returncode:
            pytest.fail(f"{command} exited {answer.returncode}\n{answer.stdout[-3000:]}\n{answer.stderr[-3000:]}")
        return answer

    def status(self, instance: str) -> dict[str, Any]:
        """`cch status --json`, or {} while the instance is unknown."""
        answer = self.cch("status", instance, "--json", check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 and answer.stdout.strip() else {}

    def eventually(self, what: str, look: Callable[[], Any]) -> Any:
        """The first true value that ``look`` returns."""
        return eventually(what, look, self)

    def finished(self, instance: str) -> dict[str, Any]:
        """The instance after its end."""

        ended = ("completed", "failed", "cancelled")
        # One look costs a process of its own: ask the table until there is something to look at.
        self.eventually(f"the end of {instance}", lambda: self.item(f"INST#{instance}", "META").get("status") in ended)
        return self.status(instance)

    def signs(self) -> dict[str, object]:
        """What moves while the stack gets on. What it does while everybody waits (heartbeats, polls) does not count."""
        found: dict[str, object] = {f"process of {n}": self.local.processes.pid(n) for n in self.local.running()}
        with contextlib.suppress(OSError, BotoCoreError, ClientError):
            table = self.client("dynamodb")
            found["items in the ledger"] = table.scan(TableName=TABLE, Select="COUNT", ConsistentRead=True)["Count"]
        effects = self.local.layout.home / "effects.jsonl"
        found["bytes of effects"] = effects.stat().st_size if effects.exists() else 0
        with contextlib.suppress(OSError, HTTPException, LookupError, TypeError):
            token = self.token()
            runs = "/dags/~/dagRuns?"
            for what, path in (("runs", runs), ("running", f"{runs}state=running&"), ("DAGs", "/dags?")):
                found[what] = self.call("GET", f"/api/v2{path}limit=1", token=token)[1]["total_entries"]
        return found

    # --- AWS ---

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def send(self, queue: str, body: Any) -> str:
        """Send a message to a queue (name without prefix); its MessageId."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=f"cch-dev-local-{queue}")["QueueUrl"]
        text = body if isinstance(body, str) else json.dumps(body)
        message_id: str = sqs.send_message(QueueUrl=url, MessageBody=text)["MessageId"]
        return message_id

    def start(self, workflow: str, context: dict[str, Any], instance: str = "", **command: Any) -> str:
        """Send START_WORKFLOW."""
        instance = instance or str(uuid.uuid4())
        self.send("orchestrator-command-queue", start_message(workflow, context, instance, **command))
        return instance

    def item(self, pk: str, sk: str = "-") -> dict[str, Any]:
        answer = self.client("dynamodb").get_item(
            TableName=TABLE, Key={"PK": {"S": pk}, "SK": {"S": sk}}, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in answer.get("Item", {}).items()}

    def fate(self, queue: str, message_id: str) -> dict[str, Any]:
        """The message's item, once its fate is final."""

        def look() -> dict[str, Any] | None:
            found = self.item(f"MSG#cch-dev-local-{queue}#{message_id}")
            return found if found.get("fate") not in (None, "held", "claimed") else None

        found: dict[str, Any] = self.eventually(f"the fate of {message_id}", look)
        return found

    # --- the mock ---

    def mock(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.local.layout.mock_url}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def requests(self, instance: str) -> list[dict[str, Any]]:
        """What the mock received for an instance."""
        found: list[dict[str, Any]] = self.mock("GET", f"/requests?instance={instance}&limit=1000")["requests"]
        return found

    def mock_scenario(self, instance: str, scenario: dict[str, Any]) -> None:
        """Script the mock's answers for one instance."""
        self.mock("PUT", f"/scenario?instance={instance}", scenario)

    # --- Airflow ---

    def token(self) -> str:
        body = json.dumps({"username": USER, "password": self.local.password}).encode()
        request = urllib.request.Request(
            f"{self.local.layout.ui_url}/auth/token", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            token: str = json.load(answer)["access_token"]
        return token

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call Airflow's REST API; status and JSON."""
        return self.call(method, f"/api/v2{path}", body)[:2]

    def call(
        self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str
    ) -> tuple[int, Any, Message]:
        """Call Airflow's API server; status, JSON and headers. ``token``: a new one if none is given."""
        request = urllib.request.Request(
            f"{self.local.layout.ui_url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token or self.token()}", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null"), error.headers

    def run_state(self, workflow: str, run_id: str) -> str:
        status, run = self.api("GET", f"/dags/{workflow}/dagRuns/{urllib.parse.quote(run_id)}")
        return run["state"] if status == 200 else f"http {status}"

    def task_states(self, workflow: str, run_id: str) -> dict[str, str]:
        _, answer = self.api("GET", f"/dags/{workflow}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances?limit=200")
        return {ti["task_id"]: ti["state"] for ti in answer["task_instances"]}

    def run_ended(self, workflow: str, run_id: str) -> str:
        """The state of Airflow's run after its end."""
        ended = ("success", "failed")
        self.eventually(f"the end of run {run_id}", lambda: self.run_state(workflow, run_id) in ended)
        return self.run_state(workflow, run_id)


def start_message(workflow: str, context: dict[str, Any], instance: str, **command: Any) -> dict[str, Any]:
    return {
        "workflowInstanceId": instance,
        "correlationId": command.pop("correlation_id", f"BOL-{instance[:8]}"),
        "workflowDefinitionURI": f"s3://cch-dev-local-workflow-definitions-bucket/{workflow}.yaml",
        "command": {
            "type": "START_WORKFLOW",
            "id": str(uuid.uuid4()),
            "source": "tests",
            "timestamp": "2026-01-05T08:00:00Z",
            "payload": context,
            **command,
        },
    }


def reply_message(instance: str, capability: str, payload: Any, **command: Any) -> dict[str, Any]:
    return {
        "workflowInstanceId": instance,
        "command": {
            "type": "ASYNC_RESP",
            "id": str(uuid.uuid4()),
            "source": f"Capability:{capability}",
            "timestamp": "2026-01-05T08:00:00Z",
            "payload": payload,
            **command,
        },
    }


class Figures:
    """Receives what a StatsD would; ``names``: how often each figure came."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.names: Counter[str] = Counter()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        while data := self._socket.recv(65536):
            self.names.update(line.partition(":")[0] for line in data.decode().splitlines())

    def settings(self) -> dict[str, str]:
        of_airflow = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(self.port)}
        return {f"AIRFLOW__METRICS__{name}": value for name, value in of_airflow.items()}


@pytest.fixture(scope="session")
def figures() -> Figures:
    return Figures()


@contextlib.contextmanager
def started(settings: dict[str, str], prepare: Callable[[LocalStack], None] = lambda _local: None) -> Iterator[Stack]:
    """A stack with these settings; what it started has ended afterwards. ``prepare`` sees it with AWS alone."""
    # Not in pytest's folder: PostgreSQL, which root starts as somebody else, may not pass that one.
    home = Path(tempfile.mkdtemp(prefix="cch-e2e-"))
    settings = {"CCH_HOME": str(home), "CCH_PROJECT": str(ROOT), **settings}
    settings |= {"CCH_MOCK_EFFECTS": str(home / "effects.jsonl"), "CCH_MOCK_VISIBILITY_SECONDS": "10"}  # for chaos
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    local = LocalStack.open()
    try:
        local.start(lambda _line: None, ["aws"])
        prepare(local)
        local.start(lambda _line: None)
        yield Stack(local, environment(local.layout))
    finally:
        local.stop()
        left = leaked(local)
        shutil.rmtree(home, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    assert left == []


@pytest.fixture(scope="package")
def stack(figures: Figures) -> Iterator[Stack]:
    """The stack that everybody here gets, started once, with the sample definitions and data published.

    It ends with the last of these tests: those that follow in this process must not find its settings.
    """
    with started({"CCH_LIFECYCLE_TOPIC": TOPIC, **figures.settings()}) as running:
        running.cch("publish")
        running.eventually("the DAGs", lambda: running.api("GET", "/dags/orchestra_fan_out_v1")[0] == 200)
        yield running


@pytest.fixture
def page(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser that is logged in; what it showed last is left in build/e2e."""
    program = chromium()
    if not program:
        assert not os.environ.get("CI"), "CI must have a browser: .ci/run installs Chromium"
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    size = {"width": 1400, "height": 900}
    with logged_in(program, stack.local.layout.ui_url, stack.local.password, viewport=size) as page:
        yield page
        page.screenshot(path=ROOT / "build" / "e2e" / f"{request.node.name}.png")
