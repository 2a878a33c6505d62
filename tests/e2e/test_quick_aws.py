"""The main job on the quick stand-in for AWS, from the command queue to the books that balance."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from tests.e2e.conftest import TOPIC, Stack, started
from tests.e2e.test_observed import _heard, _listen
from tests.e2e.test_starts import CONTEXT, WORKFLOW, assert_the_main_job


@pytest.fixture(scope="module")
def quick() -> Iterator[Stack]:
    """A stack on the quick stand-in, with the sample definitions published."""
    with started({"CCH_STACK_AWS": "quick", "CCH_LIFECYCLE_TOPIC": TOPIC}) as stack:
        stack.cch("publish")
        stack.eventually("the DAGs", lambda: stack.api("GET", "/dags/orchestra_fan_out_v1")[0] == 200)
        yield stack


def test_the_main_job_runs_and_tells_a_topic(quick: Stack) -> None:
    """Every service of AWS that an instance needs."""
    url = _listen(quick)

    instance = quick.start(WORKFLOW, CONTEXT)

    assert_the_main_job(quick.finished(instance))
    assert quick.run_ended(WORKFLOW, instance) == "success"
    quick.eventually("both steps", lambda: len(_heard(quick, url, instance)) >= 2)


@pytest.mark.skipif(which("node") is None, reason="there is no Node.js on this machine")
def test_a_workflow_with_a_map_and_functions_runs(quick: Stack) -> None:
    """Calls of Lambda, on Python, Node.js and in a container, and tasks for each item."""
    instance = quick.start("orchestra_fan_out_v1", {"shipmentId": "SHP-2", "lines": ["shoes", "shirts"]})

    assert quick.finished(instance)["status"] == "completed"


def test_the_books_balance_and_the_doctor_reads_everything(quick: Stack) -> None:
    """Scans, attributes of queues, the table's form, and all that was counted is called by its name."""
    check = quick.cch("ledger", "check")
    doctor = quick.run([str(Path(sys.executable).with_name("cch")), "doctor", "--json"], check=False)
    with urllib.request.urlopen(f"{quick.variables['AWS_ENDPOINT_URL']}/cch/calls") as answer:
        counted = json.load(answer)

    assert check.returncode == 0
    areas = ("credentials", "clock", "cch-", "arn:")
    ill = [f for f in json.loads(doctor.stdout) if f["level"] in ("warning", "error") and f["area"].startswith(areas)]
    assert ill == []
    assert {"DynamoDB.PutItem", "DynamoDB.Query", "AmazonSQS.ReceiveMessage.ReceiveMessage"} <= counted.keys()
