"""Every node type loads into its record; schema problems come together, with place and hint."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import pytest

from cch.definition.kinds import Retry
from cch.definition.nodes import (
    AsyncRequest,
    Condition,
    End,
    EndBranch,
    Entry,
    EventWait,
    Fork,
    Join,
    LibraryCall,
    LogError,
    MapFork,
    Node,
    ScheduledRequest,
    SetState,
    SyncCall,
)
from cch.definition.reader import read_checked, read_definition
from cch.errors import DefinitionError, Problem
from cch.graph.checks import check, load
from cch.graph.findings import check_all

HEAD = "workflow_id: w\nworkflow_name: W\nentry_point: N\nnodes:\n"


def node(body: str) -> Any:
    """The record of one node whose YAML is ``body``; the definition is not checked as a graph."""
    return read_definition(f"{HEAD}  N: {body}\n  End: {{type: end}}\n").nodes["N"]


def problems_of(text: str) -> list[Problem]:
    definition, problems = check(text, "w.yaml")
    assert definition is None
    return list(problems)


@pytest.mark.parametrize(
    ("body", "record"),
    [
        ("{type: entry, next: End}", Entry(name="N", next="End")),
        (
            "{type: async_request, capability_id: 'a#b', on_response: End}",
            AsyncRequest(name="N", capability_id="a#b", on_response="End"),
        ),
        (
            ("{type: async_request, capability_id: a, on_response: End, on_failure: End, on_timeout: End, timeout: 15m,"
            " input_keys: [k], request_output_keys: [o], error_reply: failure,"
            " retry: {max_attempts: 3, delay: 5s, backoff: 2, max_delay: 1m, on: [TIMEOUT], x-note: 1}}"),
            AsyncRequest(
                name="N", capability_id="a", on_response="End", on_failure="End", on_timeout="End", timeout=900,
                input_keys=("k",), request_output_keys=("o",), error_reply="failure",
                retry=Retry(max_attempts=3, delay=5, backoff=2, max_delay=60, on=("TIMEOUT",)),
            ),
        ),
        (
            "{type: async_request, capability_id: a, on_response: End, output_keys: [old]}",
            AsyncRequest(name="N", capability_id="a", on_response="End", request_output_keys=("old",)),
        ),
        (
            "{type: async_request, capability_id: a, on_response: End, output_keys: [old], request_output_keys: [new]}",
            AsyncRequest(name="N", capability_id="a", on_response="End", request_output_keys=("new",)),
        ),
        (
            "{type: sync_call, capability_id: a, output_keys: [], on_success: End, timeout: PT15M}",
            SyncCall(name="N", capability_id="a", output_keys=(), on_success="End", timeout=900),
        ),
        ("{type: sync_call, capability_id: a}", SyncCall(name="N", capability_id="a")),
        (
            "{type: condition, condition_on_key: a.b, branches: {true: End, null: End, _default: End}}",
            Condition(name="N", condition_on_key="a.b", branches={"true": "End", "null": "End", "_default": "End"}),
        ),
        ("{type: set_state}", SetState(name="N")),
        (
            "{type: set_state, static_outputs: {a: null, d: 2026-01-31}, on_success: End}",
            SetState(name="N", static_outputs={"a": None, "d": "2026-01-31"}, on_success="End"),
        ),
        (
            ("{type: log_error, default_error_code: E, default_message: m, on_success: End,"
             " message_from_context_key: k}"),
            LogError(
                name="N", default_error_code="E", default_message="m", on_success="End", message_from_context_key="k"
            ),
        ),
        (
            "{type: library_call, library_function_id: 's3#x', parameters: {a: 1}, output_key: a.b, on_success: End}",
            LibraryCall(name="N", library_function_id="s3#x", parameters={"a": 1}, output_key="a.b", on_success="End"),
        ),
        ("{type: fork, branches: [End, N2]}", Fork(name="N", branches=("End", "N2"))),
        (
            "{type: join, join_branches: [A, B], on_success: End, destination: a.b}",
            Join(name="N", join_branches=("A", "B"), on_success="End", destination="a.b"),
        ),
        (
            ("{type: map_fork, input_list_key: l, branch_key: id, branch_entry_node: End, concurrency: 3,"
             " execution: inline}"),
            MapFork(
                name="N", input_list_key="l", branch_key="id", branch_entry_node="End", concurrency=3,
                execution="inline",
            ),
        ),
        ("{type: end_branch, title: T, description: D}", EndBranch(name="N", title="T", description="D")),
        ("{type: event_wait, on_event: End, event_key: k}", EventWait(name="N", on_event="End", event_key="k")),
        ("{type: event_wait, on_success: End, timeout: 3d}", EventWait(name="N", on_event="End", timeout=259200)),
        ("{type: event_wait, on_event: End, on_success: Other}", EventWait(name="N", on_event="End")),
        (
            ("{type: scheduled_request, capability_id: a, schedule_parameters: {date_context_key: d.e},"
             " on_response: End,"
            " on_schedule_set: {s: 1}, on_success: End, output_keys: [o]}"),
            ScheduledRequest(
                name="N", capability_id="a", date_context_key="d.e", on_response="End", on_schedule_set={"s": 1},
                on_success="End", request_output_keys=("o",),
            ),
        ),
        ("{type: end, status: failed, max_visits: 3, x-owner: me}", End(name="N", status="failed", max_visits=3)),
    ],
)  # fmt: skip
def test_each_node_type_loads_into_its_record(body: str, record: Node) -> None:
    """All keys of the language, older ones included, end up where the interpreter looks."""
    loaded = node(body)

    assert loaded == type(record)(**{**_fields(record), "line": 5, "column": 3})


def _fields(record: Node) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def test_the_top_level_loads() -> None:
    """All keys above the nodes, and the digest of the text as it stands."""
    text = (
        "workflow_id: w-1.a\nworkflow_name: W\nschema_version: '1.1.2'\ndescription: d\ntags: [a]\nowner: o\n"
        "timeout: 30d\nexecution: {granularity: workflow}\nx-team: 7\nentry_point: End\n"
        "initial_context: {a: true, b: {type: string}}\nnodes: {End: {type: end}}\n"
    )

    definition = read_definition(text, "f.yaml")

    assert (definition.workflow_id, definition.schema_version, definition.timeout) == ("w-1.a", "1.1.2", 30 * 86400)
    assert (definition.tags, definition.owner) == (("a",), "o")
    assert definition.granularity == "workflow"
    assert definition.required == {"a": True, "b": {"type": "string"}}
    assert definition.digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_list_of_required_keys_asks_for_presence_only() -> None:
    """The older form of initial_context."""
    text = "workflow_id: w\nworkflow_name: W\nentry_point: E\ninitial_context: [a, b]\nnodes: {E: {type: end}}"

    assert read_definition(text).required == {"a": True, "b": True}


def test_reading_again_without_checks_gives_the_same() -> None:
    """What was found good before is read faster, not differently."""
    text = f"{HEAD}  N: {{type: entry, next: End}}\n  End: {{type: end}}\n"

    assert read_checked(text, "f") == read_definition(text, "f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  N: {type: entri, next: N}", [("CCH-D023", 5, 7, "did you mean 'entry'?")]),
        ("  N: {next: N}", [("CCH-D022", 5, 3, "")]),
        ("  N: {type: entry, nxt: N, next: N}", [("CCH-D021", 5, 20, "did you mean 'next'?")]),
        ("  N: {type: entry}", [("CCH-D022", 5, 3, "")]),
        ("  N: 7", [("CCH-D024", 5, 3, "")]),
        ("  N: {type: end, title: 7}", [("CCH-D024", 5, 18, "")]),
        ("  N: {type: end, status: sucess}", [("CCH-D023", 5, 18, "did you mean 'success'?")]),
        (
            "  N: {type: sync_call, capability_id: ' x', on_success: N}",
            [("CCH-D025", 5, 24, "")],
        ),
        (
            "  N: {type: sync_call, capability_id: x, on_success: N, timeout: 5 apples}",
            [("CCH-D025", 5, 57, "")],
        ),
        ("  N: {type: fork, branches: []}", [("CCH-D026", 5, 19, "")]),
        ("  N: {type: end, max_visits: 0}", [("CCH-D026", 5, 18, "")]),
        ("  N: {type: event_wait}", [("CCH-D026", 5, 3, "")]),
        (
            "  N: {type: async_request, capability_id: x, on_response: N, retry: {max_attempts: 2, dely: 1s}}",
            [("CCH-D021", 5, 87, "did you mean 'delay'?")],
        ),
    ],
)  # fmt: skip
def test_schema_problems_say_where_and_what_to_do(text: str, expected: list[tuple[str, int, int, str]]) -> None:
    """Each kind of schema error has its code, its place and a hint."""
    problems = problems_of(HEAD + text + "\n")

    found = [
        (p.code, p.line, p.column, p.hint if wanted[3] else "") for p, wanted in zip(problems, expected, strict=True)
    ]
    assert found == expected
    assert all(problem.hint for problem in problems if problem.code != "CCH-D024")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ("workflow_id: ''", "CCH-D025"),
        ("workflow_id: 'a b'", "CCH-D025"),
        (f"workflow_id: {'a' * 51}", "CCH-D026"),
        ("workflow_id: 7", "CCH-D024"),
        ("workflow_id: w\ninitial_context: 3", "CCH-D026"),
        ("workflow_id: w\ntags: [a, a]", "CCH-D026"),
        ("workflow_id: w\ntimeout: soon", "CCH-D025"),
        ("workflow_id: w\nexecution: {granularity: node, grain: 1}", "CCH-D021"),
    ],
)
def test_the_top_level_is_checked_too(changed: str, code: str) -> None:
    """Ids that Airflow could not take, and keys of the wrong form."""
    text = f"{changed}\nworkflow_name: W\nentry_point: N\nnodes: {{N: {{type: end}}}}\n"

    assert [problem.code for problem in problems_of(text)] == [code]


@pytest.mark.parametrize("name", ["a#b", "a/b", "a[0]", " a", "a" * 121])
def test_node_names_that_ids_could_not_hold_are_refused(name: str) -> None:
    """``#`` and ``/`` separate parts of stored ids."""
    text = f"workflow_id: w\nworkflow_name: W\nentry_point: N\nnodes: {{N: {{type: end}}, '{name}': {{type: end}}}}\n"

    assert {problem.code for problem in problems_of(text)} <= {"CCH-D025", "CCH-D026"}


