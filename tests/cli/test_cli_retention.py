"""``cch ledger expire`` and ``cch status --archive``."""

from __future__ import annotations

import asyncio
import json

import pytest

from cch.ledger.store import Change
from cch.runtime.platform import now_ms
from cch.testing.memory_store import MemoryArchive

DAY = 86_400_000


@pytest.fixture
def archive(office, monkeypatch):
    """An archive, and a retention of ten days."""
    monkeypatch.setenv("CCH_RETENTION_DAYS", "10")
    office.archive = MemoryArchive()
    return office.archive


def age(office, instance, days):
    """Let an instance have started and ended so long ago."""
    then = now_ms() - days * DAY
    change = Change(set={"started": then, "ended": then, "status_started": f"completed#{then}"})
    asyncio.run(office.store.update((f"INST#{instance}", "META"), change))


def test_what_is_due_expires_and_is_shown_from_the_archive(office, cch, archive):
    """The ledger says where it is; the younger one stays."""
    office.start("old", correlation_id="BL-1")
    office.start("new")
    age(office, "old", 11)
    age(office, "new", 9)

    expired, gone, there = cch("ledger", "expire"), cch("status", "old"), cch("status", "new")
    shown, data = cch("status", "old", "--archive"), json.loads(cch("status", "old", "--archive", "--json").stdout)

    assert "1 instance expired" in expired.stdout
    assert gone.exit_code == 1
    assert "cch status --archive old" in gone.stderr
    assert there.exit_code == 0
    assert "BL-1" in shown.stdout
    assert "Enrich" in shown.stdout
    assert data["context"]["uri"] == "s3://bucket/enriched.json"
    assert [request["state"] for request in data["requests"]] == ["answered"]
    assert cch("ledger", "check").exit_code == 0


def test_without_an_archive_or_an_instance_the_command_says_so(office, cch, archive):
    """Each is wrong use, with what is missing."""
    unknown, nameless = cch("status", "nobody", "--archive"), cch("status", "--archive")
    office.archive = None
    none = cch("status", "old", "--archive")

    assert [result.exit_code for result in (unknown, nameless, none)] == [2, 2, 2]
    assert "the archive has no instance 'nobody'" in unknown.stderr
    assert "name the instance" in nameless.stderr
    assert "CCH_ARCHIVE is not set" in none.stderr


def test_leftovers_are_found_and_removed(office, cch, monkeypatch):
    """An earlier release let the instance's own item expire alone."""
    from cch.cli import retaining

    monkeypatch.setattr(retaining.expire, "__kwdefaults__", {"pause": 0})
    office.start("old")
    office.start("new")
    asyncio.run(office.store.delete(("INST#old", "META")))

    found, removed, after = cch("ledger", "check"), cch("ledger", "expire", "--leftovers"), cch("ledger", "check")

    assert found.exit_code == 1
    assert "CCH_RETENTION_DAYS is not set" in removed.stderr
    assert "of instances that are gone removed" in removed.stdout
    assert after.exit_code == 0
    assert cch("status", "new").exit_code == 0


def test_instances_of_earlier_releases_are_counted_once(office, cch):
    """However often the command is given; the dispatcher's own work is done on the way."""
    office.start("older")
    office.start("newer")
    asyncio.run(office.store.update(("INST#older", "META"), Change(remove=("live",))))

    first, second = cch("ledger", "rollup"), cch("ledger", "rollup")

    assert "2 instances counted" in first.stdout
    assert "0 instances counted" in second.stdout
    assert cch("ledger", "check").exit_code == 0


def test_figures_that_are_missing_are_found(office, cch):
    """Somebody has deleted a day."""
    office.start("run-1")
    cch("ledger", "rollup")
    (item,) = asyncio.run(office.store.scan("STATS#"))
    asyncio.run(office.store.delete((item["PK"], item["SK"])))

    found = cch("ledger", "check")

    assert found.exit_code == 1
    assert "marked as counted" in found.stdout
