"""The stack of the defaults, deployed through CloudFormation to moto's server: the program's own one.

Needs the templates that the tests in ``../template`` have left in build/infra.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from cch.stack.layout import choose_ports, open_layout, usual_topology
from cch.stack.local import LocalStack

ROOT = Path(__file__).resolve().parents[3]
BUILT = ROOT / "build" / "infra" / "dev"
STACK = "cch-dev-local"

#: What moto's CloudFormation does not know, or would do otherwise than AWS: left out, for moto only.
UNSUPPORTED: Mapping[str, str] = {
    "AWS::S3::BucketPolicy": "not supported",
    "AWS::SQS::QueuePolicy": "not supported",
    "AWS::SNS::TopicPolicy": "not supported",
    "AWS::CloudWatch::Alarm": "not supported",
    "AWS::CloudWatch::Dashboard": "shows the alarms, which are not there",
    "AWS::Lambda::EventSourceMapping": "moto would take the requests and run the function in a Docker container",
}


def template() -> dict[str, Any]:
    """The template without what moto cannot do."""
    file = BUILT / f"{STACK}.template.json"
    assert file.is_file(), "synthesise first: make infra-test"
    whole: dict[str, Any] = json.loads(file.read_text())
    kept = {name: each for name, each in whole["Resources"].items() if each["Type"] not in UNSUPPORTED}
    for each in kept.values():
        each["DependsOn"] = [name for name in each.get("DependsOn", ()) if name in kept]
    return {**whole, "Resources": kept}


def client(service: str, url: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )


def bootstrap(url: str) -> None:
    """What ``cdk bootstrap`` and the upload of assets by ``cdk deploy`` leave in an account."""
    client("ssm", url).put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    s3 = client("s3", url)
    assets = "cdk-hnb659fds-assets-123456789012-us-east-1"
    s3.create_bucket(Bucket=assets)
    for folder in BUILT.glob("asset.*"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        s3.put_object(Bucket=assets, Key=f"{folder.name.removeprefix('asset.')}.zip", Body=packed.getvalue())


def deploy(url: str) -> None:
    """Create the stack, and wait until CloudFormation says that it is there."""
    bootstrap(url)
    cloudformation = client("cloudformation", url)
    cloudformation.create_stack(
        StackName=STACK, TemplateBody=json.dumps(template()), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})


class Deployed(LocalStack):
    """The local stack, on resources that CloudFormation made in the place of its own provisioning."""

    _made = False

    def _provision(self) -> None:
        if not self._made:
            deploy(self.url)
        self._made = True

    @property
    def url(self) -> str:
        return self.layout.aws_url


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """A server of its own with the stack in it; this process's AWS settings lead there."""
    with pytest.MonkeyPatch.context() as patch:
        # Not in pytest's folder: PostgreSQL, which root starts as somebody else, may not pass that one.
        home = tempfile.mkdtemp(prefix="cch-deployed-")
        patch.setenv("CCH_HOME", home)
        patch.setenv("CCH_PROJECT", str(ROOT))
        # Never the usual ports: Airflow starts a while after they are chosen, and so may other stacks.
        stack = Deployed(replace(open_layout(), ports=choose_ports(usual=False), topology=usual_topology()))
        for name, value in stack.environment().items():
            if name.startswith(("AWS_", "CCH_")):
                patch.setenv(name, value)
        try:
            stack.start(lambda _line: None, ["aws"])
            yield stack
        finally:
            stack.stop()
            shutil.rmtree(home, ignore_errors=True)
