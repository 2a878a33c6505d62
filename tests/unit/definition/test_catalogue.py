"""Definitions from a source that changes, fails and comes back, read through a cache that may be damaged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from scripted import ManualClock

from cch.definition.catalogue import Catalogue
from cch.definition.reader import digest_of
from cch.definition.source import BY_DIGEST, FolderSource, NotModified, SourceObject
from cch.errors import DefinitionError, DefinitionNotFoundError, ServiceUnavailableError
from cch.graph.checks import check


def text(workflow_id: str, name: str = "W") -> str:
    return f"workflow_id: {workflow_id}\nworkflow_name: {name}\nentry_point: E\nnodes: {{E: {{type: end}}}}\n"


class CountingSource:
    """A source in memory that counts what it is asked; ``down`` makes it unreachable."""

    def __init__(self, **files: str) -> None:
        self.files = {f"{name}.yaml": content for name, content in files.items()}
        self.calls: Counter[str] = Counter()
        self.bodies: list[str] = []
        self.down = False

    def _answer(self, call: str) -> None:
        self.calls[call] += 1
        if self.down:
            raise ServiceUnavailableError("nothing answers")

    def stamps(self) -> dict[str, str]:
        self._answer("list")
        return {name: digest_of(content) for name, content in self.files.items() if "/" not in name}

    def read(self, name: str, known_stamp: str = "") -> SourceObject | NotModified:
        self._answer(f"read {name}")
        if name not in self.files:
            raise DefinitionNotFoundError(f"there is no {name}")
        stamp = digest_of(self.files[name])
        if stamp == known_stamp:
            return NotModified()
        self.bodies.append(name)
        return SourceObject(name=name, text=self.files[name], stamp=stamp)

    def write(self, name: str, content: str) -> None:
        self._answer(f"write {name}")
        self.files[name] = content

    def names(self, prefix: str) -> tuple[str, ...]:
        self._answer(f"names {prefix}")
        return tuple(sorted(name for name in self.files if name.startswith(prefix)))

    def describe(self) -> str:
        return "memory"


class Desk:
    """A source, a clock, and a catalogue that checks for real and counts how often."""

    def __init__(self, folder: Path, source: CountingSource) -> None:
        self.cache = folder / "cache"
        self.source = source
        self.clock = ManualClock(1_000_000)
        self.checked: list[str] = []
        self.catalogue = self.reopened()

    def reopened(self) -> Catalogue:
        """Another process: only the cache folder is shared."""

        def counted(content: str, file: str) -> object:
            self.checked.append(file)
            return check(content, file)

        return Catalogue(self.source, self.cache, counted, 5.0, lambda: self.clock.now / 1000)  # type: ignore[arg-type]

    def names(self) -> dict[str, str | None]:
        entries = self.catalogue.snapshot().entries
        return {e.workflow_id: e.definition.workflow_name if e.definition else None for e in entries}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, CountingSource(a=text("a"), b=text("b")))


def test_a_snapshot_reads_and_checks_each_file_once(desk: Desk) -> None:
    """While the listing is trusted nothing is asked; after that only the listing, if nothing changed."""
    desk.catalogue.snapshot()
    desk.catalogue.snapshot()
    asked_while_fresh = desk.source.calls["list"]
    desk.clock.advance(6)
    desk.reopened().snapshot()

    assert asked_while_fresh == 1
    assert desk.source.calls["list"] == 2
    assert desk.source.bodies == ["a.yaml", "b.yaml"]
    assert desk.checked == ["a.yaml", "b.yaml"]


def test_only_what_changed_is_read_again(desk: Desk) -> None:
    """One file's new stamp costs one read."""
    desk.catalogue.snapshot()
    desk.source.files["b.yaml"] = text("b", "new")
    desk.clock.advance(6)

    names = desk.names()

    assert names == {"a": "W", "b": "new"}
    assert desk.source.bodies == ["a.yaml", "b.yaml", "b.yaml"]


def test_one_definition_is_read_without_looking_at_the_others(desk: Desk) -> None:
    """Parsing one task must not depend on how many definitions there are."""
    definition = desk.catalogue.current("b")

    assert definition.workflow_id == "b"
    assert set(desk.source.calls) == {"read b.yaml"}


def test_one_definition_is_read_conditionally(desk: Desk) -> None:
    """Within the refresh time the cache answers; after it the source only confirms the stamp."""
    for seconds in (0, 1, 6):
        desk.clock.advance(seconds)
        desk.reopened().current("a")

    assert desk.source.calls["read a.yaml"] == 2
    assert desk.source.bodies == ["a.yaml"]


