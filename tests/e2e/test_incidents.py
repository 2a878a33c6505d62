"""Instances end, are counted, become incidents of which people are told, and expire: on a running stack."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cch.api.dashboard import FOLDER
from cch.stack.local import LocalStack
from tests.e2e.browser import chromium, logged_in
from tests.e2e.conftest import ROOT, TABLE, Stack, started

WORKFLOW, QUEUE, BUCKET = "incidents_v1", "told-of-incidents", "cch-dev-local-eventdata-bucket"
NOTIFIER = {
    "notifier": "airflow.providers.amazon.aws.notifications.sqs.SqsNotifier",
    "arguments": {
        "queue_url": QUEUE,
        "message_body": "{{ cch_news }} {{ incident.count }} {{ incident.code }}: {{ cch_text }}",
    },
    "kinds": ["failed"],
}
REFUSED = {"status": "ERROR", "payload": {"messages": [{"code": "UNKNOWN_BILL"}]}}
DAY = 86_400_000
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"


def prepare(local: LocalStack) -> None:
    """The queue on which the notifier is heard."""
    import boto3

    from cch.stack.layout import environment

    given = environment(local.layout)
    sqs = boto3.client(
        "sqs", endpoint_url=given["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="x",
    )  # fmt: skip
    sqs.create_queue(QueueName=QUEUE)


@pytest.fixture(scope="module")
def watched() -> Iterator[Stack]:
    """A stack with a notifier, an archive, and a day of retention."""
    settings = {
        "CCH_INCIDENT_NOTIFIERS": json.dumps([NOTIFIER]),
        "CCH_RETENTION_DAYS": "1",
        "CCH_ARCHIVE": f"s3://{BUCKET}/archive",
    }
    with started(settings, prepare) as stack:
        stack.cch("publish", str(Path(__file__).with_name("incidents_v1.yaml")))
        stack.eventually("the DAG", lambda: stack.api("GET", f"/dags/{WORKFLOW}")[0] == 200)
        yield stack


def run(stack: Stack, answer: dict[str, Any], bill: str) -> str:
    instance = str(uuid.uuid4())
    stack.mock_scenario(instance, {"capabilities": {"authority#hold": [answer]}})
    stack.start(WORKFLOW, {"bill": bill}, instance, correlation_id=bill)
    stack.finished(instance)
    return instance


def heard(stack: Stack) -> list[str]:
    """What the notifier has said since somebody listened."""
    sqs = stack.client("sqs")
    url, found = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def get(stack: Stack, path: str) -> Any:
    status, answer, _ = stack.call("GET", f"/cch/api/v1{path}")
    assert status == 200, answer
    return answer


def test_what_ends_is_counted_told_of_and_expires(watched: Stack) -> None:
    """The dispatcher's minute does all of it; then the archive has what the ledger has no longer."""
    good = [run(watched, {"payload": {"holdReason": "none"}}, f"MEDU{number}710042") for number in range(2)]
    bad = [run(watched, REFUSED, f"HLCU{number}209130") for number in range(3)]

    def counted() -> Any:
        ends = get(watched, f"/workflows/{WORKFLOW}/statistics")["ends"]
        return (ends["completed"], ends["failed"]) == (2, 3)

    watched.eventually("the figures", counted)
    (group,) = [one for one in get(watched, "/incidents")["items"] if one["kind"] == "failed"]
    assert (group["count"], group["node"], group["code"]) == (3, "Ask", "UNKNOWN_BILL")
    listed = get(watched, f"/instances?incident={group['id']}")["items"]
    assert {one["id"] for one in listed} == set(bad)
    said: list[str] = []
    watched.eventually("somebody is told", lambda: said.extend(heard(watched)) or said)
    assert "UNKNOWN_BILL: CCH: incidents_v1 failed at Ask with UNKNOWN_BILL" in said[0]
    assert said[0].startswith("appeared ")
    shown = watched.cch("incidents").stdout
    assert "UNKNOWN_BILL" in shown

    _age(watched, good[0])
    watched.cch("ledger", "expire")

    assert watched.call("GET", f"/cch/api/v1/instances/{good[0]}")[0] == 410
    archived = json.loads(watched.cch("status", good[0], "--archive", "--json").stdout)
    assert archived["correlation_id"] == "MEDU0710042"
    objects = watched.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"archive/instances/workflow={WORKFLOW}/")
    (entry,) = objects["Contents"]
    body = watched.client("s3").get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
    assert json.loads(gzip.decompress(body))["instance_id"] == good[0]
    assert get(watched, f"/workflows/{WORKFLOW}/statistics")["ends"]["completed"] == 2
    check = watched.cch("ledger", "check")
    assert "balances" in check.stdout


def _age(stack: Stack, instance: str) -> None:
    """Let it have ended two days ago."""
    key = {"PK": {"S": f"INST#{instance}"}, "SK": {"S": "META"}}
    then = int(stack.item(f"INST#{instance}", "META")["started"]) - 2 * DAY
    stack.client("dynamodb").update_item(
        TableName=TABLE, Key=key,
        UpdateExpression="SET #s = :s, #e = :e",
        ExpressionAttributeNames={"#s": "started", "#e": "ended"},
        ExpressionAttributeValues={":s": {"N": str(then)}, ":e": {"N": str(then + 1000)}},
    )  # fmt: skip


@pytest.mark.skipif(which("node") is None, reason="there is no Node.js on this machine")
@pytest.mark.skipif(not (FOLDER / "index.html").is_file(), reason="the dashboard is not built: make ui")
def test_a_person_sees_incidents_and_figures(watched: Stack) -> None:
    """From the list of groups to the instances of one, and to the workflow with its figures on the graph."""
    program = chromium()
    if not program:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    run(watched, REFUSED, "OOLU3300871")
    watched.eventually(
        "the incident", lambda: [one for one in get(watched, "/incidents")["items"] if one["kind"] == "failed"]
    )
    size = {"width": 1400, "height": 900}
    with logged_in(program, watched.local.layout.ui_url, watched.local.password, viewport=size) as page:
        page.goto(f"{watched.local.layout.ui_url}/cch/ui/#/incidents")
        failed = page.get_by_role("region", name="Failed instances")
        expect(failed.get_by_text("UNKNOWN_BILL").first).to_be_visible(timeout=60_000)
        assert _violations(page) == []
        failed.get_by_role("link", name="incidents_v1 failed at Ask").click()
        expect(page.get_by_text("that nobody has run again")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="FAILED").first).to_be_visible(timeout=60_000)
        page.screenshot(path=ROOT / "build" / "e2e" / "incident_search.png")
        page.goto(f"{watched.local.layout.ui_url}/cch/ui/#/workflows/{WORKFLOW}?tab=figures")
        expect(page.get_by_role("table", name="Nodes")).to_be_visible(timeout=60_000)
        expect(page.locator(".node[data-heat]").filter(has_text="Ask customs")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("img", name="Ends by day")).to_be_visible()
        assert _violations(page) == []
        page.screenshot(path=ROOT / "build" / "e2e" / "figures.png", full_page=True)


def _violations(page: Page) -> list[str]:
    """What axe finds on the page."""
    if not AXE.is_file():
        return []
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [f"{each['id']} at {each['nodes'][0]['target']} {each['nodes'][0]['failureSummary']}" for each in found]
