"""The CDK application: ``cdk deploy -c env=prod -c owner=customs`` (see README.md)."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks

from cch_infra.airflow import AirflowStack
from cch_infra.choices import Choices
from cch_infra.stack import CchStack


def build(app: cdk.App) -> None:
    """Put the stacks that the context describes into the app; synthesis fails on what cdk-nag finds."""
    choices = Choices.of(app.node)
    stack = CchStack(app, choices)
    if choices.mwaa:
        AirflowStack(app, choices, stack)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


if __name__ == "__main__":
    application = cdk.App()
    build(application)
    application.synth()
