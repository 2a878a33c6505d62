"""What the unit tests share: modules beside this file are importable, Hypothesis is reproducible, AWS has stand-ins."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from cch.ledger.ledger import Ledger
    from cch.ledger.store import ItemStore

settings.register_profile(
    "cch", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
settings.load_profile("cch")

_numbers = itertools.count(1)


#: The stand-ins for AWS: whatever holds for one holds for the other.
STAND_INS = ("moto", "quick")


@pytest.fixture(scope="session")
def stand_in_url() -> Iterator[Callable[[str], str]]:
    """The address of a stand-in for AWS, which is served from a thread of this process since it was first asked for."""
    running: dict[str, tuple[Any, threading.Thread]] = {}

    def url(name: str) -> str:
        if name not in running:
            server = _stand_in(name)
            thread = threading.Thread(target=server.serve, daemon=True)
            thread.start()
            running[name] = server, thread
        return f"http://127.0.0.1:{running[name][0].bind_addr[1]}"

    yield url
    for server, thread in running.values():
        server.stop()
        thread.join(5)


def _stand_in(name: str) -> Any:
    functions = HERE.parents[1] / "lambda-functions"
    if name == "quick":
        from cch.testing.quick_aws.app import QuickAws
        from cch.testing.quick_aws.server import QuickServer

        return QuickServer(QuickAws(functions), "127.0.0.1", 0)
    from cch.testing.aws_server import create_app, make_server

    return make_server(create_app(functions), "127.0.0.1", 0)


@pytest.fixture(params=STAND_INS)
def aws_url(request: pytest.FixtureRequest, stand_in_url: Callable[[str], str]) -> str:
    """The address of each stand-in for AWS in turn."""
    return stand_in_url(request.param)


@pytest.fixture
def aws_environment(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients come from environment variables, as on a command line, and find our stand-in."""
    from cch.aws.session import client

    for name, value in {
        "AWS_ENDPOINT_URL": aws_url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    client.cache_clear()
    yield
    client.cache_clear()


@pytest.fixture
async def client_at() -> AsyncIterator[Callable[[str, str], Awaitable[Any]]]:
    """Makes aiobotocore clients, of an address and a service, that are closed with the test."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    session = get_session()
    async with AsyncExitStack() as stack:

        async def make(url: str, service: str) -> Any:
            return await stack.enter_async_context(
                session.create_client(
                    service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="test",
                    aws_secret_access_key="test", config=AioConfig(retries={"mode": "standard", "max_attempts": 3}),
                )
            )  # fmt: skip

        yield make


@pytest.fixture
def aws_client(aws_url: str, client_at: Callable[[str, str], Awaitable[Any]]) -> Callable[[str], Awaitable[Any]]:
    """Makes clients of a service of either stand-in."""
    return partial(client_at, aws_url)


@pytest.fixture
async def dynamo_client(aws_client: Callable[[str], Awaitable[Any]]) -> Any:
    return await aws_client("dynamodb")


@pytest.fixture
async def dynamo_table(dynamo_client: Any) -> str:
    """A table of the ledger's form that no other test uses."""
    return await _new_table(dynamo_client)


async def _new_table(client: Any) -> str:
    from cch.aws.tables import table_specification

    name = f"table-{next(_numbers)}"
    await client.create_table(**table_specification(name))
    return name


@pytest.fixture(params=["memory", *STAND_INS])
async def store(
    request: pytest.FixtureRequest,
    stand_in_url: Callable[[str], str],
    client_at: Callable[[str, str], Awaitable[Any]],
) -> ItemStore:
    """Both implementations of a table, that of DynamoDB on either stand-in: whatever holds for one holds for all."""
    if request.param == "memory":
        from cch.testing.memory_store import MemoryStore

        return MemoryStore()
    from cch.aws.tables import DynamoStore

    client = await client_at(stand_in_url(request.param), "dynamodb")
    return DynamoStore(client, await _new_table(client))


@pytest.fixture
def ledger(store: ItemStore) -> Ledger:
    """The ledger on either table."""
    from cch.ledger.ledger import Ledger
    from cch.testing.memory_store import MemoryBlobs

    return Ledger(store, MemoryBlobs())
