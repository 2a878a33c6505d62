"""What a start must bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text

from cch.definition.addresses import alias_key, alias_text, is_key
from cch.definition.catalogue import Catalogue
from cch.definition.reader import digest_of, read_definition
from cch.definition.source import FolderSource
from cch.definition.starting import context_of_form, form_of_context
from cch.envelope import workflow_id_of
from cch.errors import RejectedMessageError, ServiceUnavailableError
from cch.graph.checks import check
from cch.ledger.versions import Versions
from cch.runtime.admission import CatalogueAdmission, context_problems, start_context
from cch.settings import Settings
from cch.testing.memory_store import MemoryStore

TEXT = definition_text(
    "E: {type: end}",
    initial_context={"a": {"type": "string", "minLength": 2}, "b": True, "c": {"type": ["integer", "null"]}},
)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"a": "xx", "b": 0, "c": 1, "more": [1.5]}, []),
        ({"a": "xx", "b": 0, "c": None}, []),
        ({"a": "xx", "b": None, "c": None}, []),
        ({"a": "xx", "b": float("nan"), "c": 1}, ["b is nan, which JSON does not have"]),
        ({}, ["required key 'a' is missing", "required key 'b' is missing", "required key 'c' is missing"]),
        ({"a": None, "b": "", "c": 1}, ["required key 'a' is missing"]),
        ({"a": "x", "b": 1, "c": "z"}, ["'a': 'x' is too short", "'c': 'z' is not of type 'integer', 'null'"]),
        ({"a": "xx", "b": {"n": [2**63, 1]}, "c": 1}, ["b.n[0] is a number beyond 64 bits"]),
        ({"a": "xx", "b": -(2**63), "c": 1, "x": 2**63 - 1}, ["b is a number beyond 64 bits"]),
    ],
)
def test_everything_that_is_wrong_is_said(context: dict[str, Any], words: list[str]) -> None:
    """Missing keys, schemas of keys, and numbers that Airflow's channels cannot carry."""
    assert context_problems(read_definition(TEXT), context) == words


def test_of_thousands_of_problems_some_are_said() -> None:
    """A message of 256 KB may hold many, with names as long as it likes; the reason is stored and sent on."""
    context: dict[str, Any] = {"a": "xx", "b": 1, "c": 1, "k" * 5000: [2**64] * 5000}

    problems = context_problems(read_definition(TEXT), context)

    assert len(problems) == 20
    assert max(map(len, problems)) < 300


def admitting(folder: Path) -> CatalogueAdmission:
    catalogue = Catalogue(FolderSource(folder), folder / "cache", check)
    return CatalogueAdmission(catalogue, Versions(MemoryStore()), lambda: 0)


@pytest.fixture
def admission(tmp_path: Path) -> CatalogueAdmission:
    (tmp_path / "w.yaml").write_text(TEXT)
    (tmp_path / "bad.yaml").write_text("workflow_id: bad\nnodes: []\n")
    return admitting(tmp_path)


async def test_a_start_is_admitted_with_the_layout_of_today(tmp_path: Path) -> None:
    """Which calls the triggerer makes is decided here, for good; bindings that cannot be read put it off."""
    text = definition_text("A: {type: sync_call, capability_id: 'a#b', on_success: E}\nE: {type: end}")
    (tmp_path / "w.yaml").write_text(text)
    catalogue = Catalogue(FolderSource(tmp_path), tmp_path / "cache", check)
    settings = Settings(calls_in_triggerer=True, capability_bindings='{"a#b": "https://there"}')
    broken = replace(settings, capability_bindings=str(tmp_path / "nowhere.json"))

    def admitting(given: Settings) -> CatalogueAdmission:
        return CatalogueAdmission(catalogue, Versions(MemoryStore()), lambda: 0, lambda: given.awaited)

    assert (await admitting(Settings()).admit("w", {})).version.planner == 1
    assert (await admitting(settings).admit("w", {})).version.planner == 258
    with pytest.raises(ServiceUnavailableError, match="CCH_CAPABILITY_BINDINGS"):
        await admitting(broken).admit("w", {})


