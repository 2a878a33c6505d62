"""Scenario files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capability_mock.durations import seconds_of
from capability_mock.scenario import (
    ANSWER_KEYS,
    FLAG_KEYS,
    TOP_KEYS,
    Answer,
    ScenarioError,
    load_scenario,
    parse_scenario,
)

#: The example of the scenario form, with every key it knows.
EXAMPLE = """
name: enrichment fails once, a person resolves it
start: "2026-01-05T08:00:00Z"
correlation_id: BOL-1
context: {consignmentId: c-1, consignmentURI: "s3://bucket/c-1.json"}
objects: {"s3://bucket/c-1.json": {plannedDischargeDate: "2026-02-01T00:00:00Z"}}
capabilities:
  import#enrich_consignment:                 # answers in order; the last one repeats
    - {status: ERROR, payload: {messages: [{code: HITL}]}, after: 5s}
    - {status: SUCCESS, payload: {consignmentImportEnrichedId: e-1}, after: 2m}
  declarationcommunicator#submit_import_filing:
    - {payload: {submissionStatus: SUCCESS}}
    - {branch: fpk-2, payload: {submissionStatus: ERROR}}
events:
  - {after: 1h, payload: {messages: []}}
  - {after: 26h, branch: fpk-1, payload: {customStatus: {latestStatus: {status: RELEASED}}}}
expect:
  status: completed
  visited: [Enrich_Consignment]
  messages: {late: 0, duplicate: 0, orphan: 0}
  elapsed: 27h
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, file="bad.yaml")
    return [str(problem) for problem in raised.value.problems]


def one(answer: str) -> str:
    return f"capabilities:\n  a#b:\n    - {answer}\n"


def answer_of(text: str) -> Answer:
    return parse_scenario(one(text)).sequence("a#b", None)[0]


def test_example_is_understood() -> None:
    """The published example parses; keys of other programs are left alone."""
    scenario = parse_scenario(EXAMPLE)

    assert scenario.name == "enrichment fails once, a person resolves it"
    first, second = scenario.sequence("import#enrich_consignment", None)
    assert (first.status, first.payload, first.after) == ("ERROR", {"messages": [{"code": "HITL"}]}, 5)
    assert (second.status, second.after) == ("SUCCESS", 120)


def test_branch_has_sequence_of_its_own() -> None:
    """Answers with a branch key are for that key alone; other keys get the rest."""
    scenario = parse_scenario(EXAMPLE)

    filing = "declarationcommunicator#submit_import_filing"
    assert [a.payload for a in scenario.sequence(filing, "fpk-2")] == [{"submissionStatus": "ERROR"}]
    assert [a.payload for a in scenario.sequence(filing, "fpk-1")] == [{"submissionStatus": "SUCCESS"}]
    assert scenario.sequence("other#thing", None) == ()


def test_faults_are_read() -> None:
    """Every fault key arrives in the answer."""
    faulty = answer_of("{duplicate: 2, never: true, malformed: true, echo: false, out_of_order: true}")

    assert faulty == Answer(sendings=2, never=True, malformed=True, echo=False, out_of_order=True)


