"""Findings: what validate, publish and CI say of a definition, and what keeps none from being served."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workflows import definition_text

from cch.definition.document import read_document
from cch.definition.reader import read_by
from cch.definition.rules import FIRST, NEWEST
from cch.definition.schema import schema_problems
from cch.graph.build import build_graph
from cch.graph.checks import check
from cch.graph.findings import examine
from cch.graph.labels import label_fault
from cch.graph.plan import plan_tasks

END = "E: {type: end}"


def codes(nodes: str, **top: object) -> list[str]:
    text = definition_text(nodes, **top)
    definition, _ = check(text)
    assert definition is not None, "it is served whatever is found"
    return [problem.code for problem in examine(text, "w.yaml")[1]]


def set_state(value: str) -> str:
    return f"S: {{type: set_state, static_outputs: {{k: {value}}}, on_success: E}}\n{END}"


@pytest.mark.parametrize(
    ("label", "quoted", "is_dead"),
    [
        ("true", False, False), ("True", False, True), ("True", True, True), ("FALSE", False, True),
        ("null", False, False), ("None", False, True), ("1", False, False), ("1.5", False, False),
        ("1.50", False, True), ("1.50", True, False), ("1e5", False, True), ("-0", False, True),
        (">= 80", True, True), ("<5", True, True), ("!= x", True, True), ("NO", False, False), ("0101", False, False),
        ("yes", False, False), ("_default", False, False), ("<", True, False), ("a > b", False, False),
    ],
)  # fmt: skip
def test_labels_that_no_value_can_have(label: str, quoted: bool, is_dead: bool) -> None:
    """Labels follow the rule of scalars; in quotes a number is meant as text."""
    assert bool(label_fault(label, quoted=quoted)) is is_dead


def test_a_dead_label_is_reported_at_its_place() -> None:
    """The definition is served, and publish refuses it."""
    nodes = f"C: {{type: condition, condition_on_key: k, branches: {{'1.50': E, 2.50: E, _default: E}}}}\n{END}"
    text = definition_text(nodes)

    definition, problems = examine(text, "w.yaml")

    assert definition is None
    assert [(problem.code, text.splitlines()[problem.line - 1][problem.column - 1 :][:4]) for problem in problems] == [
        ("CCH-G008", "2.50")
    ]
    assert check(text)[0] is not None


CALL = "S: {type: sync_call,"
COMPUTE = "S: {type: library_call, library_function_id: f, parameters: {},"
READ = "{type: library_call, library_function_id: 's3#read_jsonpath', output_key: a, on_success: E, parameters: "


@pytest.mark.parametrize(
    "node",
    [
        "{type: condition, condition_on_key: 'a..b', branches: {_default: E}}",
        "{type: sync_call, capability_id: a, input_keys: [_internalError], on_success: E}",
        "{type: sync_call, capability_id: a, output_keys: ['orders[0]'], on_success: E}",
        READ + "{input_s3_uri_key: '$.a', jsonpath_expression: $.a}}",
        READ + "{input_s3_uri_key: a, jsonpath_expression: '$.['}}",
        "{type: log_error, default_error_code: c, default_message: m, message_from_context_key: a., on_success: E}",
        r"{type: set_state, static_outputs: {'a\b': 1}, on_success: E}",
    ],
)
def test_paths_that_can_never_match_are_found(node: str) -> None:
    """Wherever a node has one."""
    assert "CCH-G009" in codes(f"N: {node}\n{END}")


def test_the_key_of_an_item_is_one_key() -> None:
    """No path leads to one with dots, unless they are escaped."""
    body = "B: {type: end_branch}\nJ: {type: join, join_branches: [M], on_success: E}\n"
    node = "M: {type: map_fork, input_list_key: l, branch_key: id, item_key: a.b, branch_entry_node: B}\n"

    assert codes(f"{node}{body}{END}") == ["CCH-G009"]
    assert codes(f"{node.replace('a.b', 'ab')}{body}{END}") == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "sting"}, {"pattern": "("}, {"$ref": "https://example.org/schema.json"}, {"$ref": "#/$defs/gone"},
        {"$ref": "#"}, {"minimum": "5"}, {"type": "string", "minLenght": 3}, {"type": "string", "default": 5},
        {"properties": {"a": {"patternProperties": {"[": {}}}}}, {"items": [{"type": "string"}]},
    ],
)  # fmt: skip
def test_schemas_that_cannot_be_used_are_found(schema: dict[str, Any]) -> None:
    """In the initial context and for payloads; with the definition, and not at the first start."""
    wait = f"W: {{type: event_wait, timeout: 1d, payload_schema: {json.dumps(schema)}, on_event: E}}\n{END}"

    assert "CCH-D027" in codes(END, initial_context={"a": schema})
    assert (
        "CCH-D027" in [problem.code for problem in examine(definition_text(wait))[1]]
        or check(definition_text(wait))[0] is None
    ), "what the definition's own schema can tell of payload_schema it has always refused"


@pytest.mark.parametrize("keyword", ["type", "enum", "properties", "required"])
@pytest.mark.parametrize("value", [5, "b", ["b"], {"b": 5}, [[5]], None, True])
def test_faults_of_schemas_are_said_where_conditions_ask_them(keyword: str, value: Any) -> None:
    """What reads a schema to know the values of a key takes one with any mistakes in it."""
    schema = {"properties": {"b": {"type": "string"}}, keyword: value}
    node = "C: {type: condition, condition_on_key: a.b, branches: {x: M, _default: E}}\n"
    body = (
        "M: {type: map_fork, input_list_key: a.b, branch_key: i, branch_entry_node: B}\nB: {type: end_branch}\n"
        "J: {type: join, join_branches: [M], on_success: E}\n"
    )

    found = examine(definition_text(f"{node}{body}{END}", initial_context={"a": schema}))[1]

    good = [("enum", ["b"]), ("enum", [[5]]), ("required", ["b"])]
    assert any(problem.code == "CCH-D027" for problem in found) is ((keyword, value) not in good)


@pytest.mark.parametrize(
    "schema",
    [
        {}, {"type": ["string", "null"], "default": None}, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "integer", "default": 3}}, "x-widget": "form"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string", "format": "date"},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
    ],
)  # fmt: skip
def test_good_schemas_have_no_finding(schema: dict[str, Any]) -> None:
    """References inside the schema, notes and formats included."""
    assert codes(END, initial_context={"a": schema}) == []


def test_waits_without_a_limit_are_warned_of() -> None:
    """Unless the workflow has one."""
    wait = f"W: {{type: event_wait, on_event: E}}\n{END}"

    assert codes(wait) == ["CCH-G107"]
    assert codes(wait, timeout="30d") == []
    assert codes(wait.replace("on_event", "timeout: 1d, on_event")) == []


ASK = "A: {type: async_request, capability_id: a, timeout: 1d, on_response: C, on_failure: E"


@pytest.mark.parametrize(
    ("ask", "labels", "before", "is_warned_of"),
    [
        ("}", "{SUCCESS: E, ERROR: E}", "", False),
        ("}", "{SUCCESS: E, _default: E}", "", False),
        ("}", "{RELEASED: E, _default: E}", "", True),
        ("}", "{HELD: E, _default: E}", "S: {type: set_state, static_outputs: {status: HELD}, on_success: C}\n", False),
        ("}", "{HELD: E, _default: E}", f"{CALL} capability_id: a, on_success: C}}\n", False),
        ("}", "{HELD: E, _default: E}", f"{CALL} capability_id: a, output_keys: [k], on_success: C}}\n", True),
        ("}", "{HELD: E, _default: E}", f"{COMPUTE} output_key: status, on_success: C}}\n", False),
        ("}", "{HELD: E, _default: E}", f"{COMPUTE} output_key: k, on_success: C}}\n", True),
        (", request_output_keys: [status]}", "{SUCCESS: E, _default: E}", "", True),
    ],
)
def test_a_business_status_behind_a_reply_is_warned_of(ask: str, labels: str, before: str, is_warned_of: bool) -> None:
    """The reply sets it to SUCCESS or ERROR."""
    nodes = f"{ASK}{ask}\n{before}C: {{type: condition, condition_on_key: status, branches: {labels}}}\n{END}"

    assert ("CCH-G108" in codes(nodes)) is is_warned_of


@pytest.mark.parametrize("workflow_id", ["cch_commands", "cch_definitions_unavailable", "CCH_mine"])
def test_ids_of_the_platform_are_refused(workflow_id: str) -> None:
    """A workflow of such a name would stand in for the platform's own DAG."""
    text = definition_text(END).replace("workflow_id: w", f"workflow_id: {workflow_id}")

    assert examine(text)[0] is None
    assert [problem.code for problem in examine(text)[1]] == ["CCH-D028"]


