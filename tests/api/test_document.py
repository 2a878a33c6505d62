"""What the API's document promises, tried with made-up requests by schemathesis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from cch.api.app import create_app
from cch.definition.catalogue import Catalogue
from cch.definition.source import FolderSource
from cch.graph.checks import check
from cch.ledger.ledger import Ledger
from cch.runtime.platform import Platform, use_opener
from cch.settings import Settings
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore
from tests.airflow_home import ROOT
from tests.api import definitions as texts


@pytest.fixture(scope="module")
def document(airflow_app: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document, served by our app alone; with a platform in memory behind it."""
    folder = tmp_path_factory.mktemp("document")
    for file, text in texts.FILES.items():
        (folder / file).write_text(text)
    platform = _platform(folder)

    @asynccontextmanager
    async def opener() -> AsyncIterator[Platform]:
        yield platform

    before = use_opener(opener)
    yield schemathesis.openapi.from_asgi("/openapi.json", create_app())
    use_opener(before)


def _platform(folder: Path) -> Platform:
    settings = Settings(cache_folder=str(folder / "cache"))
    names = settings.names
    return Platform(
        settings=settings,
        ledger=Ledger(MemoryStore(), MemoryBlobs()),
        queues=MemoryQueues(names.command_queue, names.reply_queue, names.fallback_queue),
        catalogue=Catalogue(FolderSource(folder), settings.cache_path, check, 0.0),
        read_object=lambda uri: uri,
    )


@pytest.fixture
def token(airflow_app: Any) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    found: str = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    return found


OPERATIONS = [
    (path, method)
    for path, item in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"].items()
    for method in item
]


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_described(document: Any, token: str, path: str, method: str, mode: GenerationMode) -> None:
    """Whatever is sent: no server error, and a status, media type and body that the document has."""
    operation = document[path][method]

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(response, checks=CHECKS)

    answers()
