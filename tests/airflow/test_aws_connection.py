"""Where Airflow is loaded, clients of AWS are made with its connection."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from cch.aws.session import async_clients, client
from cch.settings import Settings

CONNECTION = {
    "conn_type": "aws",
    "login": "key of the connection",
    "password": "secret",
    "extra": {
        "region_name": "ap-south-2",
        "endpoint_url": "http://everything.invalid",
        "service_config": {"sqs": {"endpoint_url": "http://queues.invalid"}},
        "config_kwargs": {"proxies": {"http": "http://proxy.invalid"}, "read_timeout": 1},
    },
}


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps(CONNECTION))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of the environment")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


async def test_clients_of_the_loop_are_made_with_it() -> None:
    """Its region, keys and addresses count; of its configuration what the package does not decide itself."""
    async with AsyncExitStack() as stack:
        dynamodb, sqs = await async_clients(stack, Settings(aws_conn_id="ours"), "dynamodb", "sqs")
        keys = await dynamodb._request_signer._credentials.get_frozen_credentials()

    assert keys.access_key == "key of the connection"
    assert (dynamodb.meta.region_name, sqs.meta.region_name) == ("ap-south-2", "ap-south-2")
    assert dynamodb.meta.endpoint_url == "http://everything.invalid"
    assert sqs.meta.endpoint_url == "http://queues.invalid"
    for made in (dynamodb, sqs):
        assert made.meta.config.proxies == {"http": "http://proxy.invalid"}
        assert (made.meta.config.read_timeout, made.meta.config.max_pool_connections) == (40, 50)
        assert made.meta.config.user_agent.startswith("cch/")


def test_so_are_those_of_threads() -> None:
    """The definitions and the large payloads come through the same connection."""
    client.cache_clear()
    made = client("s3", Settings(aws_conn_id="ours"))
    client.cache_clear()

    assert made._request_signer._credentials.access_key == "key of the connection"
    assert (made.meta.region_name, made.meta.endpoint_url) == ("ap-south-2", "http://everything.invalid")
    assert made.meta.config.proxies == {"http": "http://proxy.invalid"}
    assert made.meta.config.read_timeout == 40


async def test_one_piece_of_work_asks_airflow_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question is a request to the API server, and a connection that assumes a role assumes it once."""
    asked: list[str] = []
    plain = AwsGenericHook.get_connection

    def get_connection(conn_id: str) -> Any:
        asked.append(conn_id)
        return plain(conn_id)

    monkeypatch.setattr(AwsGenericHook, "get_connection", staticmethod(get_connection))
    async with AsyncExitStack() as stack:
        await async_clients(stack, Settings(aws_conn_id="ours"), "dynamodb", "sqs", "sns")

    assert asked == ["ours"]


async def test_without_a_connection_aws_s_own_chain_counts() -> None:
    """An Airflow in which nobody has made the connection works with the role of its machine."""
    async with AsyncExitStack() as stack:
        (sqs,) = await async_clients(stack, Settings(aws_conn_id="nobody_made_it"), "sqs")
        keys = await sqs._request_signer._credentials.get_frozen_credentials()

    assert (keys.access_key, sqs.meta.region_name) == ("of the environment", "eu-west-1")