def test_everything_is_reported_at_once() -> None:
    """Duplicate keys, schema errors and unknown targets come together, in the order of the file."""
    text = (
        "workflow_id: w\nworkflow_nam: W\nentry_point: Strat\nnodes:\n  Start:\n    type: entry\n    nxt: x\n"
        "    next: Ende\n"
        "  Start: {type: end}\n  End: {type: end, x-any: {thing: 1}}\n"
    )

    problems = problems_of(text)

    assert [(p.code, p.line) for p in problems] == [
        ("CCH-D021", 2), ("CCH-G001", 3), ("CCH-D021", 7), ("CCH-G001", 8), ("CCH-D002", 9),
    ]  # fmt: skip
    assert [p.hint for p in problems if p.code == "CCH-G001"] == ["did you mean 'Start'?", "did you mean 'End'?"]
    assert str(problems[1]).startswith("w.yaml:3:1: error CCH-G001: there is no node 'Strat' (did you mean")


def test_load_raises_with_every_problem() -> None:
    """The exception carries the problems, and its text shows them all."""
    with pytest.raises(DefinitionError) as caught:
        load("workflow_id: w\nnodes: {N: {type: nd}}", "w.yaml")

    assert len(caught.value.problems) == 3
    assert str(caught.value).count("w.yaml:") == 3


