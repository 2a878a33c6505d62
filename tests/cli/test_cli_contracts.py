"""Contracts on the command line: with ``validate``, ``publish``, ``test`` and ``simulate``, and ``cch contract``."""

from __future__ import annotations

import json

import pytest
import yaml
from cli_office import ENRICH

from cch.definition.contract_pins import pins_of, without_pins
from cch.definition.reader import digest_of

CONTRACT = """\
id: import#enrichment
title: Enrichment
owner: import-desk
enforce: fail
request: {type: object, required: [shipmentId], properties: {shipmentId: {type: string}}}
replies: {SUCCESS: {type: object, required: [uri], properties: {uri: {type: string, pattern: "^s3://"}}}}
errors: {UNKNOWN: Nobody knows it.}
answers: {usual: 1m, longest: 1d}
examples: [{title: One, request: {shipmentId: S-1}, reply: {payload: {uri: "s3://b/1"}}}]
"""
SCENARIO = "name: s\nworkflow: enrich_v1\ncontext: {shipmentId: S-1}\n%s\nexpect: {status: completed}\n"


def contract(office, text=CONTRACT, name="enrichment.yaml"):
    folder = office.home / "workflow-definitions" / "capabilities"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def kept(office):
    return sorted(path.name for path in (office.published / ".contracts" / "by-digest").glob("*"))


def test_a_definition_is_checked_against_the_contracts_beside_it(office, cch):
    """Contracts are no definitions; the findings name the definition's line."""
    contract(office)
    office.write("enrich.yaml", ENRICH.replace("[uri]", "[url]"))

    result = cch("validate", "--json")

    found = json.loads(result.stdout)
    assert (found["files"], found["contracts"]) == (1, 1)
    assert [(p["code"], p["line"]) for p in found["problems"]] == [("CCH-K102", 9)]


@pytest.mark.parametrize("where", ["workflow-definitions/enrich.yaml", "workflow-definitions/capabilities"])
def test_a_bad_contract_has_its_file_and_line(office, cch, where):
    """Also if only one definition, or the folder of contracts, is named."""
    contract(office, CONTRACT.replace("owner:", "ownre:"))
    office.write("enrich.yaml")

    result = cch("validate", where)

    assert result.exit_code == 1
    assert "capabilities/enrichment.yaml:3:1: error CCH-D021: unknown key 'ownre' in the contract" in result.stderr


def test_contracts_may_lie_beside_the_folder_of_definitions(office, cch):
    """Where teams keep them apart."""
    office.write("enrich.yaml", ENRICH.replace("[uri]", "[url]"))
    (office.home / "capabilities").mkdir()
    (office.home / "capabilities" / "e.yaml").write_text(CONTRACT)

    assert "CCH-K102" in cch("validate").stderr


def test_a_publication_pins_the_digests_of_contracts(office, cch):
    """The version names them; what was written by hand stays as it was, and another contract is another version."""
    path = office.write("enrich.yaml")
    contract(office)

    first = cch("publish")
    again = json.loads(cch("publish", "--json").stdout)
    text = (office.published / "enrich_v1.yaml").read_text()
    contract(office, CONTRACT.replace("1d", "2d"))
    other = json.loads(cch("publish", "--json").stdout)

    assert first.exit_code == 0, first.stderr
    assert "1 contract is published with them" in first.stderr
    assert without_pins(text) == path.read_text() == ENRICH
    assert pins_of(text) == {"import#enrichment": digest_of(CONTRACT)}
    assert (office.published / "by-digest" / f"{digest_of(text)}.yaml").read_text() == text
    assert again["definitions"][0]["action"] == "unchanged"
    assert other["definitions"][0]["action"] == "updated"
    assert other["contracts"] == {"import#enrichment": digest_of(CONTRACT.replace("1d", "2d"))}
    assert len(kept(office)) == 2


def test_a_contract_with_an_error_publishes_nothing(office, cch):
    """Neither a definition nor another contract."""
    office.write("enrich.yaml", ENRICH.replace("Enrich a", "Enrich one"))
    contract(office)
    contract(office, "id: a#b\n", "bad.yaml")

    result = cch("publish")

    assert result.exit_code == 1
    assert "nothing is published" in result.stderr
    assert "bad.yaml:1:1: error CCH-D022" in result.stderr
    assert not (office.published / ".contracts").exists()
    assert "Enrich one" not in (office.published / "enrich_v1.yaml").read_text()


