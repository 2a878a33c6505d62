"""What others say about the templates: cfn-lint and cdk-nag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

#: W3005: CDK writes dependencies that references imply already; they do no harm.
_IGNORED = ["W3005"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_cfn_lint_finds_nothing(environment: str, request: pytest.FixtureRequest) -> None:
    """The templates are what CloudFormation takes, down to the values of properties."""
    folder: Path = request.getfixturevalue(environment)
    templates = sorted(folder.glob("*.template.json"))

    found = [
        str(match)
        for template in templates
        for match in lint_file(template, ManualArgs(regions=["us-east-1"], ignore_checks=_IGNORED))
    ]

    assert templates
    assert found == []


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_cdk_nag_finds_nothing_that_has_no_reason(environment: str, request: pytest.FixtureRequest) -> None:
    """cdk-nag has looked, and everything it found is excused beside the resource it concerns."""
    folder: Path = request.getfixturevalue(environment)

    report = json.loads((folder / "validation-report.json").read_text())

    assert report["pluginReports"] == []


def test_cdk_nag_would_stop_the_synthesis(tmp_path: Path) -> None:
    """A bucket that anybody may read over HTTP does not come through."""
    import aws_cdk as cdk
    from aws_cdk import Validations
    from aws_cdk import aws_s3 as s3
    from cdk_nag import AwsSolutionsChecks

    app = cdk.App(outdir=str(tmp_path))
    s3.Bucket(cdk.Stack(app, "bad"), "Open")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))

    with pytest.raises(RuntimeError, match="AwsSolutions-S10"):
        app.synth()
