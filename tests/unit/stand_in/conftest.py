"""Clients of the stand-ins for AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config


@pytest.fixture
def one_try() -> Callable[..., Any]:
    """Makes a client of a service at an address; it tries once, so that each answer is seen as it is."""

    def make(service: str, url: str) -> Any:
        return boto3.client(
            service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    return make
