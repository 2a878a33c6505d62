"""An Amazon MWAA environment with its network and its role: a stack of its own, because its files come first."""

from __future__ import annotations

import json
from collections.abc import Iterable

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_mwaa as mwaa
from constructs import Construct

from cch_infra.choices import Choices
from cch_infra.failures import FailedWorkflows
from cch_infra.observation import Alarms
from cch_infra.permissions import allow
from cch_infra.reasons import excuse
from cch_infra.shared import ROOT
from cch_infra.stack import CchStack
from cch_infra.storage import airflow_files

#: The image whose pins the project is tested against (requirements/mwaa-3.3.1.txt).
_AIRFLOW = "3.3.1"
#: Options that every environment has, each with its reason; `make mwaa-package` writes the same.
_CONFIGURATION = json.loads((ROOT / "deploy" / "mwaa" / "configuration.json").read_text())


class AirflowStack(cdk.Stack):
    """``cch-<env>-<owner>-airflow``: two private subnets with a way out, the role, the environment."""

    def __init__(self, scope: Construct, choices: Choices, base: CchStack) -> None:
        names = choices.names
        self._name = f"{names.prefix}airflow"
        self._files = airflow_files(names)
        super().__init__(
            scope,
            self._name,
            description="CCH on Airflow: an Amazon MWAA environment",
            termination_protection=choices.keep,
            tags={"cch:env": names.env, "cch:owner": names.owner},
        )
        self.add_stack_dependency(base)
        environment = self._environment(choices, self._role(base), self._network())
        failed = FailedWorkflows(self, names, f"airflow-{self._name}-Task", Alarms(self, names, base.topic))
        failed.node.add_dependency(environment)  # MWAA makes the log group
        cdk.CfnOutput(self, "WebServer", value=f"https://{environment.attr_webserver_url}")

    def _network(self) -> ec2.Vpc:
        network = ec2.Vpc(
            self,
            "Network",
            max_azs=2,
            nat_gateways=1,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
                ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=24),
            ],
            # Free, and most of the traffic.
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        network.add_flow_log("FlowLog")
        return network

    def _role(self, base: CchStack) -> iam.Role:
        """The execution role; only this environment can be given it."""
        own = {
            "StringEquals": {"aws:SourceAccount": self.account},
            "ArnLike": {"aws:SourceArn": self._own_arn()},
        }
        policy = iam.ManagedPolicy(
            self,
            "Policy",
            managed_policy_name=f"{self._name}-environment-policy",
            statements=list(self._what_mwaa_needs()),
        )
        excuse(policy, "AwsSolutions-IAM5", "Amazon MWAA's documentation asks for exactly these.", self._wildcards())
        return iam.Role(
            self,
            "Role",
            role_name=f"{self._name}-role",
            assumed_by=iam.CompositePrincipal(
                iam.ServicePrincipal("airflow.amazonaws.com", conditions=own),
                iam.ServicePrincipal("airflow-env.amazonaws.com", conditions=own),
            ),
            managed_policies=[base.policy, policy],
        )

    def _own_arn(self) -> str:
        return self.format_arn(service="airflow", resource="environment", resource_name=self._name)

    def _wildcards(self) -> tuple[str, ...]:
        """Findings of cdk-nag for what Amazon MWAA asks for."""
        actions = ("s3:GetBucket*", "s3:GetObject*", "s3:List*", "kms:GenerateDataKey*")
        resources = (
            "*",
            f"arn:<AWS::Partition>:s3:::{self._files}/*",
            f"arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:airflow-{self._name}-*",
            "arn:<AWS::Partition>:sqs:<AWS::Region>:*:airflow-celery-*",
        )
        return (*(f"Action::{action}" for action in actions), *(f"Resource::{resource}" for resource in resources))

    def _what_mwaa_needs(self) -> Iterable[iam.PolicyStatement]:
        """Amazon MWAA's documentation, "execution role", for a key owned by AWS."""
        groups = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:airflow-{self._name}-*"
        files = f"arn:{self.partition}:s3:::{self._files}"
        celery = f"arn:{self.partition}:sqs:{self.region}:*:airflow-celery-*"
        yield allow("Metrics", "airflow", ["PublishMetrics"], [self._own_arn()])
        yield allow("Files", "s3", ["GetObject*", "GetBucket*", "List*"], [files, f"{files}/*"])
        yield allow("PublicAccess", "s3", ["GetAccountPublicAccessBlock"], ["*"])
        yield allow(
            "Logs",
            "logs",
            ["CreateLogStream", "CreateLogGroup", "PutLogEvents", "GetLogEvents", "GetLogRecord", "GetLogGroupFields",
             "GetQueryResults"],
            [groups],
        )  # fmt: skip
        yield allow("FindLogs", "logs", ["DescribeLogGroups"], ["*"])
        yield allow("Health", "cloudwatch", ["PutMetricData"], ["*"])
        yield allow(
            "Celery",
            "sqs",
            ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage",
             "SendMessage"],
            [celery],
        )  # fmt: skip
        yield iam.PolicyStatement(
            sid="CeleryKey",
            actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:Encrypt"],
            not_resources=[f"arn:{self.partition}:kms:*:{self.account}:key/*"],
            conditions={"StringLike": {"kms:ViaService": [f"sqs.{self.region}.amazonaws.com"]}},
        )

    def _environment(self, choices: Choices, role: iam.Role, network: ec2.Vpc) -> mwaa.CfnEnvironment:
        group = ec2.SecurityGroup(self, "Group", vpc=network, description="The components of Airflow among themselves")
        group.add_ingress_rule(group, ec2.Port.all_traffic(), "one another")
        of, names = mwaa.CfnEnvironment, choices.names
        on = of.ModuleLoggingConfigurationProperty(enabled=True, log_level="INFO")
        environment = of(
            self,
            "Environment",
            name=self._name,
            airflow_version=_AIRFLOW,
            environment_class="mw1.small",
            min_workers=1,
            max_workers=5,
            schedulers=2,
            execution_role_arn=role.role_arn,
            source_bucket_arn=f"arn:{self.partition}:s3:::{self._files}",
            dag_s3_path="dags",
            plugins_s3_path="plugins.zip" if choices.plugins_version else None,
            plugins_s3_object_version=choices.plugins_version or None,
            requirements_s3_path="requirements.txt" if choices.requirements_version else None,
            requirements_s3_object_version=choices.requirements_version or None,
            webserver_access_mode="PUBLIC_ONLY",
            network_configuration=of.NetworkConfigurationProperty(
                security_group_ids=[group.security_group_id],
                subnet_ids=[subnet.subnet_id for subnet in network.private_subnets],
            ),
            logging_configuration=of.LoggingConfigurationProperty(
                dag_processing_logs=on, scheduler_logs=on, task_logs=on, webserver_logs=on, worker_logs=on
            ),
            airflow_configuration_options={
                **{name: option["value"] for name, option in _CONFIGURATION.items()},
                "cch.env": names.env,
                "cch.owner": names.owner,
            },
        )
        environment.node.add_dependency(role, network)
        return environment
