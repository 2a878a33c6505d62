"""Exceptions from cdk-nag's rules, each with its reason, said beside the resource that it excuses."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import IConstruct


def excuse(resource: IConstruct, rule: str, reason: str, findings: tuple[str, ...] = ()) -> None:
    """Let the rule pass for this resource; rules with several ``findings`` a resource are excused one by one."""
    ids = [f"{rule}[{finding}]" for finding in findings] or [rule]
    Validations.of(resource).acknowledge(*(Acknowledgment(id=each, reason=reason) for each in ids))


def objects(bucket: s3.Bucket, pattern: str) -> str:
    """The finding of cdk-nag for permissions on objects of a bucket; it names the bucket's resource."""
    resource = bucket.node.default_child
    assert isinstance(resource, s3.CfnBucket)
    return f"Resource::<{Stack.of(bucket).get_logical_id(resource)}.Arn>/{pattern}"
