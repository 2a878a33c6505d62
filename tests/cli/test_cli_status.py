"""``cch status``."""

from __future__ import annotations

import asyncio
import json

from cch.envelope import start_command
from cch.ledger.gates import Gate
from cch.ledger.store import Change


def test_an_instance_in_detail(office, cch):
    """By its id: nodes with states, requests with times, and the context."""
    office.start("run-1", correlation_id="BL-1")

    result = cch("status", "run-1")

    assert result.exit_code == 0
    assert "enrich_v1  run-1 (BL-1)  completed" in result.stdout
    assert "SUCCEEDED" in result.stdout
    assert "SKIPPED" in result.stdout
    assert "answered" in result.stdout
    assert '"uri": "s3://bucket/enriched.json"' in result.stdout


def test_a_waiting_instance_says_for_whom(office, cch):
    """The open request is shown with its capability and since when."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")

    found = json.loads(cch("status", "run-1", "--json").stdout)

    (node,) = [node for node in found["nodes"] if node["state"] == "WAITING"]
    assert (node["name"], node["waits_for"]) == ("Enrich", "import#enrichment")
    assert node["since"] == found["requests"][0]["created"]
    assert found["ended"] is None


def test_a_held_instance_says_who_holds_it(office, cch):
    """With the reason, for people and for programs; one that may run only so long says until when."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")

    async def hold() -> None:
        async with office.open() as platform:
            gate = Gate(kind="held", by="ada", since=1_767_600_000_000, reason="customs is down")
            await platform.ledger.gates.close("run-1", gate)
            await platform.ledger.store.update(("INST#run-1", "META"), Change(set={"due": 4_102_444_800_000}))

    asyncio.run(hold())
    text, data = cch("status", "run-1").stdout, json.loads(cch("status", "run-1", "--json").stdout)

    assert "held by ada since" in text
    assert ": customs is down" in text
    assert "may run until 2100-01-01" in text
    assert [(gate["kind"], gate["by"], gate["reason"]) for gate in data["gates"]] == [
        ("held", "ada", "customs is down")
    ]
    assert data["due"].startswith("2100-01-01T00:00:00")


def test_a_correlation_id_finds_one_or_lists_several(office, cch):
    """One instance is shown in detail, several as a table."""
    office.start("run-1", correlation_id="BL-1")
    one = cch("status", "BL-1", "--json")
    office.start("run-2", correlation_id="BL-1")
    several = cch("status", "BL-1", "--json")
    text = cch("status", "BL-1")

    assert json.loads(one.stdout)["instance_id"] == "run-1"
    assert [i["instance_id"] for i in json.loads(several.stdout)["instances"]] == ["run-2", "run-1"]
    assert "run-1" in text.stdout
    assert "run-2" in text.stdout


def test_an_unknown_id_is_wrong_use(office, cch):
    """One sentence, exit code 2."""
    result = cch("status", "nobody")

    assert result.exit_code == 2
    assert result.stderr == "cch: there is no instance with the id or correlation id 'nobody'\n"


def test_without_an_id_the_newest_instances_are_listed(office, cch):
    """Of all published workflows, newest first, whatever their status; --workflow and --limit choose."""
    office.start("run-1")
    del office.answers["import#enrichment"]
    office.start("run-2", until="waiting")

    everything = json.loads(cch("status", "--json").stdout)["instances"]
    newest = json.loads(cch("status", "--json", "--limit", "1").stdout)["instances"]
    other = cch("status", "--workflow", "other_v1")

    assert [(i["instance_id"], i["status"]) for i in everything] == [("run-2", "running"), ("run-1", "completed")]
    assert [i["instance_id"] for i in newest] == ["run-2"]
    assert (other.exit_code, other.stdout) == (0, "no instances of other_v1 yet\n")


def test_a_lost_definition_still_shows_what_is_known(office, cch, tmp_path):
    """Without the definition there are no node states, but requests and context are there."""
    office.start("run-1")
    for path in (tmp_path / "published", tmp_path / "cache"):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()

    result = cch("status", "run-1", "--json")

    found = json.loads(result.stdout)
    assert found["nodes"] == []
    assert found["visited"] == ["Enrich", "Mark", "Done"]
    assert found["context"]["marked"] is True


def test_the_platforms_own_keys_stay_inside(office, cch):
    """Context keys that begin with _ are left out; the reason is among the errors."""
    office.answers["import#enrichment"] = ("ERROR", {})
    office.start("run-1")

    found = json.loads(cch("status", "run-1", "--json").stdout)

    assert not [key for key in found["context"] if key.startswith("_")]
    assert "import#enrichment answered ERROR" in found["errors"][0]["message"]


def test_a_narrow_terminal_shows_names_whole(office, cch, monkeypatch):
    """On 80 columns less is shown, because names that are cut into pieces cannot be read."""
    from rich.console import Console

    from cch.cli import instance_views

    cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch", "--instance-id", "narrow")
    wide = cch("status", "narrow").stdout
    monkeypatch.setattr(instance_views, "console", lambda: Console(width=80))

    narrow = cch("status", "narrow").stdout

    assert "since" in wide
    assert "since" not in narrow
    assert "import#enrichment" in narrow
    assert "→ on_response" in narrow


def test_a_start_that_was_rejected_says_why(office, cch):
    """Its sender knows the instance id, and nothing else says what became of it."""
    office.start("run-1", workflow="unknown_v1", until="rejected")

    result = cch("status", "run-1")

    assert result.exit_code == 2
    assert "the start of instance 'run-1' was rejected: " in result.stderr
    assert "unknown_v1" in result.stderr


def test_a_start_that_waits_says_why(office, cch):
    """What the dispatcher was told by Airflow, or that no dispatcher has come by."""
    office.works = False

    async def work(platform):
        queue = await platform.queues.find(platform.settings.names.command_queue)
        await queue.send(
            start_command(
                instance="run-1",
                command_id="c",
                definition_uri="enrich_v1",
                context={"shipmentId": "S"},
                correlation_id="BL",
                now=1,
            )
        )
        await platform.router.intake.handle(await queue.receive(0))

    office.do(work)
    assert "its start waits: no dispatcher has tried it yet" in cch("status", "run-1").stdout

    async def refuse(platform):
        (start,) = await platform.ledger.mailboxes.starts()
        await platform.ledger.mailboxes.postpone(start, 2, "Airflow has another version")

    office.do(refuse)
    assert json.loads(cch("status", "run-1", "--json").stdout)["start_waits"] == "Airflow has another version"
