"""``cch run``."""

from __future__ import annotations

import asyncio
import json

import pytest
from cli_office import ENRICH

from cch.cli import starting, watching
from cch.definition.reader import digest_of


def test_a_watched_run_shows_every_change_and_the_final_context(office, cch):
    """Without a terminal there is one line a change; at the end comes the context; completed exits with 0."""
    result = cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch", "--instance-id", "run-1")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("instance run-1 of enrich_v1\n")
    assert "SUCCEEDED Enrich → on_response" in result.stdout
    assert "request   import#enrichment answered SUCCESS" in result.stdout
    assert "SKIPPED   Report" in result.stdout
    assert json.loads(result.stdout.split("context:\n")[1]) == {
        "shipmentId": "S-1", "uri": "s3://bucket/enriched.json", "status": "SUCCESS", "marked": True,
    }  # fmt: skip


def test_the_json_form_is_all_there_is_on_stdout(office, cch):
    """--json prints exactly one object with the agreed keys."""
    result = cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(found) == {
        "instance_id", "workflow_id", "status", "visited", "context", "seconds", "requests", "errors",
    }  # fmt: skip
    assert found["status"] == "completed"
    assert found["visited"] == ["Enrich", "Mark", "Done"]
    assert found["requests"][0]["state"] == "answered"
    assert found["errors"] == []


def test_without_watch_the_command_is_sent_and_that_is_all(office, cch):
    """The instance id is printed; whether the work succeeds is not known yet, so the exit code is 0."""
    office.works = False

    text = cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--instance-id", "run-1")
    data = cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--json")

    assert (text.exit_code, text.stdout) == (0, "instance run-1 of enrich_v1\n")
    assert json.loads(data.stdout)["status"] == "sent"


def test_the_message_is_what_other_programs_would_send(office, cch, monkeypatch):
    """Context, ids and the definition's address are in the START_WORKFLOW."""
    bodies = []

    async def keep(self, body, attributes=None):
        bodies.append(json.loads(body))

    monkeypatch.setattr("cch.testing.memory_queue.MemoryQueue.send", keep)
    cch("run", "enrich_v1", "-s", "shipmentId=S-1", "--correlation-id", "BL-1", "--instance-id", "run-1")

    (body,) = bodies
    assert body["workflowInstanceId"] == "run-1"
    assert body["correlationId"] == "BL-1"
    assert body["workflowDefinitionURI"].endswith("/enrich_v1.yaml")
    assert body["command"]["type"] == "START_WORKFLOW"
    assert body["command"]["payload"] == {"shipmentId": "S-1"}


def test_context_and_values_are_laid_over_each_other():
    """Values are JSON where they parse, text elsewhere; dots nest; later ones win."""
    context = starting.read_context(
        '{"a": 1, "deep": {"x": 1}}',
        ["deep.y=2", "a=two", "flag=true", "code=007", "list=[1]", "number=NaN", 'quoted="5"', "empty=", "e=a=b"],
    )

    assert context == {
        "a": "two", "deep": {"x": 1, "y": 2}, "flag": True, "code": "007", "list": [1], "number": "NaN",
        "quoted": "5", "empty": "", "e": "a=b",
    }  # fmt: skip


def test_the_context_may_come_from_a_file_or_stdin(office, cch):
    """@file and @- are read as JSON."""
    (office.home / "context.json").write_text('{"shipmentId": "S-9"}')

    by_file = cch("run", "enrich_v1", "--context", "@context.json", "--watch", "--json")
    by_stdin = cch("run", "enrich_v1", "--context", "@-", "--watch", "--json", stdin='{"shipmentId": "S-8"}')

    assert json.loads(by_file.stdout)["context"]["shipmentId"] == "S-9"
    assert json.loads(by_stdin.stdout)["context"]["shipmentId"] == "S-8"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["enrich_v1"], "required key 'shipmentId' is missing"),
        (["nothing_v1"], "there is no definition of 'nothing_v1'"),
        (["nothing.yaml"], "there is no file nothing.yaml"),
        (["enrich_v1", "--context", "{"], "--context is not JSON"),
        (["enrich_v1", "--context", "[1]"], "must be a JSON object"),
        (["enrich_v1", "--context", "@no.json"], "no.json cannot be read"),
        (["enrich_v1", "--set", "shipmentId"], "write key=value"),
        (["enrich_v1", "--set", "a..b=1"], "write key=value"),
        (["enrich_v1", "--set", "shipmentId=1", "--set", "n=1e999"], "cannot start enrich_v1"),
        (["enrich_v1", "--set", "shipmentId=1", "--set", f"n={2**70}"], "n is a number beyond 64 bits"),
        (["enrich_v1", "--set", "shipmentId=1", "--instance-id", "with space"], "workflowInstanceId must have"),
        (["enrich_v1", "--set", "shipmentId=" + "x" * 1_100_000], "more than the 1048576 allowed"),
    ],
)
def test_wrong_use_is_one_sentence_and_sends_nothing(office, cch, arguments, said):
    """What cannot be started exits with 2 and says why; no message leaves."""
    result = cch("run", *arguments, "--watch")

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_every_missing_key_is_named_at_once(office, cch):
    """A person does not find out one key after the other."""
    office.publish("enrich_v1.yaml", ENRICH.replace("[shipmentId]", "[shipmentId, origin]"))

    result = cch("run", "enrich_v1")

    assert "'shipmentId' is missing; required key 'origin' is missing" in result.stderr


