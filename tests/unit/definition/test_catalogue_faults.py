"""What one file, one disk or one bucket does that is not as it should be: all other workflows are served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from test_catalogue import CountingSource, Desk, text

from cch.definition import files
from cch.definition.catalogue import Catalogue
from cch.definition.files import write_file
from cch.definition.source import BY_DIGEST, MOST_READ, FolderSource, NotModified, SourceObject
from cch.errors import DefinitionNotFoundError, ServiceUnavailableError
from cch.graph.checks import check


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, CountingSource(a=text("a"), b=text("b")))


def folder_of(tmp_path: Path, **texts: str) -> tuple[Path, Catalogue]:
    """A folder of definitions, and a catalogue of it."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    for name, content in texts.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder, Catalogue(FolderSource(folder), tmp_path / "cache", check)


def ids(catalogue: Catalogue) -> list[str]:
    return [entry.workflow_id for entry in catalogue.snapshot().entries]


@pytest.mark.parametrize("name", [".yaml", "..yaml", "...yaml"])
@pytest.mark.parametrize("first", [True, False])
def test_a_file_that_is_called_by_its_ending_alone_is_a_bad_one(desk: Desk, name: str, first: bool) -> None:
    """As an upload to `$NAME.yaml` makes it; also where the cache has nothing yet."""
    if not first:
        desk.catalogue.snapshot()
        desk.clock.advance(6)
    desk.source.files[name] = "workflow_id: ["

    names = desk.names()

    assert (names["a"], names["b"]) == ("W", "W")
    assert all(names)


def test_a_disk_that_is_full_serves_what_the_source_has(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be kept there, and nothing is left behind."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    kept = desk.catalogue.current("a")
    desk.catalogue.keep(kept)
    monkeypatch.setattr(os, "replace", full)
    elsewhere = Catalogue(desk.source, desk.cache / "elsewhere", check)

    assert [entry.workflow_id for entry in elsewhere.snapshot().entries] == ["a", "b"]
    assert elsewhere.by_digest(kept.digest, "a").digest == kept.digest
    elsewhere.keep(kept)
    assert elsewhere.contracts.newest() == {}
    with pytest.raises(OSError, match="No space left"):
        write_file(desk.cache / "elsewhere" / "x", "y")
    assert [path for path in (desk.cache / "elsewhere").rglob("*") if path.is_file()] == []


def test_a_cache_that_somebody_else_has_written_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user of the machine, whose files this one may not read."""
    desk.catalogue.snapshot()
    desk.clock.advance(6)

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)

    assert files.read_file(desk.cache / "listing.json") is None
    assert desk.names() == {"a": "W", "b": "W"}


def test_a_file_that_may_not_be_read_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry says why."""
    _, catalogue = folder_of(tmp_path, a=text("a"), b=text("b"))
    plain = Path.open

    def opened(path: Path, *given: Any, **named: Any) -> Any:
        if path.name == "b.yaml":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *given, **named)

    monkeypatch.setattr(Path, "open", opened)
    entries = {entry.file: entry for entry in catalogue.snapshot().entries}

    assert entries["a.yaml"].good is not None
    assert "b.yaml cannot be read: Permission denied" in entries["b.yaml"].problems[0].message


def test_a_file_whose_name_is_no_text_costs_no_other(tmp_path: Path) -> None:
    """As another machine's file system names it."""
    folder, catalogue = folder_of(tmp_path, a=text("a"))
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.yaml")).write_text(text("cafe"))

    assert ids(catalogue) == ["a"]


def test_of_a_file_no_more_is_read_than_a_definition_may_have(tmp_path: Path) -> None:
    """What is larger is refused, and neither fills the memory nor the cache."""
    folder, catalogue = folder_of(tmp_path, a=text("a"))
    with (folder / "big.yaml").open("wb") as file:
        file.truncate(20 * MOST_READ)

    entries = {entry.file: entry for entry in catalogue.snapshot().entries}

    assert entries["a.yaml"].good is not None
    assert entries["big.yaml"].problems[0].code == "CCH-D003"
    found = FolderSource(folder).read("big.yaml")
    assert isinstance(found, SourceObject)
    assert len(found.text) == MOST_READ


def test_what_was_published_while_a_courier_listed_is_not_taken_for_listed(desk: Desk) -> None:
    """The listing is as old as its beginning."""
    plain, reader = desk.source.stamps, desk.reopened()

    def stamps() -> dict[str, str]:
        found = plain()
        desk.source.files["c.yaml"] = text("a", "another track")
        desk.clock.advance(0.5)
        reader.hear_of("a", "mark")
        desk.clock.advance(0.5)
        return found

    desk.source.stamps = stamps  # type: ignore[method-assign]
    desk.catalogue.bring(60)
    desk.source.stamps = plain  # type: ignore[method-assign]

    assert reader.tracks("a") == ("a.yaml", "c.yaml")


