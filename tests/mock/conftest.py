"""The mock is a service of its own: it is found by path, not as part of the product's packages."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "capability-mock-service")]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mock_fakes import Workbench


@pytest.fixture
def bench() -> Callable[..., Workbench]:
    """Makes a desk and an exchange with a fake clock and fake queues; takes the scenario's YAML."""
    from mock_fakes import Workbench

    return Workbench


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """The URL of moto's server, for the whole run."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An SQS client, in an environment (`CCH_OWNER`) that is new for each test."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "CCH_ENV": "test",
        "CCH_OWNER": f"o{uuid.uuid4().hex[:8]}",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION", raising=False)
    client = boto3.client("sqs")
    yield client
    client.close()