async def test_a_good_start_is_admitted(admission: CatalogueAdmission) -> None:
    """With its own context, where nothing has a default."""
    admitted = await admission.admit("w", {"a": "xx", "b": 1, "c": 2})

    assert (admitted.workflow_id, admitted.context) == ("w", {"a": "xx", "b": 1, "c": 2})


@pytest.mark.parametrize(
    ("workflow_id", "words"),
    [
        ("zz", "there is no definition of 'zz'"),
        ("bad", "the definition of 'bad' is not usable: bad.yaml:"),
        ("w", "cannot start w: required key 'a' is missing; "),
        ("../w", "there is no definition"),
        ("w\0", "there is no definition"),
        ("w" * 2000, "there is no definition"),
    ],
)
async def test_a_bad_start_is_rejected_with_the_reason(
    admission: CatalogueAdmission, workflow_id: str, words: str
) -> None:
    """The sender reads it on the queue of rejected messages."""
    with pytest.raises(RejectedMessageError) as caught:
        await admission.admit(workflow_id, {})

    assert words in caught.value.reason


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What anybody tries to fetch over a network."""
    tried: list[object] = []

    def refuse(*arguments: object, **_: object) -> object:
        tried.append(arguments)
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tried


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"}, {"$ref": "file:///etc/hostname"}, {"$ref": "#/$defs/gone"},
        {"$ref": "#"}, {"type": "sting"}, {"pattern": "("}, {"$dynamicRef": "https://example.org/x#y"},
    ],
)  # fmt: skip
async def test_a_schema_that_cannot_be_used_rejects_the_start_with_a_reason(
    tmp_path: Path, fetches: list[object], schema: dict[str, Any]
) -> None:
    """It neither raises, which would hold up the starts behind it, nor is anything fetched from anywhere."""
    (tmp_path / "w.yaml").write_text(definition_text("E: {type: end}", initial_context={"a": schema}))
    admission = admitting(tmp_path)

    with pytest.raises(RejectedMessageError, match="'a': its JSON Schema cannot be applied"):
        await admission.admit("w", {"a": "x"})
    assert fetches == []


async def test_an_exception_of_ours_is_a_rejected_start(
    admission: CatalogueAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what went wrong; the next start is looked at."""

    def broken(*_: object) -> list[str]:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("cch.runtime.admission.context_problems", broken)

    with pytest.raises(RejectedMessageError, match="ZeroDivisionError: a mistake of ours"):
        await admission.admit("w", {"a": "xx", "b": 1, "c": 2})


DEFAULTS = definition_text(
    "E: {type: end}",
    initial_context={
        "n": {"type": "integer", "default": 3},
        "who.name": {"type": "string", "default": "nobody"},
        "note": {"type": ["string", "null"], "default": "x"},
        "list": {"type": "array", "default": []},
    },
)


@pytest.mark.parametrize(
    ("given", "context"),
    [
        ({}, {"n": 3, "who": {"name": "nobody"}, "note": "x", "list": []}),
        ({"n": 0, "note": None}, {"n": 0, "who": {"name": "nobody"}, "note": None, "list": []}),
        ({"who": {"age": 3}, "n": None}, {"n": 3, "who": {"age": 3, "name": "nobody"}, "note": "x", "list": []}),
    ],
)
def test_what_is_absent_has_its_default(given: dict[str, Any], context: dict[str, Any]) -> None:
    """Keys are paths; null is a value where the schema says so."""
    definition = read_definition(DEFAULTS)

    assert start_context(definition, given) == context
    assert context_problems(definition, context) == []


def test_a_form_has_the_keys_as_they_are_written() -> None:
    """Airflow's form has a field for each; what it does not fill in it gives as null."""
    definition = read_definition(DEFAULTS)
    form = {"n": 7, "who.name": "me", "note": None, "list": None, "more": 1, "no_field": None}
    context = {"n": 7, "who": {"name": "me"}, "note": None, "list": [], "more": 1, "no_field": None}

    assert context_of_form(definition, form) == context
    assert form_of_context(definition, context) == {"n": 7, "who.name": "me", "note": None, "list": []}