def test_a_publisher_without_contracts_gets_those_of_the_environment(office, cch):
    """Capability teams publish theirs from another place; a published text that comes back is pinned anew."""
    folder = contract(office).parent
    assert cch("publish", folder).exit_code == 0
    (folder / "enrichment.yaml").unlink()
    office.write("enrich.yaml", ENRICH.replace("Enrich a", "Enrich one"))

    result = cch("publish")

    text = (office.published / "enrich_v1.yaml").read_text()
    assert result.exit_code == 0, result.stderr
    assert pins_of(text) == {"import#enrichment": digest_of(CONTRACT)}
    office.write("enrich.yaml", text)
    assert json.loads(cch("publish", "--json").stdout)["definitions"][0]["action"] == "unchanged"


def test_what_is_served_as_it_stands_does_not_hold_up_its_new_contract(office, cch):
    """The findings are said, and the definition goes on with the contract."""
    closed = CONTRACT.replace('pattern: "^s3://"}}}', 'pattern: "^s3://"}}, additionalProperties: false}')
    path = office.write("enrich.yaml", ENRICH.replace("[uri]", "[url]"))
    assert cch("publish").exit_code == 0
    contract(office, closed)

    served = cch("publish")
    path.write_text(path.read_text() + "# new\n")
    changed = cch("publish")

    assert served.exit_code == 0, served.stderr
    assert "warning CCH-K102" in served.stderr
    assert changed.exit_code == 1
    assert "error CCH-K102" in changed.stderr


def test_a_simulation_answers_by_the_contract_and_tells_of_breaches(office, cch):
    """Where the scenario scripts nothing, and where it scripts what is not agreed on."""
    office.write("enrich.yaml")
    contract(office)
    plain, broken = office.home / "plain.yaml", office.home / "broken.yaml"
    plain.write_text(SCENARIO % "")
    broken.write_text(SCENARIO % "capabilities: {'import#enrichment': [{payload: {uri: nowhere}}]}")

    good = cch("simulate", "workflow-definitions/enrich.yaml", "--scenario", plain)
    bad = cch("simulate", "workflow-definitions/enrich.yaml", "--scenario", broken, "--json")
    contract(office, CONTRACT.replace("fail", "warn"))
    told = cch("simulate", "workflow-definitions/enrich.yaml", "--scenario", broken)

    assert good.exit_code == 0
    assert "s3://b/1" in good.stdout
    assert "import#enrichment answers as its contract says" in good.stderr
    assert json.loads(bad.stdout)["visited"] == ["Enrich", "Report", "Done"]
    assert "contract broken at Enrich" in told.stderr
    assert yaml.safe_load(CONTRACT)["id"] in told.stderr


# --- cch contract -----------------------------------------------------------------------------------------------------

