"""The Lambda handler, on moto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mock_fakes import FakeQueues, request

from capability_mock import lambda_handler
from capability_mock.lambda_handler import handler, scenario_from
from capability_mock.scenario import Scenario, ScenarioError

if TYPE_CHECKING:
    from pathlib import Path

    from capability_mock.queues import Outgoing


def event(*messages: dict[str, Any] | str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"m-{index}", "body": item if isinstance(item, str) else json.dumps(item)}
            for index, item in enumerate(messages)
        ]
    }


class Recorder(FakeQueues):
    """Notes the messages with their delays."""

    def __init__(self) -> None:
        super().__init__()
        self.outgoing: list[Outgoing] = []

    def send(self, url: str, messages: list[Outgoing]) -> set[int]:
        self.outgoing += messages
        return super().send(url, messages)


@pytest.fixture(autouse=True)
def queues(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A cold execution environment whose SQS is in memory."""
    recorder = Recorder()
    monkeypatch.setattr(lambda_handler, "_mock", None)
    monkeypatch.setattr(lambda_handler, "connect", lambda _names: recorder)
    monkeypatch.delenv("CCH_MOCK_SCENARIO", raising=False)
    return recorder


def test_batch_is_answered(queues: Recorder) -> None:
    """Every request of a batch gets its reply; nothing is reported as failed."""
    result = handler(event(request("import#e"), request("a#b", keys=["k"])), None)

    assert result == {"batchItemFailures": []}
    assert [json.loads(m.body)["command"]["source"] for m in queues.outgoing] == [
        "Capability:import#e",
        "Capability:a#b",
    ]


def test_the_reply_belongs_to_the_trace_of_its_request(queues: Recorder) -> None:
    """Lambda spells message attributes in its own way."""
    asked = event(request("import#e"))
    asked["Records"][0]["messageAttributes"] = {"traceparent": {"stringValue": "00-t-s-01", "dataType": "String"}}

    handler(asked, None)

    assert [message.traceparent for message in queues.outgoing] == ["00-t-s-01"]


def test_failed_reply_is_reported_and_invalid_message_is_not(queues: Recorder) -> None:
    """A request whose reply was not accepted comes again; one that is no request never does."""
    queues.broken.add("http://sqs/1/gone")

    result = handler(event("no json", request("a#b", reply_queue="http://sqs/1/gone"), request("a#b")), None)

    assert result == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_delay_is_given_to_sqs(queues: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay becomes DelaySeconds; one beyond the quota is cut to it."""
    monkeypatch.setenv("CCH_MOCK_SCENARIO", "capabilities: {a#b: [{after: 45s}, {after: 3d}]}")

    handler(event(request("a#b"), request("a#b")), None)

    assert [message.delay for message in queues.outgoing] == [45, 900]


def test_faults_work_there_too(queues: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never, duplicate and out of order do in a batch what they say."""
    monkeypatch.setenv(
        "CCH_MOCK_SCENARIO",
        "capabilities:\n  n#n: [{never: true}]\n  d#d: [{duplicate: 2}]\n  o#o: [{out_of_order: true}]\n",
    )

    handler(event(request("o#o"), request("n#n"), request("d#d")), None)

    sources = [json.loads(message.body)["command"]["source"] for message in queues.outgoing]
    assert sources == ["Capability:d#d", "Capability:d#d", "Capability:o#o"]


def test_warm_environment_remembers(queues: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two events the command ids and the counts are kept."""
    monkeypatch.setenv("CCH_MOCK_SCENARIO", "capabilities: {a#b: [{status: ERROR}, {}]}")
    asked = request("a#b")

    handler(event(asked), None)
    handler(event(asked, request("a#b")), None)

    replies = [json.loads(message.body)["command"]["status"] for message in queues.outgoing]
    assert replies == ["ERROR", "ERROR", "SUCCESS"]


def test_scenario_setting_is_yaml_or_a_path(tmp_path: Path) -> None:
    """The setting may hold the scenario or name a file; nothing means the default answers."""
    file = tmp_path / "s.yaml"
    file.write_text("capabilities: {a#b: [{}]}", encoding="utf-8")

    assert scenario_from("  ") == Scenario()
    assert scenario_from(str(file)) == scenario_from('{"capabilities": {"a#b": [{}]}}')
    assert scenario_from("capabilities: {a#b: [{}]}") == scenario_from(str(file))
    with pytest.raises(ScenarioError, match="CCH_MOCK_SCENARIO:1:1: nope: unknown key"):
        scenario_from("nope: 1")


def test_real_queue_receives_the_reply(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With boto3 the reply lies in the reply queue, and a missing queue is a failure."""
    from capability_mock.queues import connect

    monkeypatch.setattr(lambda_handler, "connect", connect)
    url = aws.create_queue(QueueName="lambda-reply-queue")["QueueUrl"]

    result = handler(event(request("a#b", reply_queue=url), request("a#b", reply_queue=url + "-gone")), None)

    (message,) = aws.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["command"]["source"] == "Capability:a#b"
    assert result == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
