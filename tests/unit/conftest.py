"""What the unit tests share: modules beside this file are importable, Hypothesis is reproducible, AWS is moto's."""

from __future__ import annotations

import itertools
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cch.ledger.ledger import Ledger
    from cch.ledger.store import ItemStore

settings.register_profile(
    "cch", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
settings.load_profile("cch")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """The address of our AWS stand-in, served from a thread of this process."""
    from cch.testing.aws_server import create_app, make_server

    server = make_server(create_app(HERE.parents[1] / "lambda-functions"), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.bind_addr[1]}"
    server.stop()
    thread.join(5)


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
async def aws_client(aws_url: str) -> AsyncIterator[Any]:
    """Makes aiobotocore clients that are closed with the test."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    session = get_session()
    async with AsyncExitStack() as stack:

        async def make(service: str) -> Any:
            return await stack.enter_async_context(
                session.create_client(
                    service, endpoint_url=aws_url, region_name="us-east-1", aws_access_key_id="test",
                    aws_secret_access_key="test", config=AioConfig(retries={"mode": "standard", "max_attempts": 3}),
                )
            )  # fmt: skip

        yield make


@pytest.fixture
async def dynamo_client(aws_client: Any) -> Any:
    return await aws_client("dynamodb")


@pytest.fixture
async def dynamo_table(dynamo_client: Any) -> str:
    """A table of the ledger's form that no other test uses."""
    from cch.aws.tables import table_specification

    name = f"table-{next(_numbers)}"
    await dynamo_client.create_table(**table_specification(name))
    return name


@pytest.fixture(params=["memory", "dynamo"])
def store(request: pytest.FixtureRequest) -> ItemStore:
    """Both implementations of a table: whatever holds for one holds for the other."""
    if request.param == "memory":
        from cch.testing.memory_store import MemoryStore

        return MemoryStore()
    from cch.aws.tables import DynamoStore

    return DynamoStore(request.getfixturevalue("dynamo_client"), request.getfixturevalue("dynamo_table"))


@pytest.fixture
def ledger(store: ItemStore) -> Ledger:
    """The ledger on either table."""
    from cch.ledger.ledger import Ledger
    from cch.testing.memory_store import MemoryBlobs

    return Ledger(store, MemoryBlobs())
