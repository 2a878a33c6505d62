"""Buckets and the ledger's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cch_infra.reasons import excuse
from cch_infra.shared import EXPIRES, UNADDRESSED, Names, table_specification

#: How long bodies are kept that are too large for the table and belong to no instance.
_UNADDRESSED_DAYS = 400


def airflow_files(names: Names) -> str:
    """The bucket of an Amazon MWAA environment's files."""
    return f"{names.prefix}airflow-files-bucket"


class Storage(Construct):
    """Private, encrypted, versioned buckets; a table with point-in-time recovery.

    ``airflow``: also a bucket for the files of an Amazon MWAA environment.
    """

    def __init__(self, scope: Construct, names: Names, *, keep: bool, airflow: bool) -> None:
        super().__init__(scope, "Storage")
        self._policy = cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY
        self._logs = self._bucket("AccessLogs", f"{names.prefix}access-logs-bucket", expires_days=90)
        excuse(self._logs, "AwsSolutions-S1", "It holds the access logs of the others; logging itself would never end.")
        self.definitions = self._logged("Definitions", names.definitions_bucket)
        self.eventdata = self._logged("EventData", names.eventdata_bucket)
        # Payloads of instances are deleted with them (CCH_RETENTION_DAYS): by age nobody can tell whether an instance
        # still needs them. Bodies of messages that nobody could read are needed by no instance.
        self.eventdata.add_lifecycle_rule(prefix=UNADDRESSED, expiration=cdk.Duration.days(_UNADDRESSED_DAYS))
        if airflow:
            self._logged("AirflowFiles", airflow_files(names))
        self.table = self._table(table_specification(names.table))

    def _logged(self, name: str, bucket_name: str) -> s3.Bucket:
        return self._bucket(name, bucket_name, logs=self._logs)

    def _bucket(
        self, name: str, bucket_name: str, *, logs: s3.Bucket | None = None, expires_days: int | None = None
    ) -> s3.Bucket:
        rule = s3.LifecycleRule(
            abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
            noncurrent_version_expiration=cdk.Duration.days(90),
            expiration=cdk.Duration.days(expires_days) if expires_days else None,
        )
        return s3.Bucket(
            self,
            name,
            bucket_name=bucket_name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[rule],
            removal_policy=self._policy,
            server_access_logs_bucket=logs,
            server_access_logs_prefix=f"{bucket_name}/" if logs else None,
        )

    def _table(self, form: Mapping[str, Any]) -> dynamodb.CfnTable:
        """The table in the form that the program itself declares."""
        of = dynamodb.CfnTable
        table = of(
            self,
            "Ledger",
            table_name=form["TableName"],
            billing_mode=form["BillingMode"],
            key_schema=_keys(form["KeySchema"]),
            attribute_definitions=[
                of.AttributeDefinitionProperty(
                    attribute_name=attribute["AttributeName"], attribute_type=attribute["AttributeType"]
                )
                for attribute in form["AttributeDefinitions"]
            ],
            global_secondary_indexes=[
                of.GlobalSecondaryIndexProperty(
                    index_name=index["IndexName"],
                    key_schema=_keys(index["KeySchema"]),
                    projection=of.ProjectionProperty(projection_type=index["Projection"]["ProjectionType"]),
                )
                for index in form["GlobalSecondaryIndexes"]
            ],
            time_to_live_specification=of.TimeToLiveSpecificationProperty(attribute_name=EXPIRES, enabled=True),
            point_in_time_recovery_specification=of.PointInTimeRecoverySpecificationProperty(
                point_in_time_recovery_enabled=True
            ),
            sse_specification=of.SSESpecificationProperty(sse_enabled=True),
            deletion_protection_enabled=self._policy == cdk.RemovalPolicy.RETAIN,
        )
        table.apply_removal_policy(self._policy)
        return table


def _keys(schema: list[dict[str, str]]) -> list[dynamodb.CfnTable.KeySchemaProperty]:
    return [
        dynamodb.CfnTable.KeySchemaProperty(attribute_name=key["AttributeName"], key_type=key["KeyType"])
        for key in schema
    ]