@pytest.mark.parametrize(
    ("schema", "problems"),
    [(True, []), ({"title": "K"}, []), ({"minLength": 2}, []), ({"type": ["string", "null"]}, []),
     ({"type": "string"}, ["required key 'k' is missing"]), ({"enum": ["a"]}, ["required key 'k' is missing"])],
)  # fmt: skip
def test_a_key_with_null_is_there_unless_its_schema_forbids_it(schema: Any, problems: list[str]) -> None:
    """And Airflow's form, which has no null, is told something that it takes."""
    definition = read_definition(definition_text("E: {type: end}", initial_context={"k": schema}))

    assert context_problems(definition, start_context(definition, {"k": None})) == problems
    if not problems:
        told = form_of_context(definition, {"k": None})["k"]
        assert told is None if "null" in str(schema) else told in ("null", False)


@pytest.mark.parametrize(
    ("schema", "value"),
    [({"default": "x"}, None), ({"minLength": 2, "default": "xx"}, None), ({"type": "string", "default": "x"}, "x")],
)
def test_a_default_is_for_what_is_absent_or_may_not_be_null(schema: Any, value: Any) -> None:
    """Who sends null where null may stand means it; the form cannot, and has the default."""
    definition = read_definition(definition_text("E: {type: end}", initial_context={"k": schema}))

    assert start_context(definition, {"k": None}) == {"k": value}
    assert context_of_form(definition, {"k": None}) == {"k": schema["default"]}


@pytest.mark.parametrize("uri", ["copy", "copy.yaml", "{folder}/copy.yaml", "w", "s3://anywhere/w.yaml"])
async def test_a_definition_is_named_by_its_file_or_by_its_id(
    tmp_path: Path, admission: CatalogueAdmission, uri: str
) -> None:
    """As the message's schema says; the name of a file counts only where our definitions are."""
    (tmp_path / "w.yaml").rename(tmp_path / "copy.yaml")
    uri = uri.format(folder=tmp_path)

    admitted = await admission.admit(workflow_id_of(uri), {"a": "xx", "b": 1, "c": 2}, uri)

    assert admitted.workflow_id == "w"


async def test_a_file_elsewhere_is_not_ours(tmp_path: Path, admission: CatalogueAdmission) -> None:
    """Another bucket may have a file of the same name."""
    (tmp_path / "w.yaml").rename(tmp_path / "copy.yaml")

    with pytest.raises(RejectedMessageError, match="no definition of 'copy'"):
        await admission.admit("copy", {"a": "xx", "b": 1, "c": 2}, "s3://elsewhere/copy.yaml")


class Bucket(FolderSource):
    """A folder that is called like a bucket, and has prefixes like one."""

    def describe(self) -> str:
        return "s3://ours"

    def stamps(self) -> dict[str, str]:
        files = {str(path.relative_to(self._folder)): path for path in self._folder.rglob("*") if path.is_file()}
        return {key: digest_of(path.read_text()) for key, path in files.items() if is_key(key)}