@pytest.mark.parametrize(
    ("node", "is_read_otherwise"),
    [
        ("{type: set_state, static_outputs: {a.b: 1}, on_success: E}", True),
        (r"{type: set_state, static_outputs: {'a\.b': 1}, on_success: E}", False),
        ("{type: set_state, static_outputs: {a: {b.c: 1}}, on_success: E}", False),
        ("{type: sync_call, capability_id: a, output_keys: [a.b], on_success: E}", True),
        ("{type: sync_call, capability_id: a, input_keys: [a.b], on_success: E}", False),
        ("{type: sync_call, capability_id: a, timeout: 0s, on_success: E}", True),
        ("{type: event_wait, event_key: a.b, timeout: 1d, on_event: E}", True),
        ("{type: library_call, library_function_id: f, parameters: {}, output_key: a.0.b, on_success: E}", True),
        ("{type: library_call, library_function_id: f, parameters: {}, output_key: a.b, on_success: E}", False),
        (
            READ + "{input_s3_uri_key: a, jsonpath_expression: '$.a[*]'}}",
            True,
        ),
        (
            READ + "{input_s3_uri_key: a, jsonpath_expression: '$.a[*]', match: all}}",
            False,
        ),
    ],
)
def test_what_older_instances_read_otherwise_is_listed(node: str, is_read_otherwise: bool) -> None:
    """With both readings, and how to end the matter."""
    assert ("CCH-D006" in codes(f"N: {node}\n{END}", initial_context=["a"])) is is_read_otherwise