GOOD = {"capability": "import#enrichment", "payload": {"uri": "s3://b/1"}}
SENT = {
    "workflowInstanceId": "i",
    "command": {
        "type": "ASYNC_RESP", "id": "r", "source": "Capability:import#enrichment", "timestamp": "t",
        "status": "SUCCESS", "payload": {"uri": "nowhere"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (json.dumps([GOOD, GOOD]), []),
        (json.dumps(GOOD), []),
        (f"{json.dumps(GOOD)}\n\n{json.dumps(SENT)}\n", [2]),
        ("- {payload: {uri: nowhere}}\n- {status: ERROR, payload: {messages: [{code: UNKNOWN}]}}\n", [1]),
        ("payload: {}\n", [1]),
        ("payload: {}\nrequest_output_keys: [other]\n", []),
        ("- {status: ERROR, payload: {messages: [{code: GONE}]}}\n- {capability: a#b}\n- 7\n", [1, 2, 3]),
        (json.dumps({**SENT, "command": {**SENT["command"], "type": "START_WORKFLOW"}}), [1]),
        (json.dumps({**SENT, "command": {**SENT["command"], "timestamp": None}}), [1]),
        ("- {status: DONE}\n- {payload: [1]}", [1, 2]),
    ],
)
def test_recorded_replies_keep_the_contract_or_not(office, cch, text, numbers):
    """As JSON, JSON Lines or YAML, whole messages or what matters of them; each broken one is named."""
    contract(office)
    file = office.home / "replies"
    file.write_text(text)

    result = cch("contract", "check", "--replies", file, "--json")

    found = json.loads(result.stdout)
    assert [each["message"] for each in found["broken"]] == numbers, found
    assert (result.exit_code, found["ok"]) == ((1, False) if numbers else (0, True))


def test_recorded_requests_are_checked_too(office, cch):
    """So that a team sees what workflows send."""
    contract(office)
    file = office.home / "requests.yaml"
    file.write_text("- {context: {shipmentId: S-1}}\n- {body: {capability_id: 'import#enrichment', context: {}}}\n")

    result = cch("contract", "check", "workflow-definitions/capabilities", "--requests", file)

    assert result.exit_code == 1
    assert "message 2 (import#enrichment): 'shipmentId' is a required property" in result.stderr
    assert "not good: contracts 1, messages 2, broken 1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check", "nowhere"), 2, "does not exist"),
        (("check", "."), 2, "there is no contract"),
        (("check", "--replies", "gone.json"), 2, "cannot be read"),
        (("check", "--replies", "half.json"), 2, "neither JSON, JSON Lines nor YAML"),
        (("export",), 2, "--asyncapi"),
        (("export", "--asyncapi", "--capability", "a#b"), 2, "there is no contract of 'a#b'"),
    ],
)
def test_what_cannot_be_meant_is_said(office, cch, arguments, code, said):
    """With the exit code of wrong use."""
    if arguments != ("check", "."):
        contract(office)
    (office.home / "half.json").write_text('{"a": [')

    result = cch("contract", *arguments)

    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_a_bad_contract_fails_the_check(office, cch):
    """With its place, as `cch validate` says it."""
    contract(office, CONTRACT.replace("1d", "1s"))

    result = cch("contract", "check")

    assert result.exit_code == 1
    assert "enrichment.yaml:8:11: error CCH-K003" in result.stderr
    assert cch("contract", "export", "--asyncapi").exit_code == 1


def test_contracts_are_listed(office, cch):
    """For people and for programs."""
    contract(office)

    found = json.loads(cch("contract", "list", "--json").stdout)

    assert [(each["id"], each["enforce"], each["usual_seconds"]) for each in found] == [
        ("import#enrichment", "fail", 60)
    ]
    assert "import#enrichment" in cch("contract", "list").stdout


def references(value):
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == "$ref")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(each)


def test_the_asyncapi_document_holds_all_that_it_refers_to(office, cch):
    """It has an operation, two channels without addresses and three messages for each capability."""
    contract(
        office,
        CONTRACT.replace("{uri: {type", "{uri: {$ref: '#/$defs/u'}}, $defs: {u: {type").replace('"}}}}', '"}}}}'),
    )
    office.home.joinpath("out").mkdir()

    result = cch("contract", "export", "--asyncapi", "--output", office.home / "out" / "asyncapi.json")

    assert result.exit_code == 0, result.stderr
    document = json.loads((office.home / "out" / "asyncapi.json").read_text())
    assert document["asyncapi"] == "3.0.0"
    assert set(document["operations"]) == {"import_enrichment"}
    assert {channel["address"] for channel in document["channels"].values()} == {None}
    for reference in references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    schema = document["components"]["messages"]["import_enrichment.ERROR"]["payload"]["allOf"][1]
    codes = schema["properties"]["command"]["properties"]["payload"]["properties"]["messages"]["items"]
    assert codes["properties"]["code"] == {"enum": ["UNKNOWN"]}


def test_the_asyncapi_document_is_yaml_on_stdout(office, cch):
    """The same document, of chosen capabilities."""
    contract(office)

    as_yaml = yaml.safe_load(cch("contract", "export", "--asyncapi", "--capability", "import#enrichment").stdout)
    as_json = json.loads(cch("contract", "export", "--asyncapi", "--json").stdout)

    assert as_yaml == as_json