@pytest.fixture
def bucket(tmp_path: Path) -> CatalogueAdmission:
    (tmp_path / "w.yaml").write_text(TEXT)
    (tmp_path / "aliases").mkdir()
    (tmp_path / alias_key("import")).write_text(alias_text("w"))
    catalogue = Catalogue(Bucket(tmp_path), tmp_path / ".cache", check, 0.0, buckets=["mapped"])
    return CatalogueAdmission(catalogue, Versions(MemoryStore()), lambda: 0)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://ours/w.yaml",
        "s3://ours/any/prefix/w.yml",
        "s3://ours/prefix/import.yaml",
        "import",
        "s3://mapped/import.json",
    ],
)
async def test_a_uri_finds_the_definition_by_its_file_or_alias(bucket: CatalogueAdmission, uri: str) -> None:
    """Whatever prefixes are before it, in our bucket or one that an operator has mapped."""
    admitted = await bucket.admit(workflow_id_of(uri), {"a": "xx", "b": 1, "c": 2}, uri)

    assert admitted.workflow_id == "w"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://theirs/w.yaml", "CCH_DEFINITION_BUCKETS"),
        ("s3://ours/by-digest/w.yaml", "a version that was published once"),
        ("s3://ours/aliases/import.json", "a version that was published once"),
        ("s3://ours/other.yaml", "no definition of 'other'"),
        ("s3://ours/", "no definition of ''"),
    ],
)
async def test_what_a_uri_may_not_name_is_refused(bucket: CatalogueAdmission, uri: str, reason: str) -> None:
    """Another team's bucket may have a file of the same name that means something else."""
    with pytest.raises(RejectedMessageError, match=reason):
        await bucket.admit(workflow_id_of(uri), {"a": "xx", "b": 1, "c": 2}, uri)


async def test_an_id_wins_over_an_alias(tmp_path: Path, bucket: CatalogueAdmission) -> None:
    """Nobody's starts are taken away."""
    (tmp_path / "import.yaml").write_text(TEXT.replace("workflow_id: w", "workflow_id: import"))

    assert (await bucket.admit("import", {"a": "xx", "b": 1, "c": 2}, "s3://ours/import.yaml")).workflow_id == "import"


GIVEN = {"a": "xx", "b": 1, "c": 2}


def put(folder: Path, key: str, name: str, workflow_id: str = "w") -> str:
    """Put a file among the definitions; its digest."""
    text = TEXT.replace("workflow_name: W", f"workflow_name: {name}").replace(
        "workflow_id: w", f"workflow_id: {workflow_id}"
    )
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    (folder / key).write_text(text)
    return digest_of(text)


async def digest(admission: CatalogueAdmission, uri: str, version: str = "") -> str:
    return (await admission.admit(workflow_id_of(uri), GIVEN, uri, version=version)).version.digest


async def test_a_start_by_a_file_gets_its_track_and_one_by_the_id_the_track_that_is_called_so(
    tmp_path: Path, bucket: CatalogueAdmission
) -> None:
    """The tracks of one workflow run side by side; their versions have numbers in one row."""
    east = put(tmp_path, "east.yaml", "East")
    usual = digest_of(TEXT)

    assert [await digest(bucket, uri) for uri in ("w", "s3://ours/w.yaml", "s3://ours/any/w.yaml")] == [usual] * 3
    assert [await digest(bucket, uri) for uri in ("east", "east.yaml", "s3://ours/p/east.yaml")] == [east] * 3
    assert [await digest(bucket, "w", version) for version in ("east", "@east", "east.yaml", "1", "2")] == [
        east, east, east, usual, east,
    ]  # fmt: skip
    again = put(tmp_path, "east.yaml", "East again")
    assert (await digest(bucket, "s3://ours/east.yaml"), await digest(bucket, "w")) == (again, usual)
    admitted = await bucket.admit("east", GIVEN, "s3://ours/east.yaml")
    assert (admitted.workflow_id, admitted.track) == ("w", "east.yaml")
    assert (await bucket.admit("w", GIVEN, "s3://ours/w.yaml")).track == ""


async def test_an_id_that_several_files_have_and_none_is_called_is_refused(
    tmp_path: Path, bucket: CatalogueAdmission
) -> None:
    """Nobody can know which one is meant; each file and each version still starts."""
    (tmp_path / "w.yaml").unlink()
    east, west = put(tmp_path, "east.yaml", "East"), put(tmp_path, "west.yaml", "West")

    for uri in ("w", "s3://ours/w.yaml", "s3://ours/import.yaml"):
        with pytest.raises(RejectedMessageError, match=r"workflow_id of several files.*east\.yaml, west\.yaml"):
            await digest(bucket, uri)
    assert [await digest(bucket, uri) for uri in ("s3://ours/east.yaml", "west")] == [east, west]
    assert await digest(bucket, "w", "west") == west


