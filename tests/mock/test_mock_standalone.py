"""The service as its own process, on moto's server, with real boto3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mock_fakes import request
from tests.patience import eventually
from tests.patience import run as run_to_its_end

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "capability-mock-service"

#: Seconds without any byte of an answer after which a call is given up.
SILENCE = 120.0


class Mock:
    """A running mock; `folder` takes its files."""

    def __init__(self, aws: Any, folder: Path, *flags: str, scenario: str = "") -> None:
        self.aws = aws
        self.ready_file = folder / "ready.json"
        self.log = folder / "log.txt"
        arguments = ["--ready-file", str(self.ready_file), "--discover-seconds", "1", *flags]
        if scenario:
            (folder / "scenario.yaml").write_text(scenario, encoding="utf-8")
            arguments += ["--scenario", str(folder / "scenario.yaml")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "capability_mock", *arguments],
                env={**os.environ, "PYTHONPATH": str(PACKAGE)},
                stderr=log,
            )
        ready = eventually("the ready file", self._ready)
        self.url = ready["control_url"]
        assert ready["pid"] == self.process.pid

    def _ready(self) -> Any:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        return self.ready_file.exists() and json.loads(self.ready_file.read_text(encoding="utf-8"))

    def call(self, method: str, path: str, body: str | None = None) -> Any:
        """The answer's JSON; of a refusal `(status, JSON)`."""
        data = None if body is None else body.encode()
        wanted = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(wanted, timeout=SILENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stats(self) -> Any:
        return self.call("GET", "/stats")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        eventually("the mock's end", lambda: self.process.poll() is not None)
        return self.process.returncode


class Stage:
    """The queues of one test, and the mocks that run on them."""

    def __init__(self, aws: Any, folder: Path) -> None:
        self.aws = aws
        self.folder = folder
        self.mocks: list[Mock] = []
        self.prefix = f"cch-{os.environ['CCH_ENV']}-{os.environ['CCH_OWNER']}-"
        self.replies = self.queue("orchestrator-reply-queue")
        self.requests = self.queue("capability-import-request-queue")

    def queue(self, resource: str) -> str:
        return str(self.aws.create_queue(QueueName=self.prefix + resource)["QueueUrl"])

    def start(self, *flags: str, scenario: str = "") -> Mock:
        self.mocks.append(Mock(self.aws, self.folder, *flags, scenario=scenario))
        return self.mocks[-1]

    def ask(self, capability: str = "import#e", queue: str = "", **changes: Any) -> dict[str, Any]:
        asked = request(capability, reply_queue=self.replies, **changes)
        self.aws.send_message(QueueUrl=queue or self.requests, MessageBody=json.dumps(asked))
        return asked

    def take(self, count: int) -> list[str]:
        """The next `count` messages on the reply queue."""
        taken: list[str] = []

        def enough() -> bool:
            answer = self.aws.receive_message(QueueUrl=self.replies, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", ()):
                self.aws.delete_message(QueueUrl=self.replies, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message["Body"])
            return len(taken) >= count

        eventually(f"{count} replies", enough)
        return taken

    def left(self) -> int:
        """Requests that are not deleted, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        values = self.aws.get_queue_attributes(QueueUrl=self.requests, AttributeNames=names)["Attributes"]
        return sum(int(values[name]) for name in names)


@pytest.fixture
def stage(aws: Any, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(aws, tmp_path)
    yield stage
    for mock in stage.mocks:
        if mock.process.poll() is None:
            mock.process.kill()
            mock.process.wait()


def test_request_is_answered_and_sigterm_stops_cleanly(stage: Stage) -> None:
    """A request gets its reply and is deleted; SIGTERM ends the process with 0."""
    mock = stage.start()
    asked = stage.ask("import#e", keys=["import_enrichment_uri"])

    (body,) = stage.take(1)
    eventually("the request to be deleted", lambda: stage.left() == 0)
    code = mock.stop()

    reply = json.loads(body)
    assert reply["command"]["inReplyTo"] == asked["header"]["commandId"]
    assert reply["command"]["payload"]["import_enrichment_uri"].startswith(f"s3://{stage.prefix}eventdata-bucket/")
    assert (code, mock.ready_file.exists()) == (0, False)
    assert "Traceback" not in mock.log.read_text(encoding="utf-8")


def test_the_reply_belongs_to_the_trace_of_its_request(stage: Stage) -> None:
    """The trace context is handed on as it came; a request without one gets a reply without one."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    stage.start()
    for attributes in ({"traceparent": {"DataType": "String", "StringValue": trace}}, {}):
        asked = json.dumps(request(reply_queue=stage.replies))
        stage.aws.send_message(QueueUrl=stage.requests, MessageBody=asked, MessageAttributes=attributes)

    traces: list[str] = []

    def both() -> bool:
        wanted = {"MessageAttributeNames": ["All"], "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10}
        got = stage.aws.receive_message(QueueUrl=stage.replies, **wanted).get("Messages", ())
        attributes = [reply.get("MessageAttributes", {}).get("traceparent", {}) for reply in got]
        traces.extend(attribute.get("StringValue", "") for attribute in attributes)
        return len(traces) >= 2

    eventually("two replies", both)
    assert sorted(traces) == ["", trace]


def test_queue_created_later_is_found(stage: Stage) -> None:
    """Queues that appear while the mock runs are polled; dead-letter queues and other resources are not."""
    mock = stage.start()
    stage.queue("capability-late-request-queue-dlq")
    late = stage.queue("capability-late-request-queue")

    stage.ask("late#x", queue=late, keys=["k"])
    stage.take(1)

    names = mock.call("GET", "/health")["queues"]
    assert names == [stage.prefix + f"capability-{name}-request-queue" for name in ("import", "late")]


def test_queue_that_goes_is_let_go_and_found_again(stage: Stage) -> None:
    """A deleted queue is no longer polled; created anew it is answered again."""
    mock = stage.start()
    stage.aws.delete_queue(QueueUrl=stage.requests)
    eventually("the queue to be let go", lambda: mock.call("GET", "/health")["queues"] == [])

    stage.queue("capability-import-request-queue")
    stage.ask()

    stage.take(1)


def test_delay_duplicates_and_broken_replies(stage: Stage) -> None:
    """A delayed reply comes late, a duplicated one twice, a malformed one as no JSON."""
    mock = stage.start(
        scenario="time_scale: 0.001\ncapabilities: {a#b: [{after: 10m, duplicate: 2}], c#d: [{malformed: true}]}"
    )

    begun = time.monotonic()
    stage.ask("a#b")
    copies = stage.take(2)
    took = time.monotonic() - begun
    stage.ask("c#d")
    (broken,) = stage.take(1)

    assert copies[0] == copies[1]
    assert took >= 0.6
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(broken)
    stats = eventually("both to be counted", lambda: (found := mock.stats())["answered"] == 2 and found)
    assert (stats["received"], stats["sent"], stats["malformed"], stats["waiting"]) == (2, 3, 1, 0)


def test_killed_mock_answers_after_its_restart(stage: Stage) -> None:
    """A request that waits for its delay outlives a kill: the next mock answers, with the same reply id."""
    from capability_mock.messages import reply_id

    first = stage.start("--visibility-seconds", "2", scenario="capabilities: {a#b: [{after: 1h}]}")
    asked = stage.ask("a#b")
    eventually("the request to wait", lambda: first.stats()["waiting"] == 1)
    first.process.kill()
    first.process.wait()
    first.ready_file.unlink()

    stage.start("--visibility-seconds", "2")
    (body,) = stage.take(1)

    assert json.loads(body)["command"]["id"] == reply_id(asked["header"]["commandId"])


def test_waiting_request_outlives_the_visibility_timeout(stage: Stage) -> None:
    """While a delay runs the request stays hidden, for longer than its visibility timeout, and is answered
    once.
    """
    mock = stage.start("--visibility-seconds", "2", scenario="capabilities: {a#b: [{after: 4s}]}")

    stage.ask("a#b")
    stage.take(1)

    assert mock.stats()["capabilities"]["a#b"]["repeated"] == 0


def test_stopped_mock_gives_its_requests_back(stage: Stage) -> None:
    """After SIGTERM a waiting request is visible at once, not after its visibility timeout."""
    mock = stage.start("--visibility-seconds", "600", scenario="capabilities: {a#b: [{after: 1h}]}")
    stage.ask("a#b")
    eventually("the request to wait", lambda: mock.stats()["waiting"] == 1)

    mock.stop(signal.SIGINT)

    assert len(stage.aws.receive_message(QueueUrl=stage.requests)["Messages"]) == 1


def test_control_api(stage: Stage) -> None:
    """Scenarios are set, refused and cleared; the record and the counts are shown and reset."""
    mock = stage.start()
    put = "capabilities: {a#b: [{payload: {n: 1}, after: 1h}]}"

    assert mock.call("PUT", "/scenario?time_scale=0", "name: general\n" + put)["name"] == "general"
    assert mock.call("PUT", "/scenario?instance=i-9", json.dumps({"capabilities": {"a#b": [{}]}}))["instance"] == "i-9"
    assert mock.call("GET", "/scenario") == {"name": "general", "capabilities": ["a#b"], "instances": ["i-9"]}
    status, refused = mock.call("PUT", "/scenario", "capabilities: {a#b: [{after: x, never: 2}]}")
    assert (status, len(refused["problems"])) == (422, 2)
    assert refused["problems"][0]["key"] == "capabilities.a#b[0].after"
    assert mock.call("PUT", "/scenario?time_scale=x", put)[0] == 422

    asked = stage.ask("a#b", instance="i-1", branch="k")
    stage.ask("a#b", instance="i-9", keys=["z"])
    payloads = [json.loads(body)["command"]["payload"] for body in stage.take(2)]
    assert sorted(map(str, payloads)) == ["{'n': 1}", "{'z': 'z of a#b for BOL-1'}"]

    (entry,) = mock.call("GET", "/requests?capability=a%23b&instance=i-1&limit=5")["requests"]
    assert entry["commandId"] == asked["header"]["commandId"]
    assert (entry["requestKey"], entry["branch"], entry["times"]) == ("Prepare#1", "k", 1)
    assert (entry["answer"]["payload"], entry["answer"]["scripted"]) == ({"n": 1}, True)
    assert entry["body"] == asked["body"]
    assert mock.call("GET", "/requests?limit=x")[0] == 422

    mock.call("DELETE", "/scenario?all=true")
    assert mock.call("GET", "/scenario") == {"name": "", "capabilities": [], "instances": []}
    mock.call("DELETE", "/requests")
    assert mock.call("GET", "/requests") == {"requests": []}
    assert mock.stats()["received"] == 0
    assert mock.call("GET", "/nothing")[0] == mock.call("POST", "/stats")[0] == 404


def test_pause_and_resume(stage: Stage) -> None:
    """While paused nothing is received; afterwards everything is."""
    mock = stage.start()
    mock.call("POST", "/pause")
    stage.ask()

    time.sleep(1.2)  # longer than a poll: had one been left, it would have taken the request
    assert (mock.stats()["received"], mock.stats()["paused"]) == (0, True)
    mock.call("POST", "/resume")

    stage.take(1)


def test_arbitrary_messages_can_be_sent(stage: Stage) -> None:
    """`POST /replies` sends what it is given, JSON or text; nonsense and missing queues are refused."""
    mock = stage.start()

    for body in ({"any": "thing"}, "no { json"):
        sent = mock.call("POST", "/replies", json.dumps({"queueUrl": stage.replies, "body": body}))
        assert sent["messageId"]
    assert sorted(stage.take(2)) == ["no { json", '{"any": "thing"}']

    wrong = ["nonsense", "[]", '{"queueUrl": "x"}', '{"queueUrl": "x", "body": 1, "delaySeconds": 901}']
    assert [mock.call("POST", "/replies", body)[0] for body in wrong] == [422] * 4
    gone = json.dumps({"queueUrl": stage.replies + "-gone", "body": "x"})
    assert mock.call("POST", "/replies", gone)[0] == 502


def test_wrong_use_is_one_clear_message(aws: Any, tmp_path: Path) -> None:
    """A bad scenario, a bad flag or a taken port ends the start with a message, without a traceback."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("capabilities: {a#b: [{after: soon}]}", encoding="utf-8")

    def run(*flags: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "capability_mock", *flags]
        done = run_to_its_end(command, env={**os.environ, "PYTHONPATH": str(PACKAGE)})
        return done.returncode, done.stderr

    code, text = run("--scenario", str(bad))
    assert (code, len(text.splitlines())) == (2, 1)
    assert text.startswith(f"{bad}:1:23: capabilities.a#b[0].after: 'soon' is not a duration such as 5s, 2m")
    assert run("--wait-seconds", "21")[0] == 2
    code, text = run("--control-port", "99999")
    assert (code, "Traceback" in text, "cannot listen on 127.0.0.1:99999" in text) == (1, False, True)
