"""AWS clients: through Airflow's connection where Airflow is loaded, through AWS's own chain elsewhere (the CLI)."""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import botocore
import botocore.exceptions
from botocore.config import Config

from cch import __version__
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
#: How requests name the program. botocore would put its own name together anew for each, a tenth of what a call costs.
_AGENT = f"cch/{__version__} Botocore/{botocore.__version__}"
#: Seconds without a byte after which the other side is asked whether it is there; AWS's NAT gateways forget at 350.
_QUIET = 60
#: Airflow gives up a DAG file after 30 s (``[core] dagbag_import_timeout``): what a parse reads must have failed long
#: before, so that the cache is served. 11 s at most.
_HURRIED = {"connect_timeout": 3, "read_timeout": 5, "retries": {"mode": "standard", "total_max_attempts": 2}}


def _in_airflow() -> bool:
    return "airflow" in sys.modules


def _patience(service: str) -> dict[str, Any]:
    """What a client's configuration says of waiting and repeating."""
    if service == "lambda":
        return _LAMBDA
    repeats = _REPEATS_IN_AIRFLOW if _in_airflow() else _REPEATS_AT_PROMPT
    return {"retries": {"mode": "standard", "max_attempts": repeats}, **_TIMEOUTS}


class _Connection:
    """Airflow's connection to AWS, read once for all the clients that are made with it.

    The hook's own way to a client is not taken: for a part of the user agent that nobody here needs, it reads the
    source of every frame of the stack, which costs more than the client (docs/adr/0043).
    """

    def __init__(self, connection: str | None, *, in_loop: bool) -> None:
        """``in_loop``: for clients of aiobotocore. Asks Airflow for the connection, and so blocks."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook  # noqa: PLC0415 - slow, only in Airflow

        # A hook is of one service, but what it is asked here is the same for all.
        self._hook = AwsGenericHook(aws_conn_id=connection, client_type="sts")
        self.session: Any = self._hook.get_session(region_name=self._hook.region_name, deferrable=in_loop)

    def arguments(self, service: str, config: Any) -> dict[str, Any]:
        """What a client of this service is made with: what ``config`` leaves open is the connection's."""
        endpoint = self._hook.conn_config.get_service_endpoint_url(service_name=service)
        merged = type(config)(user_agent=_AGENT).merge(self._hook.config).merge(config)
        return {"endpoint_url": endpoint, "config": merged, "verify": self._hook.verify}


@functools.lru_cache(maxsize=32)
def client(service: str, settings: Settings, *, hurried: bool = False) -> Any:
    """A boto3 client, cached for the process; clients are safe to share between threads.

    ``hurried``: for somebody who cannot wait for an outage to pass, and has something else to fall back on.
    """
    config = Config(max_pool_connections=_POOL, **(_HURRIED if hurried else _patience(service)))
    if _in_airflow():
        connection = _Connection(settings.aws_conn_id, in_loop=False)
        return connection.session.client(service, **connection.arguments(service, config))
    import boto3  # noqa: PLC0415 - half a second that `cch validate` does not need

    with explained(service):
        return boto3.client(service, config=config)


async def async_clients(
    stack: AsyncExitStack, settings: Settings, *services: str, connections: int = _POOL
) -> list[Any]:
    """An aiobotocore client of each service that lives as long as ``stack``, with at most so many ``connections``."""
    if not _in_airflow():
        from aiobotocore.session import get_session  # noqa: PLC0415

        session = get_session()
        made = []
        for service in services:
            with explained(service):
                config = _async_config(service, connections)
                made.append(await stack.enter_async_context(session.create_client(service, config=config)))
        return made
    from asgiref.sync import sync_to_async  # noqa: PLC0415 - Airflow's; its triggerer answers no other thread

    connection = await sync_to_async(_Connection)(settings.aws_conn_id, in_loop=True)
    return [
        await stack.enter_async_context(
            connection.session.create_client(
                service, **connection.arguments(service, _async_config(service, connections))
            )
        )
        for service in services
    ]


def _async_config(service: str, connections: int) -> Any:
    from aiobotocore.config import AioConfig  # noqa: PLC0415

    # aiobotocore does not do it for ``tcp_keepalive``.
    watched = {"connector_args": {"socket_factory": _watched_socket}} if service == "lambda" else {}
    return AioConfig(max_pool_connections=connections, **_patience(service), **watched)


def read_descriptions(*services: str) -> None:
    """Read what botocore knows of these services, for every client of aiobotocore in this process and its forks.

    Airflow's provider shares it among its sessions. Nobody is asked.
    """
    connection = _Connection(None, in_loop=True)
    for service in services:
        connection.session.warm_up_loader_caches(service)


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