async def test_the_only_file_with_an_id_is_no_track(tmp_path: Path, bucket: CatalogueAdmission) -> None:
    """Whatever it is called: a start by the id gets it, and so it takes part in shares."""
    (tmp_path / "w.yaml").unlink()
    east = put(tmp_path, "east.yaml", "East")

    assert await digest(bucket, "w") == east
    assert (await bucket.admit("east", GIVEN, "s3://ours/east.yaml")).track == ""


async def test_a_uri_finds_a_file_under_a_prefix_by_its_whole_key(tmp_path: Path, bucket: CatalogueAdmission) -> None:
    """Also where an id or another file is called like its last part."""
    eu, us = put(tmp_path, "eu/customs.yaml", "EU", "eu"), put(tmp_path, "us/customs.yaml", "US", "us")
    other = put(tmp_path, "x/w.yaml", "Other", "other")
    only = put(tmp_path, "deep/down/only.yml", "Only", "only_v1")

    assert await digest(bucket, "s3://ours/eu/customs.yaml") == eu
    assert await digest(bucket, "s3://mapped/us/customs") == us
    assert (await digest(bucket, "s3://ours/x/w.yaml"), await digest(bucket, "s3://ours/y/w.yaml")) == (
        other, digest_of(TEXT),
    )  # fmt: skip
    for uri in ("s3://ours/deep/down/only.yml", "s3://ours/elsewhere/only.yaml", "only.yml", "only", "only_v1"):
        assert await digest(bucket, uri) == only
    with pytest.raises(RejectedMessageError, match=r"several files: eu/customs\.yaml, us/customs\.yaml.*whole key"):
        await digest(bucket, "s3://ours/customs.yaml")


@pytest.mark.parametrize(
    "key", ["by-digest/z.yaml", "team/by-digest/z.yaml", "aliases/z.yaml", ".git/z.yaml", "a/../z.yaml"]
)
async def test_what_is_kept_or_hidden_is_no_definition(tmp_path: Path, bucket: CatalogueAdmission, key: str) -> None:
    """A copy of the whole bucket under a prefix brings back no old version."""
    put(tmp_path, key, "Z", "zz")
    (tmp_path / "z.yaml").unlink(missing_ok=True)

    for uri in (f"s3://ours/{key}", "zz", "s3://ours/z.yaml"):
        with pytest.raises(RejectedMessageError):
            await digest(bucket, uri)


async def test_a_file_that_has_just_come_is_found_by_its_uri(tmp_path: Path) -> None:
    """The listing is trusted for some seconds, and does not have it yet."""
    put(tmp_path, "w.yaml", "W")
    catalogue = Catalogue(Bucket(tmp_path), tmp_path / ".cache", check, 60.0)
    admission = CatalogueAdmission(catalogue, Versions(MemoryStore()), lambda: 0)
    catalogue.snapshot()
    new, track = put(tmp_path, "eu/new.yaml", "New", "new_v1"), put(tmp_path, "eu/track.yaml", "Track")

    assert await digest(admission, "s3://ours/eu/new.yaml") == new
    assert await digest(admission, "s3://ours/eu/track.yaml") == track


async def test_a_folder_has_no_prefixes(tmp_path: Path) -> None:
    """Its sub-folders are not served, so nothing may start from them."""
    put(tmp_path, "sub/z.yaml", "Z", "zz")
    catalogue = Catalogue(FolderSource(tmp_path), tmp_path / ".cache", check, 0.0, buckets=["mapped"])
    admission = CatalogueAdmission(catalogue, Versions(MemoryStore()), lambda: 0)

    for uri in ("s3://mapped/sub/z.yaml", "sub/z.yaml", f"{tmp_path}/sub/z.yaml"):
        with pytest.raises(RejectedMessageError, match="no definition of 'z'"):
            await digest(admission, uri)
