"""AWS clients: through Airflow's connection where Airflow is loaded, through AWS's own chain elsewhere (the CLI)."""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import botocore.exceptions
from botocore.config import Config

from cch.errors import ServiceUnavailableError
from cch.settings import Settings

#: Connections to one service that may be open at the same time: consumers, plus requests being sent.
_POOL = 50
#: botocore repeats throttled and lost calls; the ledger's writes name their writer, so a repeat is recognised.
#: Outside Airflow a person waits at a prompt: two repeats pass a hiccup in about 2 s, five take up to 20 s.
_REPEATS_IN_AIRFLOW, _REPEATS_AT_PROMPT = 5, 2
_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 40}
#: A Lambda function may take 15 minutes (AWS quota), and a call that is repeated runs it once more.
_LAMBDA = {"connect_timeout": 5, "read_timeout": 910, "tcp_keepalive": True, "retries": {"total_max_attempts": 1}}
#: Seconds without a byte after which the other side is asked whether it is there; AWS's NAT gateways forget at 350.
_QUIET = 60
#: Airflow gives up a DAG file after 30 s (``[core] dagbag_import_timeout``): what a parse reads must have failed long
#: before, so that the cache is served. 11 s at most.
_HURRIED = {"connect_timeout": 3, "read_timeout": 5, "retries": {"mode": "standard", "total_max_attempts": 2}}


def _in_airflow() -> bool:
    return "airflow" in sys.modules


def _retries() -> dict[str, Any]:
    return {"mode": "standard", "max_attempts": _REPEATS_IN_AIRFLOW if _in_airflow() else _REPEATS_AT_PROMPT}


def _hook(service: str, settings: Settings, config: Any) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook  # noqa: PLC0415 - slow, and only in Airflow

    return AwsGenericHook(aws_conn_id=settings.aws_conn_id, client_type=service, config=config)


@functools.lru_cache(maxsize=32)
def client(service: str, settings: Settings, *, hurried: bool = False) -> Any:
    """A boto3 client, cached for the process; clients are safe to share between threads.

    ``hurried``: for somebody who cannot wait for an outage to pass, and has something else to fall back on.
    """
    options = _HURRIED if hurried else _LAMBDA if service == "lambda" else {"retries": _retries(), **_TIMEOUTS}
    config = Config(max_pool_connections=_POOL, **options)
    if _in_airflow():
        return _hook(service, settings, config).get_conn()
    import boto3  # noqa: PLC0415 - half a second that `cch validate` does not need

    with explained(service):
        return boto3.client(service, config=config)


async def async_client(stack: AsyncExitStack, service: str, settings: Settings, *, connections: int = _POOL) -> Any:
    """An aiobotocore client that lives as long as ``stack``, with at most so many ``connections``."""
    from aiobotocore.config import AioConfig  # noqa: PLC0415

    options: dict[str, Any] = {"retries": _retries(), **_TIMEOUTS}
    if service == "lambda":
        # aiobotocore does not do it for ``tcp_keepalive``.
        options = {**_LAMBDA, "connector_args": {"socket_factory": _watched_socket}}
    config = AioConfig(max_pool_connections=connections, **options)
    if _in_airflow():
        return await stack.enter_async_context(await _hook(service, settings, config).get_async_conn())
    from aiobotocore.session import get_session  # noqa: PLC0415

    with explained(service):
        return await stack.enter_async_context(get_session().create_client(service, config=config))


def _watched_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an ``addrinfo`` that notices when the other side is gone, and is not forgotten by a NAT gateway."""
    family, kind, protocol, *_ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; the default there is two hours
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _QUIET)
    return made


def typed(attributes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Message attributes as SQS and SNS take them."""
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}


def error_code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn botocore's exceptions into one sentence that says what to fix.

    :raises ServiceUnavailableError: for whatever botocore raises inside.
    """
    try:
        yield
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
        raise ServiceUnavailableError(
            f"{what}: no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"
            ' (local stack: run `cch up`, then eval "$(cch env)")'
        ) from None
    except botocore.exceptions.NoRegionError:
        raise ServiceUnavailableError(
            f'{what}: no AWS region: set AWS_DEFAULT_REGION (local stack: run `cch up`, then eval "$(cch env)")'
        ) from None
    except botocore.exceptions.EndpointConnectionError as error:
        raise ServiceUnavailableError(
            f"{what}: nothing answers at {error.kwargs.get('endpoint_url')}: is the stack up (`cch up`)?"
        ) from None
    except botocore.exceptions.ClientError as error:
        code = error_code(error)
        hint = {
            "NoSuchBucket": ": create the resources (`cch up`), or check CCH_ENV and CCH_OWNER",
            "ResourceNotFoundException": ": create the resources (`cch up`), or check CCH_ENV and CCH_OWNER",
            "AccessDenied": ": the credentials lack the permission",
        }.get(code, "")
        raise ServiceUnavailableError(f"{what}: {code}: {error.response['Error'].get('Message', '')}{hint}") from None
    except botocore.exceptions.BotoCoreError as error:
        raise ServiceUnavailableError(f"{what}: {error}") from None
