"""The CDK application: ``cdk deploy -c env=prod -c owner=customs`` (see README.md)."""

from __future__ import annotations

import aws_cdk as cdk
from cch_infra.checks import add_checks
from cch_infra.stack import CchStack, Choices


def main() -> None:
    """Synthesise the stack that the context describes."""
    app = cdk.App()
    stack = CchStack(app, Choices.of(app.node))
    add_checks(app, stack)
    app.synth()


if __name__ == "__main__":
    main()