def test_a_file_with_another_name_is_found_through_the_index(desk: Desk) -> None:
    """The first look lists everything, the next ones know the file."""
    desk.source.files["odd name.yaml"] = text("c")
    desk.catalogue.current("c")
    desk.source.calls.clear()
    desk.clock.advance(6)

    definition = desk.reopened().current("c")

    assert definition.file == "odd name.yaml"
    assert set(desk.source.calls) == {"read odd name.yaml"}


def test_yml_is_an_ending_too(tmp_path: Path) -> None:
    """Both endings are looked for."""
    source = CountingSource()
    source.files["a.yml"] = text("a")

    assert Desk(tmp_path, source).catalogue.current("a").file == "a.yml"


def test_an_unknown_workflow_is_said_to_be_unknown(desk: Desk) -> None:
    """The message names the place where it was looked for."""
    with pytest.raises(DefinitionNotFoundError, match="'zz' in memory"):
        desk.catalogue.current("zz")


def test_an_outage_is_served_from_the_cache(desk: Desk) -> None:
    """Everything that was read before is still there, and the snapshot says why it may be old."""
    desk.catalogue.snapshot()
    desk.source.down = True
    desk.clock.advance(3600)

    snapshot = desk.reopened().snapshot()

    assert [entry.workflow_id for entry in snapshot.entries] == ["a", "b"]
    assert snapshot.outage == "nothing answers"
    assert desk.reopened().current("a").workflow_id == "a"


def test_an_outage_without_a_cache_is_an_error(desk: Desk) -> None:
    """A definition that was never read cannot be served; an empty snapshot says that there is an outage."""
    desk.source.down = True

    with pytest.raises(ServiceUnavailableError):
        desk.catalogue.current("a")
    assert desk.catalogue.snapshot().entries == ()
    assert desk.catalogue.snapshot().outage


def test_one_bad_definition_harms_no_other(desk: Desk) -> None:
    """It is an entry without a definition, with its problems, under its file's name."""
    desk.source.files["bad.yaml"] = "workflow_id: x\nnodes: ["

    entries = {entry.file: entry for entry in desk.catalogue.snapshot().entries}

    assert entries["a.yaml"].definition is not None
    assert entries["bad.yaml"].definition is None
    assert entries["bad.yaml"].workflow_id == "bad"
    assert [problem.code for problem in entries["bad.yaml"].problems] == ["CCH-D001"]
    with pytest.raises(DefinitionError):
        desk.catalogue.current("bad")


def test_the_last_good_version_is_served_with_the_problems_of_the_bad_one(desk: Desk) -> None:
    """Also to another process, and until a good one comes."""
    desk.catalogue.snapshot()
    desk.source.files["a.yaml"] = text("a", "bad") + "oops: 1\n"
    desk.clock.advance(6)

    (entry, _) = desk.reopened().snapshot().entries
    served = desk.reopened().current("a")
    desk.source.files["a.yaml"] = text("a", "mended")
    desk.clock.advance(6)
    mended = desk.reopened().snapshot().entries[0]

    assert entry.definition is not None
    assert (entry.definition.workflow_name, served.workflow_name) == ("W", "W")
    assert [problem.code for problem in entry.problems] == ["CCH-D021"]
    assert mended.definition is not None
    assert (mended.definition.workflow_name, mended.problems) == ("mended", ())


def test_two_files_with_one_id_are_tracks_of_it(desk: Desk) -> None:
    """One of them serves the DAG and knows the other; nobody loses a definition over it."""
    desk.source.files["c.yaml"] = text("a", "twin")

    entries = desk.catalogue.snapshot().entries

    assert [(e.file, e.workflow_id, e.tracks, e.problems) for e in entries] == [
        ("a.yaml", "a", ("a.yaml", "c.yaml"), ()), ("b.yaml", "b", ("b.yaml",), ()),
    ]  # fmt: skip
    assert desk.catalogue.current("a").workflow_name == "W"
    assert desk.catalogue.tracks("a") == ("a.yaml", "c.yaml")


def test_what_is_wrong_with_a_track_is_said_where_its_workflow_is(desk: Desk) -> None:
    """Its last good version goes on."""
    desk.source.files["c.yaml"] = text("a", "twin")
    desk.catalogue.snapshot()
    desk.source.files["c.yaml"] = "nodes: {"
    desk.clock.advance(6)

    entry = desk.catalogue.snapshot().entries[0]

    assert ({p.file for p in entry.problems}, entry.tracks) == ({"c.yaml"}, ("a.yaml", "c.yaml"))


def test_tracks_that_come_and_go_are_noticed(desk: Desk) -> None:
    """As soon as the listing is looked at again; until then nothing is read."""
    assert desk.catalogue.tracks("a") == ("a.yaml",)
    desk.source.files["c.yaml"] = text("a", "twin")
    desk.clock.advance(6)

    assert desk.catalogue.tracks("a") == ("a.yaml", "c.yaml")
    asked = desk.source.calls.copy()
    assert desk.catalogue.tracks("a") == ("a.yaml", "c.yaml")
    assert desk.source.calls == asked