def test_a_version_is_kept_wherever_definitions_are_now(desk: Desk) -> None:
    """The bucket was changed, and the cache stayed."""
    definition = desk.catalogue.current("a")
    desk.catalogue.keep(definition)
    other = CountingSource(a=text("a"))
    other.describe = lambda: "another memory"  # type: ignore[method-assign]
    moved = Catalogue(other, desk.cache, check)

    moved.keep(definition)
    moved.keep(definition)

    name = f"{BY_DIGEST}{definition.digest}.yaml"
    assert name in other.files
    assert other.calls[f"write {name}"] == 1


def test_the_ends_of_lines_survive_the_cache(desk: Desk) -> None:
    """A file that was uploaded from Windows is the same version when S3 is away, and when the next one is bad."""
    desk.source.files["a.yaml"] = text("a").replace("\n", "\r\n")
    definition = desk.catalogue.current("a")
    desk.catalogue.keep(definition)
    desk.source.down = True
    assert desk.reopened().by_digest(definition.digest, "a").digest == definition.digest

    desk.source.down = False
    desk.source.files["a.yaml"] = "workflow_id: ["
    desk.clock.advance(6)

    assert desk.catalogue.current("a").digest == definition.digest


def test_a_source_that_is_away_is_asked_once(desk: Desk) -> None:
    """Each question takes seconds, and Airflow gives a parse thirty."""
    desk.catalogue.snapshot()
    desk.source.files["c.yaml"] = text("c")
    desk.clock.advance(6)
    desk.reopened().files()  # listed, and killed before anything was read
    desk.source.down = True
    desk.source.calls.clear()
    desk.clock.advance(6)

    snapshot = desk.reopened().snapshot()

    assert [entry.workflow_id for entry in snapshot.entries if entry.good is not None] == ["a", "b"]
    assert sum(desk.source.calls.values()) == 1


def test_what_was_deleted_does_not_come_back(desk: Desk) -> None:
    """Neither while the source is away, nor when a bad file has its name."""
    desk.catalogue.snapshot()
    del desk.source.files["a.yaml"]
    desk.clock.advance(6)
    with pytest.raises(DefinitionNotFoundError):
        desk.catalogue.current("a")
    desk.source.down = True
    desk.clock.advance(86_400)
    with pytest.raises((DefinitionNotFoundError, ServiceUnavailableError)):
        desk.catalogue.current("a")

    desk.source.down = False
    desk.source.files["a.yaml"] = "workflow_id: ["
    desk.clock.advance(6)

    assert desk.names() == {"a": None, "b": "W"}


def test_what_a_listing_lacks_is_forgotten(desk: Desk) -> None:
    """Nobody has asked for the file itself while it was gone."""
    desk.catalogue.snapshot()
    del desk.source.files["a.yaml"]
    desk.clock.advance(6)
    desk.catalogue.snapshot()
    desk.source.files["a.yaml"] = "workflow_id: ["
    desk.clock.advance(6)

    assert desk.names() == {"a": None, "b": "W"}


@pytest.mark.parametrize("refused", ["read", "write"])
def test_what_may_not_be_read_or_kept_stops_no_courier(desk: Desk, refused: str) -> None:
    """The others are brought, and so is the listing."""
    original = getattr(desk.source, refused)

    def denied(name: str, *given: str) -> SourceObject | NotModified:
        if refused == "write" or name == "b.yaml":
            raise ServiceUnavailableError("AccessDenied")
        return original(name, *given)  # type: ignore[no-any-return]

    setattr(desk.source, refused, denied)

    desk.catalogue.bring(60)

    assert desk.reopened().brought() is not None


def test_others_leave_a_courier_s_listing_alone(desk: Desk) -> None:
    """A process that asks the source itself writes its own listing, which says nothing of how long it counts."""
    desk.catalogue.bring(60)
    desk.clock.advance(6)

    desk.reopened().tracks("a")

    assert desk.reopened().brought() is not None


def test_a_kept_version_that_somebody_has_changed_is_none(desk: Desk) -> None:
    """An instance runs what its digest says, or waits."""
    definition = desk.catalogue.current("a")
    desk.catalogue.keep(definition)
    name = f"{BY_DIGEST}{definition.digest}.yaml"
    desk.source.files[name] = text("a", "by hand")
    elsewhere = Catalogue(desk.source, desk.cache / "elsewhere", check)
    assert elsewhere.by_digest(definition.digest, "a").digest == definition.digest, "the file itself still is"

    desk.source.files["a.yaml"] = text("a", "another")

    with pytest.raises(DefinitionNotFoundError, match="was changed, and is not that version any more"):
        Catalogue(desk.source, desk.cache / "third", check).by_digest(definition.digest, "a")


def test_an_index_of_zeros_is_none(tmp_path: Path) -> None:
    """As a loss of power leaves a file that was not written through."""
    _, catalogue = folder_of(tmp_path, a=text("a"))
    catalogue.snapshot()
    (tmp_path / "cache" / "index" / "a").write_bytes(bytes(6))

    assert catalogue.current("a").workflow_id == "a"
