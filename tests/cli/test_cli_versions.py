"""``cch publish`` beside live instances, ``cch versions``, ``label``, ``rollback``, and starts that name a version."""

from __future__ import annotations

import json

import pytest
from cli_office import ENRICH

from cch.definition.reader import digest_of
from cch.definition.source import FolderSource
from cch.errors import ServiceUnavailableError
from cch.ledger.versions import Pinning, Versions
from cch.runtime.platform import now_ms

#: The same workflow with another node.
OTHER = ENRICH.replace("  Report:", "  Unseen:\n    type: end\n  Report:").replace(
    "    on_success: Done\n  Unseen", "    on_success: Unseen\n  Unseen"
)


@pytest.fixture
def pinned(office):
    """An Airflow whose dispatcher has just reported that runs keep their versions."""
    office.do(lambda platform: platform.ledger.versions.report_pinning(Pinning(pins=True, seen=now_ms())))
    return office


def versions(cch) -> list[dict]:
    return json.loads(cch("versions", "enrich_v1", "--json").stdout)["versions"]


def test_live_instances_hold_up_no_publication_where_they_keep_their_version(pinned, cch):
    """What changes is shown, and who stays on which version, at which node."""
    del pinned.answers["import#enrichment"]
    pinned.start("run-1", until="waiting")
    pinned.write("enrich.yaml", OTHER)

    result = cch("publish", "--note", "tariff of 1 July")

    assert result.exit_code == 0, result.stderr
    assert "+ node Unseen" in result.stdout
    assert (pinned.published / "enrich_v1.yaml").read_text() == OTHER
    new, old = versions(cch)
    assert (new["version"], new["current"], new["live"], new["note"]) == (2, True, 0, "tariff of 1 July")
    assert (old["version"], old["current"], old["live"], old["nodes"]) == (1, False, 1, {"Enrich": 1})


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Pinning(pins=False, seen=0, reason="Airflow 9 is not as this release knows it"), "Airflow 9 is not as"),
        (None, "nobody has reported lately"),
    ],
)
def test_where_they_do_not_the_refusal_says_why(office, cch, report, words):
    """As before there were versions; whoever operates Airflow reads what to mend."""
    if report is not None:
        now = Pinning(pins=report.pins, seen=now_ms(), reason=report.reason)
        office.do(lambda platform: platform.ledger.versions.report_pinning(now))
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    office.write("enrich.yaml", OTHER)

    result = cch("publish")

    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())
    assert (office.published / "enrich_v1.yaml").read_text() == ENRICH


def test_the_second_of_two_publishers_is_told(pinned, cch, monkeypatch):
    """Somebody else took the next number after this command had looked; nothing of it is served."""
    pinned.write("enrich.yaml", OTHER)
    original = Versions.add

    async def add(self, shelf, digest, now, **options):
        if digest == digest_of(OTHER):
            await original(self, await self.shelf("enrich_v1"), "f" * 64, now)
        return await original(self, shelf, digest, now, **options)

    monkeypatch.setattr(Versions, "add", add)

    result = cch("publish")

    assert result.exit_code != 0
    assert "was published by somebody else in the same moment" in " ".join(result.stderr.split())
    assert (pinned.published / "enrich_v1.yaml").read_text() == ENRICH


def test_a_publication_that_breaks_off_is_finished_by_the_next(pinned, cch, monkeypatch):
    """S3 goes away after the version was kept and numbered: nothing is served yet, and it keeps its number."""
    pinned.write("enrich.yaml", OTHER)
    original = FolderSource.write

    def write(self, name, text):
        if name == "enrich_v1.yaml":
            raise ServiceUnavailableError("S3 does not answer")
        original(self, name, text)

    monkeypatch.setattr(FolderSource, "write", write)
    broken = cch("publish")
    between = (pinned.published / "enrich_v1.yaml").read_text()
    monkeypatch.undo()

    monkeypatch.chdir(pinned.home)
    monkeypatch.setenv("CCH_DEFINITIONS_FOLDER", str(pinned.published))
    monkeypatch.setenv("CCH_CACHE_FOLDER", str(pinned.home / "cache"))
    again = cch("publish")

    assert broken.exit_code == 1
    assert "S3 does not answer" in broken.stderr
    assert between == ENRICH
    assert again.exit_code == 0, again.stderr
    assert [each["version"] for each in versions(cch)] == [2, 1]


def test_a_share_of_the_starts_gets_a_version(pinned, cch):
    """What is published stays; publishing it without a share gives it everything."""
    pinned.write("enrich.yaml", OTHER)

    shared = cch("publish", "--share", "50%")
    for number in range(8):
        pinned.start(f"run-{number}")
    standing = {each["version"]: each for each in versions(cch)}
    cch("publish")
    after = {each["version"]: each for each in versions(cch)}

    assert shared.exit_code == 0, shared.stderr
    assert (standing[1]["current"], standing[2]["share"]) == (True, 50.0)
    assert standing[1]["ended"] + standing[2]["ended"] == 8
    assert 0 < standing[2]["ended"] < 8
    assert (after[2]["current"], after[2]["share"]) == (True, 0.0)