def test_two_files_with_one_id_are_reported_on_the_second() -> None:
    """The first by name keeps the id."""
    text = "workflow_id: same\nworkflow_name: W\nentry_point: E\nnodes: {E: {type: end}}\n"

    good, problems = check_all({"b.yaml": text, "a.yaml": text, "c.yaml": "workflow_id: {"})

    assert list(good) == ["a.yaml"]
    assert [(p.code, p.file) for p in problems] == [("CCH-G007", "b.yaml"), ("CCH-D001", "c.yaml")]


def test_one_id_is_reported_also_where_a_twin_has_errors_of_its_own() -> None:
    """Whoever mends the other errors must not meet this one only afterwards."""
    text = "workflow_id: same\nworkflow_name: W\nentry_point: E\nnodes: {E: {type: end}}\n"
    broken = text.replace("entry_point: E", "entry_point: F")

    _, first_is_broken = check_all({"a.yaml": broken, "b.yaml": text})
    _, second_is_broken = check_all({"a.yaml": text, "b.yaml": broken})

    assert [(p.code, p.file) for p in first_is_broken] == [("CCH-G001", "a.yaml"), ("CCH-G007", "b.yaml")]
    assert [(p.code, p.file) for p in second_is_broken] == [("CCH-G007", "b.yaml"), ("CCH-G001", "b.yaml")]
