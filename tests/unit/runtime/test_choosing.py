"""Which version a start gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflows import definition_text

from cch.definition.catalogue import Catalogue
from cch.definition.source import FolderSource
from cch.errors import RejectedMessageError, WrongUseError
from cch.graph.checks import check
from cch.ledger.versions import Share, Versions
from cch.runtime.admission import CatalogueAdmission
from cch.runtime.choosing import Chooser, in_share
from cch.testing.memory_store import MemoryStore

NODES = "A: {{type: set_state, static_outputs: {{way: {way}}}, on_success: E}}\nE: {{type: end}}"


class Shop:
    """A folder of definitions, and the versions of ``w``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalogue = Catalogue(FolderSource(folder), folder / "cache", check, 0.0)
        self.versions = Versions(MemoryStore())
        self.chooser = Chooser(self.catalogue, self.versions, lambda: 1000)
        self.admission = CatalogueAdmission(self.catalogue, self.versions, lambda: 1000)

    async def publish(self, way: str, *required: str) -> str:
        text = definition_text(NODES.format(way=way), initial_context=list(required))
        (self.folder / "w.yaml").write_text(text)
        choice = await self.chooser.choose("w")
        await self.chooser.settle(choice)
        return choice.definition.digest


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_a_start_that_names_nothing_gets_what_is_published(shop: Shop) -> None:
    """It has a number then, and is kept although the file is overwritten."""
    old = await shop.publish("a")
    new = await shop.publish("b")

    admitted = await shop.admission.admit("w", {})

    assert admitted.version.digest == new
    assert [each.digest for each in (await shop.versions.shelf("w")).versions] == [old, new]
    assert shop.catalogue.by_digest(old, "w").digest == old


@pytest.mark.parametrize("uri", ["", "w", "w.yaml"])
async def test_a_start_after_a_publication_gets_it_at_once(tmp_path: Path, uri: str) -> None:
    """Although the text before was read a moment ago, and would be trusted for an hour."""
    shop = Shop(tmp_path)
    shop.catalogue = Catalogue(FolderSource(tmp_path), tmp_path / "cache", check, 3600.0)
    shop.chooser = Chooser(shop.catalogue, shop.versions, lambda: 1000)
    old = await shop.publish("a")
    new_text = definition_text(NODES.format(way="b"))
    (tmp_path / "w.yaml").write_text(new_text)
    assert (await shop.chooser.choose("w", uri=uri)).definition.digest == old

    await shop.versions.has_been_published("w")

    assert (await shop.chooser.choose("w", uri=uri)).definition.text == new_text
    (tmp_path / "w.yaml").write_text("# not published\n" + new_text)
    assert (await shop.chooser.choose("w", uri=uri)).definition.text == new_text


async def test_a_start_is_admitted_by_the_version_that_it_names(shop: Shop) -> None:
    """What the newest version requires does not count."""
    old = await shop.publish("a", "bl")
    await shop.publish("b", "mrn")

    admitted = await shop.admission.admit("w", {"bl": 1}, version="1")

    assert admitted.version.digest == old
    with pytest.raises(RejectedMessageError, match="required key 'bl' is missing"):
        await shop.admission.admit("w", {"mrn": 1}, version="1")


@pytest.mark.parametrize("version", ["9", "@gone", "ffff", "0" * 64])
async def test_a_version_that_there_is_not_is_refused(shop: Shop, version: str) -> None:
    """The sender reads why; nothing is stored."""
    await shop.publish("a")

    with pytest.raises(RejectedMessageError, match=r"cannot start w: .*(no version|no label|nobody has)"):
        await shop.admission.admit("w", {}, version=version)

    assert len((await shop.versions.shelf("w")).versions) == 1


async def test_a_digest_of_another_workflow_is_no_version_of_this_one(shop: Shop) -> None:
    """A whole digest is looked up among all that is kept."""
    await shop.publish("a")
    other = definition_text(NODES.format(way="a")).replace("workflow_id: w", "workflow_id: v").replace('"w"', '"v"')
    (shop.folder / "v.yaml").write_text(other)
    choice = await shop.chooser.choose("v")
    await shop.chooser.settle(choice)

    with pytest.raises(WrongUseError, match="is one of v, not of w"):
        await shop.chooser.choose("w", choice.definition.digest)


async def test_a_share_gets_the_same_starts_again(shop: Shop) -> None:
    """The business key decides, about as often as was asked for; the others get what is published."""
    canary = await shop.publish("b")
    published = await shop.publish("a")
    await shop.versions.set_share("w", Share(digest=canary, percent=10))

    first = [(await shop.chooser.choose("w", key=str(n))).definition.digest for n in range(400)]
    again = [(await shop.chooser.choose("w", key=str(n))).definition.digest for n in range(400)]

    assert first == again
    assert set(first) == {canary, published}
    assert 15 <= first.count(canary) <= 75


def test_a_larger_share_includes_a_smaller_one() -> None:
    """Who has met the version goes on meeting it; a whole share is everybody."""
    keys = [str(number) for number in range(500)]

    small = {key for key in keys if in_share("w", "d", key, 5)}
    large = {key for key in keys if in_share("w", "d", key, 50)}

    assert small < large
    assert all(in_share("w", "d", key, 100) for key in keys)


async def test_a_share_of_a_named_start_does_not_count(shop: Shop) -> None:
    """Who names a version gets it."""
    canary = await shop.publish("b")
    await shop.publish("a")
    await shop.versions.set_share("w", Share(digest=canary, percent=100))

    assert (await shop.chooser.choose("w", "2", "k")).definition.digest != canary
