"""Lambda functions: the capability mock behind the request queues, and the sample workflow's task."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from cch_infra.messaging import Messaging
from cch_infra.packaging import NOT_PACKED, pack_mock
from cch_infra.reasons import excuse
from cch_infra.shared import ROOT, TIMEOUT, VISIBILITY, Function, Names, Runtime


class Functions(Construct):
    """``tasks``, which the sample workflows call, and ``mock``, if there is to be one."""

    def __init__(self, scope: Construct, names: Names, messaging: Messaging, *, mock: bool) -> None:
        super().__init__(scope, "Functions")
        self._names = names
        found = map(Function.at, sorted((ROOT / "lambda-functions").iterdir()))
        self.tasks = [self._task(function) for function in found if function]
        self.mock = self._mock(messaging) if mock else None
        self.all = [*self.tasks, *([self.mock] if self.mock else [])]

    def _task(self, function: Function) -> lambda_.Function:
        name, folder = function.folder.name, str(function.folder)
        if function.runtime is Runtime.IMAGE:
            platform = ecr_assets.Platform.LINUX_ARM64
            image = lambda_.DockerImageCode.from_image_asset(folder, platform=platform)
            return lambda_.DockerImageFunction(self, name, code=image, **self._common(name))
        code = lambda_.Code.from_asset(folder)
        if function.runtime is Runtime.NODE:
            return self._function(name, handler=function.handler, code=code, runtime=lambda_.Runtime.NODEJS_22_X)
        return self._function(name, handler=function.handler, code=code)

    def _mock(self, messaging: Messaging) -> lambda_.Function:
        function = self._function(
            "capability-mock",
            handler="capability_mock.lambda_handler.handler",
            code=lambda_.Code.from_asset(str(pack_mock()), exclude=list(NOT_PACKED)),
            environment={"CCH_ENV": self._names.env, "CCH_OWNER": self._names.owner},
            # AWS recommends that a message stays invisible six times as long as its function may run.
            timeout=cdk.Duration.seconds(VISIBILITY // 6),
        )
        for queue in messaging.requests:
            function.add_event_source(sources.SqsEventSource(queue, batch_size=10, report_batch_item_failures=True))
        messaging.replies.grant_send_messages(function)
        return function

    def _function(self, name: str, **options: Any) -> lambda_.Function:
        function = lambda_.Function(
            self, name, **{"runtime": lambda_.Runtime.PYTHON_3_12, **self._common(name), **options}
        )
        excuse(
            function,
            "AwsSolutions-L1",
            "3.12 is the Python of Amazon MWAA's image, which all is tested on; Node.js 22 has long-term support.",
        )
        return function

    def _common(self, name: str) -> dict[str, Any]:
        """What all functions have: name, log group, role, limits."""
        function_name = f"{self._names.prefix}{name}"
        group = logs.LogGroup(
            self,
            f"{name}-logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        # A role of our own: the usual one may write to every log group of the account.
        role = iam.Role(self, f"{name}-role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        return {
            "function_name": function_name,
            "architecture": lambda_.Architecture.ARM_64,
            "memory_size": 256,
            "role": role,
            "log_group": group,
            "timeout": cdk.Duration.seconds(TIMEOUT),
        }
