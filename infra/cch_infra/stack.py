"""The stack of one environment: everything that one ``env`` and ``owner`` need, named after them."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from cch_infra.choices import Choices
from cch_infra.failures import FailedWorkflows
from cch_infra.functions import Functions
from cch_infra.messaging import Messaging
from cch_infra.observation import Observation
from cch_infra.permissions import Permissions
from cch_infra.storage import Storage


class CchStack(cdk.Stack):
    """``cch-<env>-<owner>``."""

    def __init__(self, scope: Construct, choices: Choices) -> None:
        names = choices.names
        super().__init__(
            scope,
            names.prefix.rstrip("-"),
            description="CCH on Airflow: queues, ledger and buckets of one environment",
            termination_protection=choices.keep,
            tags={"cch:env": names.env, "cch:owner": names.owner},
        )
        storage = Storage(self, names, keep=choices.keep, airflow=choices.mwaa)
        messaging = Messaging(self, names, choices.capabilities)
        functions = Functions(self, names, messaging, mock=choices.mock)
        observation = Observation(self, names, messaging, functions, choices.alarm_email)
        if choices.airflow_log_group and not choices.mwaa:  # MWAA has its own
            FailedWorkflows(self, names, choices.airflow_log_group, observation.alarms)
        self.policy = Permissions(self, names, storage, messaging, functions).policy
        self.topic = observation.topic
        for name, value in (
            ("PolicyArn", self.policy.managed_policy_arn),
            ("AlarmTopicArn", self.topic.topic_arn),
            ("LifecycleTopicArn", messaging.lifecycle.topic_arn),
            ("DefinitionsBucket", storage.definitions.bucket_name),
            ("EventDataBucket", storage.eventdata.bucket_name),
            ("CommandQueueUrl", messaging.commands.queue_url),
        ):
            cdk.CfnOutput(self, name, value=value)