def test_before_answers_at_once() -> None:
    """`before` is for the waiting side; here it only means not to delay."""
    assert answer_of("{before: true, after: 3d}").after == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5), ("2m", 120), ("1h", 3600), ("3d", 259200), ("0.5s", 0.5), (12, 12), (0.25, 0.25), (0, 0),
        ("PT15M", 900), ("P1DT2H", 93600), ("P1W", 604800), ("PT0.5S", 0.5),
    ],
)  # fmt: skip
def test_durations(text: Any, seconds: float) -> None:
    """Short forms, ISO 8601 and plain numbers are durations."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 s",
        "-5s",
        "5x",
        "P",
        "PT",
        "P1H",
        "1h30",
        -1,
        True,
        None,
        [],
        float("nan"),
        "9" * 400 + "d",
    ],
)
def test_other_texts_are_no_durations(text: Any) -> None:
    """Anything else is refused with what is allowed."""
    with pytest.raises(ValueError, match="is not a duration such as 5s"):
        seconds_of(text)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_duration_is_a_number_or_a_refusal(value: Any) -> None:
    """No value makes the parser do anything but return a length of time or say no."""
    try:
        assert seconds_of(value) >= 0
    except ValueError as error:
        assert "is not a duration" in str(error)


def test_time_scale_multiplies_every_delay() -> None:
    """`time_scale` in the file applies to all answers; one given from outside replaces it."""
    text = "time_scale: 0.001\n" + one("{after: 1h}")

    assert parse_scenario(text).sequence("a#b", None)[0].after == 3.6
    assert parse_scenario(text, time_scale=0).sequence("a#b", None)[0].after == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a scenario is a mapping with the key capabilities"),
        ("[1, 2]", "a scenario is a mapping"),
        ("capabilities: [", "not valid YAML"),
        ("a: 1\n\tb: 2", "not valid YAML"),
        ("capabilities: 3", "must be a mapping: capability id to list of answers"),
        ("capabilities: {a#b: {status: ERROR}}", "capabilities.a#b: must be a list of at least one answer"),
        ("capabilities: {a#b: []}", "must be a list of at least one answer"),
        ("capabilities: {1: [{}]}", "the key 1 is not text"),
        ("capabilites: {}", "unknown key; did you mean capabilities? allowed: capabilities, time_scale"),
        ("time_scale: -1", "time_scale: -1 is not a number of at least 0"),
        ("time_scale: fast", "time_scale: 'fast' is not a number"),
        ("time_scale: .inf", "has no form in JSON"),
        ("count_per: branch", "count_per: 'branch' is not allowed; allowed: instance, service"),
        (one("SUCCESS"), "an answer is a mapping; allowed keys: status, payload, after, branch"),
        (one("{statuss: ERROR}"), "capabilities.a#b[0].statuss: unknown key; did you mean status?"),
        (one("{status: FAILED}"), "'FAILED' is not allowed; allowed: SUCCESS, ERROR"),
        (one("{payload: [1]}"), "capabilities.a#b[0].payload: must be a mapping"),
        (one("{after: soon}"), "capabilities.a#b[0].after: 'soon' is not a duration such as 5s, 2m, 1h, 3d"),
        (one("{branch: [x]}"), "is not a branch key"),
        (one("{duplicate: 0}"), "0 is not a whole number from 1 to 1000"),
        (one("{duplicate: true}"), "True is not a whole number"),
        (one("{payload: {when: !!binary aGk=}}"), "a value of type bytes has no form in JSON"),
        (one("{status: ERROR, status: SUCCESS}"), "status: this key is given twice"),
        ("a: &a [*a]\n", "more than 200,000 values or 100 levels"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        *[(one(f"{{{flag}: maybe}}"), f"{flag}: 'maybe' is not allowed") for flag in FLAG_KEYS],
    ],
)  # fmt: skip
def test_bad_files_are_explained(text: str, expected: str) -> None:
    """Each kind of mistake names the file, the key and what is allowed."""
    found = problems(text)

    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("bad.yaml:") for problem in found)


def test_all_problems_come_at_once_with_their_lines() -> None:
    """A file with several mistakes is refused once, in the order of its lines."""
    text = "time_scale: x\nnonsense: 1\ncapabilities:\n  a#b:\n    - {after: soon, never: 1}\n  c#d: 7\n"

    found = problems(text)

    places = [problem.split(": ")[0] for problem in found]
    assert places == ["bad.yaml:1:1", "bad.yaml:2:1", "bad.yaml:5:8", "bad.yaml:5:21", "bad.yaml:6:3"]


def test_unreadable_file_is_a_problem(tmp_path: Any) -> None:
    """A missing file and one that is not UTF-8 are refused as bad scenarios are."""
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")

    for name in ("missing.yaml", "latin.yaml"):
        with pytest.raises(ScenarioError, match="cannot be read"):
            load_scenario(tmp_path / name)


def test_dates_stay_text() -> None:
    """An unquoted date in a payload is sent as it was written."""
    answer = answer_of("{payload: {eta: 2026-02-01T00:00:00Z, day: 2026-02-01}}")

    assert answer.payload == {"eta": "2026-02-01T00:00:00Z", "day": "2026-02-01"}


def test_anchors_and_extension_keys_are_usable() -> None:
    """YAML anchors, merge keys and `x-` keys work as people expect."""
    scenario = parse_scenario(
        "x-base: &base {status: ERROR, after: 1m}\ncapabilities: {a#b: [{<<: *base, after: 2m, x-why: late}]}"
    )

    (answer,) = scenario.sequence("a#b", None)
    assert (answer.status, answer.after) == ("ERROR", 120)


def test_number_as_branch_is_its_text() -> None:
    """A branch key written as a number means the same key as text."""
    assert parse_scenario(one("{branch: 17}")).sequence("a#b", "17") != ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANSWERS = st.fixed_dictionaries({}, optional=dict.fromkeys(ANSWER_KEYS, JSON))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(TOP_KEYS, JSON),
            "capabilities": st.dictionaries(st.text(), st.lists(ANSWERS)),
        },
    )
)
def test_any_json_is_a_scenario_or_a_list_of_problems(document: Any) -> None:
    """Whatever a file holds, it parses or is refused with problems; nothing else escapes."""
    try:
        scenario = parse_scenario(json.dumps(document), file="any.json")
    except ScenarioError as error:
        assert error.problems
    else:
        assert all(answer.after >= 0 for answers in scenario.sequences.values() for answer in answers)


@given(st.text())
def test_any_text_is_a_scenario_or_a_list_of_problems(text: str) -> None:
    """Text that is no YAML at all is refused, not crashed on."""
    try:
        parse_scenario(text)
    except ScenarioError as error:
        assert str(error)
