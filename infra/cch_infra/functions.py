"""Lambda functions: the capability mock behind the request queues, and the sample workflow's task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from cch_infra.messaging import Messaging
from cch_infra.shared import ROOT, Names
from cch_infra.storage import Storage

_RUNTIME = lambda_.Runtime.PYTHON_3_12


def mock_package(folder: Path = ROOT / "build" / "mock-lambda") -> Path:
    """The mock with what it needs, as Lambda wants it: made once."""
    if not (folder / "capability_mock").is_dir():
        # Pure Python, so what is installed here runs there.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(folder)]
        subprocess.run([*command, str(ROOT / "capability-mock-service")], check=True)  # noqa: S603 - our own arguments
    return folder


class Functions(Construct):
    """``mock`` (None without one) and ``tasks``."""

    def __init__(self, scope: Construct, names: Names, storage: Storage, messaging: Messaging, *, mock: bool) -> None:
        super().__init__(scope, "Functions")
        self.tasks = [self._task(names, folder) for folder in sorted((ROOT / "lambda-functions").iterdir())]
        self.mock = self._mock(names, storage, messaging) if mock else None

    def _task(self, names: Names, folder: Path) -> lambda_.Function:
        return self._function(
            folder.name, f"{names.prefix}{folder.name}", "handler.handler", lambda_.Code.from_asset(str(folder))
        )

    def _mock(self, names: Names, storage: Storage, messaging: Messaging) -> lambda_.Function:
        function = self._function(
            "Mock",
            f"{names.prefix}capability-mock",
            "capability_mock.lambda_handler.handler",
            lambda_.Code.from_asset(str(mock_package())),
            # One at a time: scripts count calls per execution environment.
            concurrency=1,
            environment={"CCH_ENV": names.env, "CCH_OWNER": names.owner},
            timeout=cdk.Duration.seconds(60),
        )
        for queue in messaging.requests:
            function.add_event_source(sources.SqsEventSource(queue, batch_size=10, report_batch_item_failures=True))
        messaging.replies.grant_send_messages(function)
        storage.eventdata.grant_read(function)
        return function

    def _function(  # noqa: PLR0917 - what differs between the functions
        self,
        name: str,
        function_name: str,
        handler: str,
        code: lambda_.Code,
        concurrency: int | None = None,
        environment: dict[str, str] | None = None,
        timeout: cdk.Duration | None = None,
    ) -> lambda_.Function:
        group = logs.LogGroup(
            self,
            f"{name}Logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        role = iam.Role(self, f"{name}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        return lambda_.Function(
            self,
            name,
            function_name=function_name,
            runtime=_RUNTIME,
            handler=handler,
            code=code,
            role=role,
            log_group=group,
            environment=environment or {},
            timeout=timeout or cdk.Duration.seconds(30),
            memory_size=256,
            reserved_concurrent_executions=concurrency,
        )