# --- what is served goes on ----------------------------------------------------------------------------------------

SERVED = {
    "a number of visits as YAML 1.1 writes it": f"S: {{type: set_state, max_visits: 1_0, on_success: E}}\n{END}",
    "a backoff with a sign": (
        f"S: {{type: sync_call, capability_id: a, on_success: E, retry: {{max_attempts: +3, backoff: 1_5.0}}}}\n{END}"
    ),
    "a node called as a number": "S: {type: entry, next: 1e5}\n1e5: {type: end}",
    "a dead label": f"S: {{type: condition, condition_on_key: k, branches: {{True: E, _default: E}}}}\n{END}",
    "a path of dots": f"S: {{type: condition, condition_on_key: '...', branches: {{_default: E}}}}\n{END}",
}


@pytest.mark.parametrize("nodes", SERVED.values(), ids=SERVED.keys())
def test_what_was_served_is_served(nodes: str) -> None:
    """A definition that was good before is good, with what it meant where only that makes sense."""
    definition, problems = check(definition_text(nodes))

    assert definition is not None, problems
    assert not [problem for problem in problems if problem.severity == "error"]


def test_a_schema_that_only_the_first_rules_can_use_is_read_by_them() -> None:
    """Else every start would be refused, the day after the upgrade."""
    text = definition_text(END) + "initial_context: {a: {type: integer, minimum: 1_000}, b: on}\n"
    definition, _ = check(text)

    assert definition is not None
    assert definition.reading_rules == FIRST
    assert definition.required == {"a": {"type": "integer", "minimum": 1000}, "b": True}
    assert examine(text)[0] is None


def test_a_definition_with_a_tag_on_a_mapping_is_served() -> None:
    """The tag had no effect, and has none."""
    head = "workflow_id: w\nworkflow_name: W\nentry_point: S\n"
    text = f"{head}nodes:\n  S: !start {{type: entry, next: E}}\n  E: {{type: end}}\n"

    assert check(text)[0] is not None
    assert [problem.code for problem in examine(text)[1]] == ["CCH-D007"]


def test_a_schema_that_never_could_be_used_keeps_no_definition_from_being_served() -> None:
    """Also where another value makes only sense by the first rules."""
    nodes = "S: {type: entry, next: 1e5}\n1e5: {type: entry, next: E}\nE: {type: end}"

    assert check(definition_text(nodes, initial_context={"a": {"minimum": "30s"}}))[0] is not None


SCALARS = st.sampled_from(
    ["NO", "yes", "0101", "1_0", "+3", "1:30", "1e5", "1.50", "~", "true", "True", "7", "x", ".5", "''", "'7'", "2.0"]
)


@given(values=st.lists(SCALARS, min_size=9, max_size=9), label=SCALARS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_first_rules_could_use_is_served_with_the_same_tasks(values: list[str], label: str) -> None:
    """Its tasks do not depend on the rules, so running instances find theirs."""
    a, b, c, d, e, f, g, h, i = values
    text = (
        f"workflow_id: w\nworkflow_name: {a}\nentry_point: S\nschema_version: {b}\ninitial_context: {{k: {c}}}\n"
        f"nodes:\n  S: {{type: set_state, static_outputs: {{v: {d}}}, max_visits: {e}, on_success: C}}\n"
        f"  C: {{type: condition, condition_on_key: k, branches: {{{label}: X, _default: {f}}}}}\n"
        f"  X: {{type: sync_call, capability_id: a, on_success: E, retry: {{max_attempts: {g}, backoff: {h}}}}}\n"
        f"  {f}: {{type: log_error, default_error_code: {i}, default_message: m, on_success: E}}\n  E: {{type: end}}\n"
    )
    before = read_document(text, rules=FIRST)
    good_before = not before.problems and not schema_problems(before)

    definition, _ = check(text)

    if good_before:
        assert definition is not None
        old = read_by(FIRST, text)
        assert plan_tasks(build_graph(old)).structure_digest == plan_tasks(build_graph(definition)).structure_digest
    if definition is not None:
        assert definition.reading_rules in (FIRST, NEWEST)
        examine(text)


def test_a_bound_of_visits_with_a_way_for_failures_is_advice() -> None:
    """By the older rules the visit after the last goes on_failure; by the newest the instance fails."""
    nodes = (
        "S: {type: async_request, capability_id: a, timeout: 1d, max_visits: 3, on_response: C, on_failure: E}\n"
        f"C: {{type: condition, condition_on_key: status, branches: {{SUCCESS: E, ERROR: S}}}}\n{END}"
    )

    problems = examine(definition_text(nodes))[1]

    assert [(problem.code, problem.severity) for problem in problems] == [("CCH-D006", "advice")]
    assert examine(definition_text(nodes.replace("max_visits: 3, ", "")))[1] == ()
