"""Lambda functions: the capability mock behind the request queues, and the sample workflow's task."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from cch_infra.messaging import Messaging
from cch_infra.packaging import NOT_PACKED, pack_mock
from cch_infra.reasons import excuse
from cch_infra.shared import ROOT, VISIBILITY, Names


class Functions(Construct):
    """``tasks``, which the sample workflows call, and ``mock``, if there is to be one."""

    def __init__(self, scope: Construct, names: Names, messaging: Messaging, *, mock: bool) -> None:
        super().__init__(scope, "Functions")
        self._names = names
        self.tasks = [
            self._function(folder.name, handler="handler.handler", code=lambda_.Code.from_asset(str(folder)))
            for folder in sorted((ROOT / "lambda-functions").iterdir())
        ]
        self.mock = self._mock(messaging) if mock else None
        self.all = [*self.tasks, *([self.mock] if self.mock else [])]

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
        function = lambda_.Function(
            self,
            name,
            function_name=function_name,
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=256,
            role=role,
            log_group=group,
            **{"timeout": cdk.Duration.seconds(30), **options},
        )
        excuse(
            function, "AwsSolutions-L1", "3.12 is the Python of Amazon MWAA's image, which all of this is tested on."
        )
        return function
