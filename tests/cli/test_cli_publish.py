"""``cch publish``."""

from __future__ import annotations

import json

from cli_office import ENRICH

from cch.definition.reader import digest_of
from cch.errors import ServiceUnavailableError

#: Another text with the same tasks, and one with other tasks.
OTHER_TEXT = ENRICH.replace("Enrich a shipment", "Enrich any shipment")
OTHER_TASKS = ENRICH.replace("  Report:", "  Unseen:\n    type: end\n  Report:").replace(
    "    on_success: Done\n  Unseen", "    on_success: Unseen\n  Unseen"
)


def test_a_first_publication_writes_the_definition_and_its_version(office, cch):
    """The text is under the workflow's id, whatever the file is called, and under its digest."""
    (office.published / "enrich_v1.yaml").unlink()
    office.write("my-file.yaml")

    result = cch("publish")

    assert result.exit_code == 0, result.stderr
    assert "created" in result.stdout
    assert (office.published / "enrich_v1.yaml").read_text() == ENRICH
    assert (office.published / "by-digest" / f"{digest_of(ENRICH)}.yaml").read_text() == ENRICH


def test_publishing_again_changes_nothing(office, cch):
    """The same text is reported as unchanged; another one as updated."""
    path = office.write("enrich.yaml")

    again = json.loads(cch("publish", "--json").stdout)
    path.write_text(OTHER_TEXT)
    other = json.loads(cch("publish", "--json").stdout)

    assert again["definitions"][0]["action"] == "unchanged"
    assert other["definitions"][0]["action"] == "updated"
    assert other["ok"] is True


def test_one_error_refuses_all(office, cch):
    """Nothing is written when one of the definitions has an error."""
    good = ENRICH.replace("enrich_v1", "other_v1")
    office.write("good.yaml", good)
    office.write("bad.yaml", ENRICH.replace("type: end", "type: ent"))

    result = cch("publish")

    assert result.exit_code == 1
    assert "CCH-D023" in result.stderr
    assert "nothing is published: 1 error has" in result.stderr
    assert not (office.published / "other_v1.yaml").exists()


def test_one_error_refuses_all_in_json_too(office, cch):
    """The JSON form has the problems and no definitions."""
    office.write("bad.yaml", "workflow_id: x")

    result = cch("publish", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["ok"], found["definitions"]) == (False, [])
    assert found["problems"]


def test_another_structure_is_refused_while_instances_run(office, cch):
    """The running instance is named, and what is published stays."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting", correlation_id="BL-7")
    office.write("enrich.yaml", OTHER_TASKS)

    result = cch("publish")

    assert result.exit_code == 1
    assert "run-1" in result.stdout
    assert "BL-7" in result.stdout
    assert "fails at its next node" in result.stdout
    assert "--force" in result.stderr
    assert (office.published / "enrich_v1.yaml").read_text() == ENRICH


def test_force_publishes_and_says_whom_it_concerns(office, cch):
    """With --force the new structure is published; the instances that will fail are listed."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    office.write("enrich.yaml", OTHER_TASKS)

    result = cch("publish", "--force", "--json")

    (one,) = json.loads(result.stdout)["definitions"]
    assert result.exit_code == 0
    assert one["action"] == "updated"
    assert [(i["instance_id"], i["consequence"]) for i in one["instances"]] == [("run-1", "fails at its next node")]
    assert (office.published / "enrich_v1.yaml").read_text() == OTHER_TASKS


def test_the_old_structure_may_come_back(office, cch):
    """Publishing what the running instances run is what saves them: it is never refused."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    office.publish("enrich_v1.yaml", OTHER_TASKS)
    office.write("enrich.yaml")

    result = cch("publish", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["definitions"][0]["action"] == "updated"


def test_the_same_structure_may_change_under_running_instances(office, cch):
    """Only tasks and edges count: a new title needs no --force."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    office.write("enrich.yaml", OTHER_TEXT)

    assert cch("publish").exit_code == 0


def test_ended_instances_hold_nobody_up(office, cch):
    """Another structure is published when every instance has ended."""
    office.start("run-1")
    office.write("enrich.yaml", OTHER_TASKS)

    assert cch("publish").exit_code == 0


def test_line_ends_do_not_change_the_digest(office, cch):
    """A file saved with Windows' line ends is the same version."""
    office.write("enrich.yaml").write_bytes(ENRICH.replace("\n", "\r\n").encode())

    result = cch("publish", "--json")

    assert json.loads(result.stdout)["definitions"][0]["action"] == "unchanged"


def test_a_workflow_that_is_there_under_another_name_is_replaced_there(office, cch):
    """A second file with its id would not be served; what is done is said."""
    (office.published / "enrich_v1.yaml").rename(office.published / "a-legacy-name.yaml")
    path = office.write("enrich.yaml", ENRICH.replace("Enrich a shipment", "Enrich it"))

    result = cch("publish", path)

    assert result.exit_code == 0, result.stderr
    assert "enrich_v1 was published as a-legacy-name.yaml, which has been replaced" in result.stderr
    assert [file.name for file in office.published.glob("*.yaml")] == ["a-legacy-name.yaml"]
    assert "Enrich it" in (office.published / "a-legacy-name.yaml").read_text()
    (again,) = json.loads(cch("publish", path, "--json").stdout)["definitions"]
    assert (again["action"], again["published_as"]) == ("unchanged", "a-legacy-name.yaml")


