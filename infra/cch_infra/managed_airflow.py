"""An Amazon MWAA environment with its network; optional, because many have one."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_mwaa as mwaa
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cch_infra.permissions import ExecutionRole
from cch_infra.shared import Names

#: The image whose pins the project is tested against (requirements/mwaa-3.3.1.txt).
_AIRFLOW = "3.3.1"
#: Why each: docs/operations.md.
_CONFIGURATION = {
    "triggerer.capacity": "10000",
    "triggerer.max_trigger_to_select_per_loop": "500",
    "scheduler.scheduler_idle_sleep_time": "0.2",
    "dag_processor.min_file_process_interval": "30",
}


class ManagedAirflow(Construct):
    """The environment, its bucket, and two private subnets with a way out."""

    def __init__(self, scope: Construct, names: Names, role: ExecutionRole, *, keep: bool) -> None:
        super().__init__(scope, "ManagedAirflow")
        name = f"{names.prefix}airflow"
        bucket = s3.Bucket(
            self,
            "Files",
            bucket_name=f"{names.prefix}airflow-files-bucket",
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            removal_policy=cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY,
        )
        role.allow_managed_airflow(name, bucket.bucket_arn)
        network = ec2.Vpc(
            self,
            "Network",
            max_azs=2,
            nat_gateways=1,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
                ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=24),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        network.add_flow_log("FlowLog")
        group = ec2.SecurityGroup(self, "Group", vpc=network, description="Airflow's components among themselves")
        group.add_ingress_rule(group, ec2.Port.all_traffic(), "one another")
        on = mwaa.CfnEnvironment.ModuleLoggingConfigurationProperty(enabled=True, log_level="INFO")
        self.environment = mwaa.CfnEnvironment(
            self,
            "Environment",
            name=name,
            airflow_version=_AIRFLOW,
            environment_class="mw1.small",
            min_workers=1,
            max_workers=5,
            schedulers=2,
            execution_role_arn=role.role.role_arn,
            source_bucket_arn=bucket.bucket_arn,
            dag_s3_path="dags",
            plugins_s3_path="plugins.zip",
            requirements_s3_path="requirements.txt",
            webserver_access_mode="PUBLIC_ONLY",
            network_configuration=mwaa.CfnEnvironment.NetworkConfigurationProperty(
                security_group_ids=[group.security_group_id],
                subnet_ids=[subnet.subnet_id for subnet in network.private_subnets],
            ),
            logging_configuration=mwaa.CfnEnvironment.LoggingConfigurationProperty(
                dag_processing_logs=on, scheduler_logs=on, task_logs=on, webserver_logs=on, worker_logs=on
            ),
            airflow_configuration_options={
                **_CONFIGURATION, "cch.env": names.env, "cch.owner": names.owner,
            },
        )  # fmt: skip
        self.environment.node.add_dependency(role.policy)