def test_a_definition_file_must_be_what_is_published(office, cch):
    """A file stands for its workflow; one that was not published, or differs, is not silently replaced."""
    path = office.write("enrich.yaml")
    other = office.write("other.yaml", ENRICH.replace("enrich_v1", "other_v1"))

    same = cch("run", path, "--set", "shipmentId=1", "--watch", "--json")
    unpublished = cch("run", other, "--set", "shipmentId=1")
    path.write_text(ENRICH + "# changed\n")
    changed = cch("run", path, "--set", "shipmentId=1")

    assert json.loads(same.stdout)["status"] == "completed"
    assert unpublished.exit_code == 2
    assert f"run `cch publish {other}` first" in unpublished.stderr
    assert changed.exit_code == 2
    assert "differs from what is published" in changed.stderr


def test_a_failed_instance_exits_with_one(office, cch):
    """A node that fails without a way on fails the instance; the reason is told."""
    office.publish("enrich_v1.yaml", ENRICH.replace("type: end\n", "type: end\n    status: failed\n"))

    text = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch")
    data = json.loads(cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--json").stdout)

    assert text.exit_code == 1
    assert "failed:" in text.stderr
    assert data["status"] == "failed"
    assert data["errors"][0]["node"] == "Done"


def test_a_handled_error_is_told_although_the_instance_completes(office, cch):
    """What log_error wrote, and the failure that led there, are in the errors."""
    office.answers["import#enrichment"] = ("ERROR", {"messages": [{"code": "X-1"}]})

    result = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [error["code"] for error in found["errors"]] == ["NODE_FAILED", "E-1"]
    assert found["errors"][0]["handled"] is True


def test_a_timeout_exits_with_one_and_says_how_far_it_came(office, cch, monkeypatch):
    """The instance goes on; only watching ends. Here time passes as soon as the instance waits, however slow it is."""
    monkeypatch.setattr(watching._Watch, "_spent", lambda watch: 1.0 if watch._last and watch._last.requests else 0.0)
    del office.answers["import#enrichment"]

    result = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--timeout", "0.3")
    data = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--timeout", "0.3", "--json")

    assert result.exit_code == 1
    assert "WAITING   Enrich for import#enrichment since" in result.stdout
    assert "not finished within 0.3 s: it is running" in result.stderr
    assert json.loads(data.stdout)["status"] == "timeout"
    assert json.loads(data.stdout)["requests"][0]["state"] == "open"


def test_watching_ends_when_nothing_changes_any_more(office, cch):
    """However long it took until then; what has changed last is shown."""
    del office.answers["import#enrichment"]

    result = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--still", "2")

    assert result.exit_code == 1
    assert "WAITING   Enrich for import#enrichment since" in result.stdout
    assert "nothing has changed for 2 s: it is running" in result.stderr


def test_a_rejection_is_told_with_its_reason(office, cch, monkeypatch):
    """When the platform refuses the start, its reason is found in the ledger."""
    monkeypatch.setattr(starting, "context_problems", lambda *_: [])

    result = cch("run", "enrich_v1", "--watch", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["status"] == "rejected"
    assert "required key 'shipmentId' is missing" in found["errors"][0]["message"]


def test_nobody_there_is_noticed(office, cch, monkeypatch):
    """A command that nobody takes is told once, and a timeout ends it."""
    office.works = False
    monkeypatch.setattr(watching, "_UNTAKEN_AFTER", 0.05)

    result = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch", "--timeout", "0.3")

    assert result.exit_code == 1
    assert result.stderr.count("nobody has taken the command") == 1
    assert "it is sent" in result.stderr


def test_starting_a_known_instance_again_changes_nothing(office, cch):
    """The same id is told and watched; for another workflow it is refused."""
    office.start("run-1")
    office.publish("other_v1.yaml", ENRICH.replace("enrich_v1", "other_v1"))

    again = cch("run", "enrich_v1", "--set", "shipmentId=1", "--instance-id", "run-1", "--watch", "--json")
    other = cch("run", "other_v1", "--set", "shipmentId=1", "--instance-id", "run-1")

    assert again.exit_code == 0
    assert "a repeated start changes nothing" in again.stderr
    assert json.loads(again.stdout)["context"]["shipmentId"] == "S-1"
    assert other.exit_code == 2
    assert "choose another id" in other.stderr


def test_a_missing_command_queue_says_what_to_create(office, cch, monkeypatch):
    """No queue is a failure of the environment, exit code 1."""
    monkeypatch.setattr("cch.testing.memory_queue.MemoryQueues.find", _nothing)

    office.works = False
    result = cch("run", "enrich_v1", "--set", "shipmentId=1")

    assert result.exit_code == 1
    assert "create the resources" in result.stderr


async def _nothing(self, name):
    return None


def test_the_screen_of_a_terminal_draws_the_same_tables(office, cch, monkeypatch):
    """On a terminal the live display is used; what stays is the last table."""
    monkeypatch.setattr(starting, "display_for", lambda platform, *, quiet: watching.Screen(platform.clock))

    result = cch("run", "enrich_v1", "--set", "shipmentId=1", "--watch")

    assert result.exit_code == 0
    assert "Enrich" in result.stdout
    assert "completed" in result.stdout


def test_a_broken_publication_does_not_keep_the_last_good_version_from_starting(office, cch):
    """As with every other way to start; what is wrong is said, and without a good version it is all there is."""
    cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch")
    office.publish("enrich_v1.yaml", ENRICH.replace("on_response: ", "on_response: X"))
    office.publish("never_v1.yaml", "workflow_id: never_v1")

    last_good = cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch")
    never = cch("run", "never_v1")

    assert last_good.exit_code == 0
    assert "its last good version is started" in last_good.stderr
    assert "CCH-G001" in last_good.stderr
    assert never.exit_code == 1
    assert never.stderr.startswith("what is published as never_v1 cannot be used:")
    assert "rejected: the definition of 'never_v1' is not usable" in never.stderr


def test_a_broken_publication_is_started_where_only_airflow_knows_the_last_good_version(office, cch, monkeypatch):
    """This shell has a cache of its own, which has never seen it; the platform decides, and what it says is told."""
    cch("run", "enrich_v1", "--set", "shipmentId=S-1", "--watch")
    office.publish("enrich_v1.yaml", ENRICH.replace("on_response: ", "on_response: X"))
    monkeypatch.setattr(starting, "_last_good", lambda *_: None)

    sent = cch("run", "enrich_v1", "--set", "shipmentId=S-1")
    refused = cch("run", "enrich_v1", "--json")

    assert sent.exit_code == 0, sent.stderr
    assert "no earlier version is known here" in sent.stderr
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["status"] == "rejected"
    assert "required key 'shipmentId' is missing" in refused.stdout


def test_the_file_of_a_track_starts_that_track(office, cch):
    """Its newest version, as it is published; the instance says that the track was asked for."""
    east = office.write("east.yaml", ENRICH.replace("Enrich a shipment", "East"))
    assert cch("publish", "--tracks", east).exit_code == 0
    start = ("--set", "shipmentId=S-1", "--watch", "--instance-id")

    for number, name in enumerate((east, "enrich_v1@east", "enrich_v1")):
        assert cch("run", name, *start, f"run-{number}").exit_code == 0

    found = [asyncio.run(office.ledger.instances.find(f"run-{number}")) for number in range(3)]
    own, usual = digest_of(east.read_text()), digest_of(ENRICH)
    assert [each.definition_digest for each in found] == [own, own, usual]
    assert [each.version_asked for each in found] == ["east.yaml", "east", ""]
    east.write_text(ENRICH)
    assert "differs from what is published" in cch("run", east, *start, "run-9").stderr


def test_of_requests_that_a_scenario_describes_their_number_counts():
    """Nobody keeps what they brought."""
    from cch.cli.scripted import seen_outside

    found = seen_outside({"status": "completed", "requests": {"a#b": [{"context": {"k": 1}}, {}], "c#d": 3}})

    assert found["requests"] == {"a#b": 2, "c#d": 3}