@pytest.mark.parametrize("share", ["0", "101%", "-1", "ten", "nan", "%"])
def test_a_share_that_is_none_is_refused(pinned, cch, share):
    """Before anything is read or written."""
    pinned.write("enrich.yaml", OTHER)

    result = cch("publish", "--share", share)

    assert result.exit_code == 2
    assert "number of percent" in " ".join(result.stderr.split())


def test_a_share_needs_somebody_who_gets_the_rest(pinned, cch):
    """A first version is published whole."""
    (pinned.published / "enrich_v1.yaml").unlink()
    pinned.write("enrich.yaml")

    result = cch("publish", "--share", "10%")

    assert result.exit_code == 2
    assert "not published yet" in result.stderr


def test_a_rollback_ends_a_share_first(pinned, cch):
    """What is published was not touched by the share."""
    pinned.write("enrich.yaml", OTHER)
    cch("publish", "--share", "50%")

    result = cch("rollback", "enrich_v1")

    assert "50 %" in result.stdout
    assert [each["share"] for each in versions(cch)] == [0.0, 0.0]
    assert (pinned.published / "enrich_v1.yaml").read_text() == ENRICH


def mark(office) -> str:
    return office.do(lambda platform: platform.ledger.versions.shelf("enrich_v1")).published


def test_a_rollback_publishes_the_version_before(pinned, cch):
    """It makes no new version; any other one can be named, and each is heard of by whoever has read the file before."""
    pinned.write("enrich.yaml", OTHER)
    cch("publish")
    marks = [mark(pinned)]

    back = cch("rollback", "enrich_v1")
    first = (pinned.published / "enrich_v1.yaml").read_text()
    marks.append(mark(pinned))
    forward = cch("rollback", "enrich_v1", "--to", "2")
    second = (pinned.published / "enrich_v1.yaml").read_text()
    marks.append(mark(pinned))
    cch("publish")
    marks.append(mark(pinned))

    assert "version 1 of enrich_v1 is published instead of version 2" in " ".join(back.stdout.split())
    assert (first, second) == (ENRICH, OTHER)
    assert len(set(marks)) == 3
    assert marks[2] == marks[3] != ""
    assert forward.exit_code == 0
    assert [each["version"] for each in versions(cch)] == [2, 1]


def test_a_rollback_harms_no_live_instance(office, cch):
    """Where runs do not keep their versions it is refused as a publication is, and says why."""
    office.write("enrich.yaml", OTHER)
    cch("publish")
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")

    result = cch("rollback", "enrich_v1")

    assert result.exit_code == 2
    assert "1 live instances of enrich_v1 run other tasks" in " ".join(result.stderr.split())
    assert (office.published / "enrich_v1.yaml").read_text() == OTHER


def test_a_rollback_with_nothing_before_it_is_refused(pinned, cch):
    """It is said, and nothing changes."""
    pinned.write("enrich.yaml")
    cch("publish")

    result = cch("rollback", "enrich_v1")

    assert result.exit_code == 2
    assert "no version of enrich_v1 before" in result.stderr


def test_a_start_may_name_its_version(pinned, cch):
    """By number or label behind an @; one that there is not is refused with what there is."""
    pinned.write("enrich.yaml", OTHER)
    cch("publish")
    cch("label", "enrich_v1", "stable", "1")
    context = ("--set", "shipmentId=S-1", "--watch", "--json")

    by_label = cch("run", "enrich_v1@stable", "--instance-id", "a", *context)
    newest = cch("run", "enrich_v1", "--instance-id", "b", *context)
    wrong = cch("run", "enrich_v1@7", *context)

    assert by_label.exit_code == 0, by_label.stderr
    assert newest.exit_code == 0, newest.stderr
    digests = {name: pinned.do(lambda p, n=name: p.ledger.instances.find(n)).definition_digest for name in "ab"}
    assert digests == {"a": digest_of(ENRICH), "b": digest_of(OTHER)}
    assert wrong.exit_code == 2
    assert "has no version '7': it has 1 to 2" in " ".join(wrong.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("label", "enrich_v1", "stable"), "name the version"),
        (("label", "enrich_v1", "stable", "9"), "has no version '9'"),
        (("label", "enrich_v1", "7", "1"), "cannot be a label"),
        (("label", "enrich_v1", "gone", "--remove"), "has no label @gone"),
        (("label", "unknown", "stable", "1"), "no version of 'unknown' is known"),
        (("versions", "unknown"), "there is no workflow 'unknown'"),
        (("rollback", "unknown"), "no version of 'unknown' is known"),
    ],
)
def test_what_cannot_be_meant_is_said(pinned, cch, arguments, words):
    """With the exit code of a command that only has to be written otherwise."""
    pinned.write("enrich.yaml")
    cch("publish")

    result = cch(*arguments)

    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
