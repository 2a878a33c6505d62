"""The main job on the resources that CloudFormation made; at the end, that nothing is left of them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import ROOT, STACK, Deployed, client, template

from cch.aws.provision import upload_samples
from cch.settings import load_settings
from cch.stack.local import AIRFLOW_SERVICES

WORKFLOW = "import_vn_memphis_v1"


def cch(*arguments: str) -> str:
    """Run the command line as a person would."""
    command = [str(Path(sys.executable).with_name("cch")), *arguments]
    answer = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-3000:]
    return answer.stdout


def calls(deployed: Deployed, method: str = "GET") -> dict[str, int]:
    """Calls of AWS since they were counted anew (DELETE), by operation."""
    request = urllib.request.Request(f"{deployed.url}/cch/calls", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, int] = json.load(answer)
    return found


def allowed(service: str) -> set[str]:
    """Actions of a service that the policy for Airflow's role allows."""
    (policy,) = (each for each in template()["Resources"].values() if each["Type"] == "AWS::IAM::ManagedPolicy")
    found: set[str] = set()
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        actions: Any = statement["Action"]
        found |= set([actions] if isinstance(actions, str) else actions)
    return {action.removeprefix(f"{service}:") for action in found if action.startswith(f"{service}:")}


@pytest.mark.main_job
def test_the_main_job_runs(deployed: Deployed) -> None:
    """Airflow, mock and command line on nothing but what was deployed, with the calls that the policy allows."""
    settings = load_settings()
    names = settings.names
    upload_samples(settings, ROOT / "sample-data")
    cch("publish")
    calls(deployed, "DELETE")

    deployed.start(lambda _line: None)
    asn = json.loads((ROOT / "sample-data" / "asn-hcmc-memphis.json").read_text())
    values = {name: asn[name] for name in ("shipmentId", "originCountry", "destinationCountry")}
    context = {**values, "asnUri": f"s3://{names.eventdata_bucket}/samples/asn-hcmc-memphis.json"}
    cch("run", WORKFLOW, "--context", json.dumps(context), "--watch", "--still", "240")
    used = {name.removeprefix("DynamoDB.") for name in calls(deployed) if name.startswith("DynamoDB.")}
    cch("ledger", "check")

    assert {"GetItem", "PutItem", "UpdateItem", "Query"} <= used <= allowed("dynamodb")


def test_deleting_the_stack_leaves_nothing(deployed: Deployed) -> None:
    """Whoever tries it out, empties the buckets and deletes the stack has nothing left to pay for."""
    deployed.processes.stop([*AIRFLOW_SERVICES, "mock"])
    names = load_settings().names
    for bucket in (names.definitions_bucket, names.eventdata_bucket):
        boto3.resource("s3").Bucket(bucket).object_versions.delete()
    cloudformation = client("cloudformation", deployed.url)

    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})

    assert not client("sqs", deployed.url).list_queues().get("QueueUrls")
    assert client("dynamodb", deployed.url).list_tables()["TableNames"] == []
    buckets = client("s3", deployed.url).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets if not bucket["Name"].startswith("cdk-")] == []
    assert client("lambda", deployed.url).list_functions()["Functions"] == []
    assert client("sns", deployed.url).list_topics()["Topics"] == []
    assert client("logs", deployed.url).describe_log_groups()["logGroups"] == []
    # Not its managed policies: moto's CloudFormation does not delete them.
    assert client("iam", deployed.url).list_roles()["Roles"] == []
