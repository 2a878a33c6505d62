"""The command line is tested on a platform in memory; nothing here opens a connection."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli_office import Office


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An environment in memory, with ``enrich_v1`` published and a capability that answers it."""
    from cli_office import Office

    from cch.cli import watching
    from cch.runtime.platform import use_opener

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CCH_DEFINITIONS_FOLDER", str(tmp_path / "published"))
    monkeypatch.setenv("CCH_CACHE_FOLDER", str(tmp_path / "cache"))
    monkeypatch.setattr(watching, "_SOON", 0.02)
    made = Office(tmp_path)
    made.publish("enrich_v1.yaml")
    made.answers["import#enrichment"] = ("SUCCESS", {"uri": "s3://bucket/enriched.json"})
    before = use_opener(made.open)
    yield made
    use_opener(before)


@pytest.fixture
def cch() -> Callable[..., Any]:
    """Runs a command; the result has exit_code, stdout and stderr. Nothing but an exit may come out of it."""

    def invoke(*arguments: str, stdin: str = "") -> Any:
        from cch.cli.main import app

        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
