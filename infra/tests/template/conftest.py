"""Synthesises what people can choose, once each; leaves the result in build/infra for whoever deploys it."""

from __future__ import annotations

import functools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2]
BUILT = INFRA.parent / "build" / "infra"
sys.path.insert(0, str(INFRA))

Synthesise = Callable[..., Path]


@functools.cache
def _synthesised(name: str, **choices: str) -> Path:
    import aws_cdk as cdk

    from app import build

    shutil.rmtree(BUILT / name, ignore_errors=True)  # an earlier run may have left packages of other sources
    context = json.loads((INFRA / "cdk.json").read_text())["context"] | choices
    app = cdk.App(context=context, outdir=str(BUILT / name))
    build(app)
    app.synth()
    return BUILT / name


@pytest.fixture(scope="session")
def dev() -> Path:
    """The folder with the templates of the defaults."""
    return _synthesised("dev")


@pytest.fixture(scope="session")
def prod() -> Path:
    """The folder with the templates of a production environment with Amazon MWAA, an alarm address and a capability."""
    return _synthesised("prod", env="prod", mwaa="true", alarm_email="on-call@example.com", capabilities="import")