@pytest.mark.parametrize("copy", ["0.yaml", "a (copy).yaml", "a.yml", "z.yaml"])
def test_a_copy_never_takes_the_place_of_the_file_it_was_copied_from(desk: Desk, copy: str) -> None:
    """Whatever its name sorts like, and whether the cache is new: the id is not in its name."""
    desk.source.files[copy] = text("a", "copy")

    assert {e.workflow_id: e.file for e in desk.catalogue.snapshot().entries if e.definition}["a"] == "a.yaml"
    assert desk.reopened().current("a").workflow_name == "W"
    assert [entry.workflow_id for entry in desk.catalogue.snapshot().entries] == ["a", "b"]


def test_of_two_files_that_are_called_otherwise_the_one_that_was_served_keeps_the_dag(desk: Desk) -> None:
    """The cache knows it. A file that is called as the id is the one that the id names, also when it comes late."""
    desk.source.files["m.yaml"] = text("shared", "good")
    desk.catalogue.snapshot()
    desk.source.files["c.yaml"] = text("shared", "copy")
    desk.clock.advance(6)
    assert desk.names()["shared"] == "good"
    assert desk.catalogue.current("shared").workflow_name == "good"

    desk.source.files["shared.yaml"] = text("shared", "late")
    desk.clock.advance(6)

    assert desk.names()["shared"] == "late"
    assert desk.catalogue.current("shared").workflow_name == "late"


@pytest.mark.parametrize("name", ["x.yaml", "x.yml", "x y.yaml"])
def test_a_broken_file_never_takes_the_id_of_a_good_definition(desk: Desk, name: str) -> None:
    """Its placeholder gets an id of its own, also where only spaces tell the names apart."""
    good = name.rsplit(".", 1)[0].replace(" ", "_")
    desk.source.files["good.yaml"] = text(good)
    desk.source.files[name] = "workflow_id: [\n"

    entries = {entry.file: entry for entry in desk.catalogue.snapshot().entries}

    assert entries["good.yaml"].workflow_id == good
    assert entries[name].workflow_id == name.replace(" ", "_")
    assert desk.reopened().current(good).workflow_id == good


@pytest.mark.parametrize("name", ["cch_commands", "cch_definitions_unavailable"])
def test_nothing_takes_the_id_of_a_dag_of_ours(desk: Desk, name: str) -> None:
    """Neither a definition of that id nor a broken file of that name."""
    desk.source.files["mine.yaml"] = text(name)
    desk.source.files[f"{name}.yaml"] = "workflow_id: [\n"

    entries = {entry.file: entry for entry in desk.catalogue.snapshot().entries}

    assert entries["mine.yaml"].definition is None
    assert entries["mine.yaml"].problems[0].code == "CCH-D028"
    assert {entries["mine.yaml"].workflow_id, entries[f"{name}.yaml"].workflow_id} == {"mine", f"{name}.yaml"}