CALLS = """\
workflow_id: calls_v1
workflow_name: Calls
entry_point: Call
nodes:
  Call: {type: sync_call, capability_id: rates#today, on_success: Read}
  Read: {type: library_call, library_function_id: s3#raed, parameters: {}, output_key: k, on_success: Ask}
  Ask: {type: async_request, capability_id: "import#x", timeout: 1d, on_response: Done, on_failure: Done}
  Done: {type: end}
"""


def test_capabilities_that_nobody_serves_are_warned_of(office, cch, monkeypatch):
    """A call that nothing is bound to and a request without a queue; a binding or the fallback queue is enough."""
    path = office.write("calls.yaml", CALLS)

    result = cch("publish", path)

    assert result.exit_code == 0
    assert "calls.yaml:5:27: warning CCH-G106: nothing is bound to capability 'rates#today'" in result.stderr
    assert "there is no library function 's3#raed'" in result.stderr
    assert "import#x" not in result.stderr

    monkeypatch.setenv("CCH_CAPABILITY_BINDINGS", '{"rates#today": "lambda:rates"}')
    assert "rates#today" not in cch("publish", path).stderr


def test_what_cannot_be_looked_up_is_published_all_the_same(office, cch, monkeypatch):
    """Without SQS nobody can say whether there is a queue."""

    async def unknown(*_):
        raise ServiceUnavailableError("SQS does not answer")

    monkeypatch.setattr("cch.cli.publication.unserved", unknown)

    result = cch("publish", office.write("calls.yaml", CALLS))

    assert result.exit_code == 0
    assert "whether capabilities have queues is not known: SQS does not answer" in result.stderr


def test_what_is_served_already_keeps_nothing_else_from_publication(office, cch):
    """Its findings are said as warnings; the same text, new, is refused."""
    tagged = ENRICH.replace("static_outputs: {marked", "static_outputs: !x {marked").replace("enrich_v1", "old_v1")
    office.publish("old_v1.yaml", tagged)
    office.write("old.yaml", tagged)
    office.write("new.yaml")

    result = cch("publish")

    assert result.exit_code == 0, result.output
    assert "warning CCH-D007" in result.output
    assert (office.published / "enrich_v1.yaml").read_text() == ENRICH
    office.write("old.yaml", tagged.replace("Enrich a shipment", "Changed"))
    assert cch("publish").exit_code == 1


def test_two_files_with_one_id_are_refused_though_one_of_them_is_served(office, cch):
    """Else the last one by name would win."""
    office.publish("enrich_v1.yaml", ENRICH)
    office.write("a.yaml", ENRICH.replace("Enrich a shipment", "Another"))
    office.write("b.yaml", ENRICH)

    result = cch("publish")

    assert result.exit_code == 1
    assert "CCH-G007" in result.output
    assert (office.published / "enrich_v1.yaml").read_text() == ENRICH


def test_the_name_of_the_file_becomes_an_alias(office, cch):
    """Messages may start the workflow by it; publishing again changes nothing."""
    path = office.write("shipment-import.yaml")
    done = json.loads(cch("publish", "--json", str(path)).stdout)
    again = cch("publish", str(path))

    assert done["definitions"][0]["alias"] == "shipment-import"
    assert json.loads((office.published / "aliases" / "shipment-import.json").read_text()) == {
        "workflow_id": "enrich_v1"
    }
    assert "messages may also start enrich_v1 as shipment-import" in again.stderr


def test_as_gives_another_alias(office, cch):
    """Of one definition only."""
    path = office.write("enrich_v1.yaml")
    office.write("other.yaml", ENRICH.replace("enrich_v1", "other_v1"))

    assert cch("publish", str(path), "--as", "imports.yaml").exit_code == 0
    assert (office.published / "aliases" / "imports.json").exists()
    assert "--as names one definition" in cch("publish", "--as", "x").stderr


def test_an_alias_takes_no_other_name(office, cch):
    """Not that of a workflow, of the platform, or another alias; the file's name is then only left out."""
    first = office.write("first.yaml", ENRICH.replace("enrich_v1", "first_v1"))
    assert cch("publish", str(first)).exit_code == 0
    second = office.write("second.yaml", ENRICH.replace("enrich_v1", "second_v1"))

    for name, reason in {
        "first_v1": "id of another",
        "cch_x": "reserved",
        "first": "name of first_v1",
        "a/b": "no /",
    }.items():
        refused = cch("publish", str(second), "--as", name)
        assert (refused.exit_code, reason in refused.stderr) == (2, True), refused.stderr
    assert not (office.published / "second_v1.yaml").exists()

    first.write_text(second.read_text())
    left_out = cch("publish", str(first))
    assert left_out.exit_code == 0
    assert "messages cannot name it 'first', because it is a name of first_v1" in left_out.stderr


def test_an_id_that_is_an_alias_is_refused(office, cch):
    """It would take the other workflow's starts."""
    office.write("first.yaml", ENRICH.replace("enrich_v1", "first_v1"))
    assert cch("publish").exit_code == 0
    other = office.write("x.yaml", ENRICH.replace("enrich_v1", "first"))

    refused = cch("publish", str(other))

    assert refused.exit_code == 2
    assert "first is a name of first_v1" in refused.stderr
