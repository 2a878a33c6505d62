"""Buckets and the ledger's table."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cch_infra.shared import Names, table_specification


class Storage(Construct):
    """Private, encrypted, versioned buckets; a table with point-in-time recovery."""

    def __init__(self, scope: Construct, names: Names, *, keep: bool) -> None:
        super().__init__(scope, "Storage")
        self._policy = cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY
        logs = self._bucket("AccessLogs", f"{names.prefix}access-logs-bucket", expires_days=90)
        self.definitions = self._bucket("Definitions", names.definitions_bucket, logs=logs)
        self.eventdata = self._bucket("EventData", names.eventdata_bucket, logs=logs)
        self.table = self._table(names.table)

    def _bucket(
        self, name: str, bucket_name: str, *, logs: s3.Bucket | None = None, expires_days: int | None = None
    ) -> s3.Bucket:
        rules = [
            s3.LifecycleRule(
                abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                noncurrent_version_expiration=cdk.Duration.days(90),
                expiration=cdk.Duration.days(expires_days) if expires_days else None,
            )
        ]
        return s3.Bucket(
            self,
            name,
            bucket_name=bucket_name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED if logs else s3.ObjectOwnership.OBJECT_WRITER,
            enforce_ssl=True,
            lifecycle_rules=rules,
            removal_policy=self._policy,
            server_access_logs_bucket=logs,
            server_access_logs_prefix=f"{bucket_name}/" if logs else None,
        )

    def _table(self, name: str) -> dynamodb.CfnTable:
        """The table in the form that the program itself declares (one place decides it)."""
        form = table_specification(name)
        table = dynamodb.CfnTable(
            self,
            "Ledger",
            table_name=name,
            billing_mode=form["BillingMode"],
            key_schema=[_key(key) for key in form["KeySchema"]],
            attribute_definitions=[
                dynamodb.CfnTable.AttributeDefinitionProperty(
                    attribute_name=attribute["AttributeName"], attribute_type=attribute["AttributeType"]
                )
                for attribute in form["AttributeDefinitions"]
            ],
            global_secondary_indexes=[
                dynamodb.CfnTable.GlobalSecondaryIndexProperty(
                    index_name=index["IndexName"],
                    key_schema=[_key(key) for key in index["KeySchema"]],
                    projection=dynamodb.CfnTable.ProjectionProperty(
                        projection_type=index["Projection"]["ProjectionType"]
                    ),
                )
                for index in form["GlobalSecondaryIndexes"]
            ],
            point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
                point_in_time_recovery_enabled=True
            ),
            sse_specification=dynamodb.CfnTable.SSESpecificationProperty(sse_enabled=True),
            time_to_live_specification=dynamodb.CfnTable.TimeToLiveSpecificationProperty(
                attribute_name="expires", enabled=True
            ),
            deletion_protection_enabled=self._policy == cdk.RemovalPolicy.RETAIN,
        )
        table.apply_removal_policy(self._policy)
        return table


def _key(key: dict[str, str]) -> dynamodb.CfnTable.KeySchemaProperty:
    return dynamodb.CfnTable.KeySchemaProperty(attribute_name=key["AttributeName"], key_type=key["KeyType"])