def test_the_last_good_version_is_served_after_an_upgrade(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts of the program before do not count, its last good texts do."""
    desk.catalogue.snapshot()
    desk.source.files["a.yaml"] = "workflow_id: [\n"
    desk.clock.advance(6)
    monkeypatch.setattr("cch.definition.catalogue._GOOD", "good-another")

    assert desk.reopened().snapshot().entries[0].definition is not None
    assert desk.reopened().current("a").workflow_name == "W"


def test_a_removed_definition_disappears(desk: Desk) -> None:
    """The listing decides, not the cache."""
    desk.catalogue.snapshot()
    del desk.source.files["a.yaml"]
    desk.clock.advance(6)

    assert desk.names() == {"b": "W"}


def test_kept_versions_are_found_by_digest_after_a_republication(desk: Desk) -> None:
    """An instance goes on with the text it began with, also on a machine without a cache."""
    old = desk.catalogue.current("a")
    desk.catalogue.keep(old)
    desk.catalogue.keep(old)
    desk.source.files["a.yaml"] = text("a", "new")
    elsewhere = Catalogue(desk.source, desk.cache / "elsewhere", check)

    found = elsewhere.by_digest(old.digest, "a")

    assert found.workflow_name == "W"
    assert desk.source.calls[f"write {BY_DIGEST}{old.digest}.yaml"] == 1


def test_an_unkept_digest_is_the_current_version_or_unknown(desk: Desk) -> None:
    """A version nobody kept is found only while it is the current one."""
    digest = digest_of(text("a"))

    assert desk.catalogue.by_digest(digest, "a").digest == digest
    with pytest.raises(DefinitionNotFoundError):
        desk.catalogue.by_digest("0" * 64, "a")


@pytest.mark.parametrize("damage", ["", "{", '{"at": 1}', "[]", "null", "\x00", '{"stamp": 1, "te'])
def test_damaged_cache_files_are_read_again(desk: Desk, damage: str) -> None:
    """A cache that a full disk or a crash has cut off costs a read, never a definition."""
    old = desk.catalogue.current("a")
    desk.catalogue.snapshot()
    for file in desk.cache.rglob("*"):
        if file.is_file() and "good" not in file.parts:
            file.write_text(damage)
    desk.clock.advance(6)

    names = desk.names()

    assert names == {"a": "W", "b": "W"}
    assert desk.reopened().current("a").text == old.text
    assert desk.reopened().by_digest(old.digest, "a").text == old.text


def test_bytes_that_are_no_text_in_the_cache_are_read_again(desk: Desk) -> None:
    """Whatever stands in a cache file."""
    desk.catalogue.snapshot()
    for file in desk.cache.rglob("*"):
        if file.is_file():
            file.write_bytes(b"\xff\xfe\x00")
    desk.clock.advance(6)

    assert desk.names() == {"a": "W", "b": "W"}


def test_a_damaged_last_good_version_is_not_served(desk: Desk) -> None:
    """Half a definition is worse than none: the entry then shows the problems only."""
    desk.catalogue.snapshot()
    for file in (desk.cache / "last-good").iterdir():
        file.write_text("workflow_id: a\n")
    desk.source.files["a.yaml"] = "workflow_id: ["
    desk.clock.advance(6)

    entry = desk.catalogue.snapshot().entries[0]

    assert (entry.file, entry.definition) == ("a.yaml", None)


def test_the_cache_is_plain_json(desk: Desk) -> None:
    """Operators may look into it."""
    desk.catalogue.snapshot()

    assert set(json.loads((desk.cache / "listing.json").read_text())["stamps"]) == {"a.yaml", "b.yaml"}


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    """Reads are conditional on time and size; sub-folders and other endings are not definitions."""
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "sub.yaml").mkdir()
    source = FolderSource(tmp_path)
    (stamp,) = source.stamps().values()

    source.write("by-digest/x.yaml", "x")

    assert isinstance(source.read("a.yaml", stamp), NotModified)
    assert list(source.stamps()) == ["a.yaml"]
    with pytest.raises(DefinitionNotFoundError):
        source.read("zz.yaml")
    with pytest.raises(ServiceUnavailableError):
        FolderSource(tmp_path / "nowhere").stamps()


# --- a courier ------------------------------------------------------------------------------------------------


def brought(desk: Desk) -> Catalogue:
    """The catalogue of a process that trusts the courier."""
    return Catalogue(desk.source, desk.cache, check, 5.0, lambda: desk.clock.now / 1000, trusts_courier=True)


def test_what_a_courier_has_brought_is_not_asked_for(desk: Desk) -> None:
    """Nor are versions kept again; after its time the source is asked, as by everybody else before."""
    desk.catalogue.bring(60)
    calls = desk.source.calls.copy()
    desk.clock.advance(59)
    trusting = brought(desk)
    entries = trusting.snapshot().entries
    for entry in entries:
        assert entry.good is not None
        trusting.keep(entry.good)
    unasked = desk.source.calls == calls
    desk.reopened().snapshot()

    assert (unasked, [entry.workflow_id for entry in entries]) == (True, ["a", "b"])
    assert desk.source.calls["list"] == calls["list"] + 1
    assert set(desk.source.files) == {"a.yaml", "b.yaml", *(f"{BY_DIGEST}{digest_of(text(w))}.yaml" for w in "ab")}


def test_a_courier_that_is_late_is_not_believed(desk: Desk) -> None:
    """Neither is one whose clock is ahead."""
    desk.catalogue.bring(60)
    desk.clock.advance(61)
    late = brought(desk).brought()
    desk.clock.advance(-62)

    assert (late, brought(desk).brought()) == (None, None)


def test_a_courier_brings_what_has_changed_before_it_says_so(desk: Desk) -> None:
    """Who reads its listing finds every text of it; while the source is down the listing grows old."""
    desk.catalogue.bring(60)
    desk.source.files["b.yaml"] = text("b", "new")
    desk.catalogue.bring(60)
    desk.source.down = True
    trusting = brought(desk)

    assert [e.definition.workflow_name for e in trusting.snapshot().entries if e.definition] == ["W", "new"]
    with pytest.raises(ServiceUnavailableError):
        desk.catalogue.bring(60)
    assert trusting.brought() is not None
