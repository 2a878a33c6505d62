"""cdk-nag's rules for the stack, and the exceptions with their reasons."""

from __future__ import annotations

from aws_cdk import Aspects
from cdk_nag import AwsSolutionsChecks, NagPackSuppression, NagSuppressions
from constructs import IConstruct

from cch_infra.stack import CchStack

_EXCEPTIONS = {
    "AwsSolutions-IAM5": "Wildcards name the objects of our own buckets, the indexes of our own table, our own log"
    " streams, and what Amazon MWAA's documentation asks for.",
    "AwsSolutions-L1": "Lambda runtimes are pinned to the Python that the project is tested with.",
    "AwsSolutions-S1": "The bucket of access logs does not log itself; MWAA's files are written by the deployment only.",
}


def add_checks(app: IConstruct, stack: CchStack) -> None:
    """Let synthesis fail on every finding that has no reason here."""
    Aspects.of(app).add(AwsSolutionsChecks(verbose=True))
    NagSuppressions.add_stack_suppressions(
        stack, [NagPackSuppression(id=rule, reason=reason) for rule, reason in _EXCEPTIONS.items()]
    )
