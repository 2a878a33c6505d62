"""Plans: made once for a version of a definition, and not kept without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text

from cch.definition.catalogue import Catalogue
from cch.definition.rules import NEWEST
from cch.definition.source import FolderSource
from cch.errors import DefinitionNotFoundError
from cch.graph.checks import check
from cch.ledger.records import Instance
from cch.runtime.plans import PlanKey, Plans

NODES = (
    "A: {{type: async_request, capability_id: x#{way}, timeout: 1d, on_response: E, on_failure: E}}\nE: {{type: end}}"
)


class Library:
    """A folder of definitions, its catalogue, and how often a definition was read by its digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "definitions"
        self.folder.mkdir()
        self.catalogue = Catalogue(FolderSource(self.folder), folder / "cache", check, 0.0)
        self.read: list[str] = []
        by_digest = self.catalogue.by_digest

        def counting(digest: str, workflow_id: str = "", rules: int | None = None) -> Any:
            self.read.append(digest)
            return by_digest(digest, workflow_id, rules)

        self.catalogue.by_digest = counting  # type: ignore[method-assign]

    def publish(self, way: str) -> str:
        """Publish a version; its digest."""
        (self.folder / "w.yaml").write_text(definition_text(NODES.format(way=way)))
        definition = self.catalogue.current("w")
        self.catalogue.keep(definition)
        return definition.digest


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def instance(digest: str = "", workflow_id: str = "w") -> Instance:
    return Instance(
        id="i", workflow_id=workflow_id, correlation_id="i", status="running", started=0, context={},
        definition_digest=digest, structure_digest="s" if digest else "", reading_rules=NEWEST,
    )  # fmt: skip


async def test_a_plan_is_made_once_for_a_version(library: Library) -> None:
    """Whoever asks for it, and by whatever way: executing, looking, comparing."""
    digest = library.publish("a")
    plans = Plans(library.catalogue)

    first = await plans.get(PlanKey("w", digest, NEWEST))

    assert await plans.of(instance(digest)) is first
    assert await plans.shown(instance(digest)) is first
    assert await plans.current("w") is first
    assert library.read == [digest]


async def test_each_version_has_its_own_plan(library: Library) -> None:
    """An instance goes on by the version with which it began, after another one was published."""
    old, new = library.publish("a"), library.publish("b")
    plans = Plans(library.catalogue)

    before, after = await plans.of(instance(old)), await plans.of(instance(new))

    assert before is not None
    assert after is not None
    assert [plan.graph.nodes["A"].capability_id for plan in (before, after)] == ["x#a", "x#b"]
    assert await plans.current("w") is after


async def test_those_that_were_used_last_are_kept(library: Library) -> None:
    """Memory stays bounded, and a version in use is not made again for the sake of others."""
    a, b, c = library.publish("a"), library.publish("b"), library.publish("c")
    plans = Plans(library.catalogue, kept=2)

    for digest in (a, b, a, c, a, b):
        await plans.get(PlanKey("w", digest, NEWEST))

    assert library.read == [a, b, c, b]


async def test_an_instance_that_has_not_begun_runs_by_no_plan(library: Library) -> None:
    """It is shown by the plan with which it would begin."""
    library.publish("a")
    plans = Plans(library.catalogue)

    assert await plans.of(instance()) is None
    assert await plans.shown(instance()) is await plans.current("w")


async def test_a_version_that_nobody_has_is_no_plan(library: Library) -> None:
    """Who only looks gets none; who has to execute it gets the error."""
    plans = Plans(library.catalogue)

    assert await plans.of(instance("0" * 64)) is None
    assert await plans.shown(instance(workflow_id="unknown")) is None
    with pytest.raises(DefinitionNotFoundError):
        await plans.get(PlanKey("w", "0" * 64, NEWEST))
