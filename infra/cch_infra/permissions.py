"""What Airflow may do: the program's own calls, on the resources of this environment, and nothing else."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cch_infra.functions import Functions
from cch_infra.messaging import Messaging
from cch_infra.shared import Names
from cch_infra.storage import Storage

_TABLE = ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "DescribeTable")
_RECEIVE = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl", "GetQueueAttributes")
_SEND = ("SendMessage", "GetQueueUrl", "GetQueueAttributes")


def _arns(queues: list[sqs.Queue]) -> list[str]:
    return [queue.queue_arn for queue in queues]


class ExecutionRole(Construct):
    """``role``: for MWAA, or for the machines that Airflow runs on; ``policy`` can be attached to another one."""

    def __init__(
        self, scope: Construct, names: Names, storage: Storage, messaging: Messaging, functions: Functions, *, mwaa: bool
    ) -> None:
        super().__init__(scope, "Permissions")
        services = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"] if mwaa else ["ec2.amazonaws.com"]
        self.role = iam.Role(
            self,
            "Role",
            role_name=f"{names.prefix}airflow-execution-role",
            assumed_by=iam.CompositePrincipal(*map(iam.ServicePrincipal, services)),
        )
        table = storage.table.attr_arn
        statements = [
            self._allow("Ledger", [f"dynamodb:{action}" for action in _TABLE], [table, f"{table}/index/*"]),
            self._allow("Take", [f"sqs:{a}" for a in _RECEIVE], _arns([messaging.commands, messaging.replies])),
            # Starts and events are sent by the command line and the dashboard.
            self._allow(
                "Send",
                [f"sqs:{action}" for action in _SEND],
                _arns([messaging.commands, *messaging.rejected, *messaging.requests]),
            ),
            self._allow("FindBuckets", ["s3:ListBucket"], [b.bucket_arn for b in (storage.definitions, storage.eventdata)]),
            self._allow(
                "Objects",
                ["s3:GetObject", "s3:PutObject"],
                [storage.definitions.arn_for_objects("*"), storage.eventdata.arn_for_objects("*")],
            ),
            self._allow(
                "Tasks", ["lambda:InvokeFunction"], [f"{function.function_arn}" for function in functions.tasks]
            ),
        ]
        self.policy = iam.ManagedPolicy(
            self, "Policy", managed_policy_name=f"{names.prefix}airflow-policy", statements=statements
        )
        self.role.add_managed_policy(self.policy)

    @staticmethod
    def _allow(sid: str, actions: list[str], resources: list[str]) -> iam.PolicyStatement:
        return iam.PolicyStatement(sid=sid, actions=actions, resources=resources)

    def allow_managed_airflow(self, environment: str, bucket_arn: str) -> None:
        """What Amazon MWAA itself needs of the role (its documentation's list)."""
        stack = cdk.Stack.of(self)
        celery = f"arn:{stack.partition}:sqs:{stack.region}:*:airflow-celery-*"
        own = f"arn:{stack.partition}:airflow:{stack.region}:{stack.account}:environment/{environment}"
        groups = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:airflow-{environment}-*"
        for sid, actions, resources in (
            ("Metrics", ["airflow:PublishMetrics"], [own]),
            ("Files", ["s3:GetObject*", "s3:GetBucket*", "s3:List*"], [bucket_arn, f"{bucket_arn}/*"]),
            ("Account", ["s3:GetAccountPublicAccessBlock"], ["*"]),
            (
                "Logs",
                ["logs:CreateLogStream", "logs:CreateLogGroup", "logs:PutLogEvents", "logs:GetLogEvents",
                 "logs:GetLogRecord", "logs:GetLogGroupFields", "logs:GetQueryResults"],
                [groups],
            ),
            ("DescribeLogs", ["logs:DescribeLogGroups", "cloudwatch:PutMetricData"], ["*"]),
            ("Celery", [f"sqs:{a}" for a in (*_RECEIVE, "SendMessage")], [celery]),
        ):  # fmt: skip
            self.policy.add_statements(self._allow(sid, actions, resources))
