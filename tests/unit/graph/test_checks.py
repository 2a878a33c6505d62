"""What can be known to be wrong, or looks wrong, before a run: each code, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflows import definition_text

from cch.errors import Problem
from cch.graph.checks import check

SAMPLES = Path(__file__).parents[3] / "workflow-definitions"
ASK = "type: async_request, capability_id: a, error_reply: response"


def found(nodes: str, entry: str = "", **top: object) -> list[Problem]:
    return list(check(definition_text(nodes, entry, **top), "w.yaml")[1])


def codes(nodes: str, entry: str = "", **top: object) -> list[tuple[str, str]]:
    return [(problem.code, problem.severity) for problem in found(nodes, entry, **top)]


@pytest.mark.parametrize(
    ("nodes", "code", "words"),
    [
        ("A: {type: entry, next: Done}\nDon: {type: end}", "CCH-G001", "there is no node 'Done'"),
        (
            f"A: {{{ASK}, on_response: B}}\nB: {{type: set_state, on_success: A}}",
            "CCH-G002",
            "no way leads from the entry point to an 'end'",
        ),
        (
            (
                "F: {type: fork, branches: [A, B]}\nA: {type: set_state}\nB: {type: set_state, on_success: E}\n"
                "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
            ),
            "CCH-G004",
            "branch 'B' never arrives",
        ),
        (
            (
                "F: {type: fork, branches: [A]}\nA: {type: set_state}\nB: {type: set_state}\n"
                "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
            ),
            "CCH-G004",
            "nothing starts branch 'B'",
        ),
        (
            (
                "A: {type: set_state, on_success: B}\n"
                "B: {type: condition, condition_on_key: k, branches: {a: A, b: E}}\n"
                "E: {type: end}"
            ),
            "CCH-G005",
            "no wait and no call",
        ),
        (
            (
                f"F: {{type: fork, branches: [A, E]}}\nA: {{{ASK}, on_response: B}}\n"
                "B: {type: set_state, on_success: A}\n"
                "E: {type: end}"
            ),
            "CCH-G005",
            "no exit",
        ),
        (
            (
                f"M: {{type: map_fork, input_list_key: l, branch_key: b, branch_entry_node: A, on_failure: E}}\n"
                f"A: {{{ASK}, on_response: B}}\nB: {{{ASK}, on_response: A}}\n"
                "J: {type: join, join_branches: [M], on_success: E}\nE: {type: end}"
            ),
            "CCH-G006",
            "the body of map 'M' never ends",
        ),
    ],
)
def test_errors_keep_a_definition_from_being_used(nodes: str, code: str, words: str) -> None:
    """Each error has its code, says what is wrong and what to do."""
    definition, problems = check(definition_text(nodes), "w.yaml")

    errors = [problem for problem in problems if problem.severity == "error"]
    assert definition is None
    assert [problem.code for problem in errors][:1] == [code]
    assert words in errors[0].message
    assert errors[0].hint
    assert errors[0].line > 1


@pytest.mark.parametrize(
    ("nodes", "code", "line", "words"),
    [
        ("A: {type: end}\nB: {type: end}", "CCH-G101", 2, "no way leads from 'A' to 'B'"),
        (
            "A: {type: fork, branches: [B, E]}\nB: {type: set_state}\nE: {type: end}",
            "CCH-G003", 2, "'B' does not say where to go",
        ),
        (
            ("F: {type: fork, branches: [A, B]}\nA: {type: condition, condition_on_key: k, branches: {x: A2, y: E}}\n"
            "A2: {type: end_branch}\nB: {type: end_branch}\nJ: {type: join, join_branches: [A, B], on_success: E}\n"
            "E: {type: end}"),
            "CCH-G102", 2, "branch 'A' may leave here",
        ),
        (
            "A: {type: async_request, capability_id: a, on_response: E}\nE: {type: end}",
            "CCH-G103", 1, "handled by nobody",
        ),
    ],
)  # fmt: skip
def test_warnings_leave_a_definition_usable(nodes: str, code: str, line: int, words: str) -> None:
    """Production definitions do these things on purpose."""
    text = definition_text(nodes, initial_context=["known"])
    head = text.split("nodes:\n")[0].count("\n") + 1

    definition, problems = check(text, "w.yaml")

    assert definition is not None
    assert [(p.code, p.severity, p.line - head) for p in problems] == [(code, "warning", line)]
    assert words in problems[0].message


def test_all_unknown_targets_are_found_wherever_they_stand() -> None:
    """Every key that names a node, in lists and branches too."""
    problems = found(
        "A: {type: async_request, capability_id: a, on_response: x1, on_failure: x2, on_timeout: x3}\n"
        "B: {type: condition, condition_on_key: k, branches: {a: x4}}\n"
        "C: {type: fork, branches: [x5]}\n"
        "D: {type: join, join_branches: [x6], on_success: x7}\n"
        "E: {type: event_wait, on_event: x8}\n"
        "F: {type: map_fork, input_list_key: l, branch_key: b, branch_entry_node: x9}\n",
        entry="x0",
    )

    assert [problem.code for problem in problems] == ["CCH-G001"] * 10
    assert {problem.message[-3:-1] for problem in problems} == {f"x{n}" for n in range(10)}


def test_an_error_reply_is_handled_by_a_condition_on_status() -> None:
    """The author's condition right behind the request decides."""
    nodes = (
        "A: {type: async_request, capability_id: a, on_response: B}\n"
        "B: {type: condition, condition_on_key: status, branches: {SUCCESS: E, ERROR: E}}\nE: {type: end}"
    )

    assert codes(nodes) == []


@pytest.mark.parametrize(
    "before",
    [
        f"S: {{{ASK}, on_response: A, request_output_keys: [k]}}",
        f"S: {{{ASK}, on_response: A}}",
        "S: {type: sync_call, capability_id: s, on_success: A, output_keys: [k]}",
        "S: {type: library_call, library_function_id: l, parameters: {}, output_key: k.deep, on_success: A}",
        "S: {type: set_state, static_outputs: {k: 1}, on_success: A}",
        "S: {type: event_wait, on_event: A}",
        "S: {type: map_fork, input_list_key: l, branch_key: b, branch_entry_node: A, item_key: k}",
    ],
)
def test_input_keys_may_come_from_any_earlier_node(before: str) -> None:
    """Replies are trusted for what they are asked for; without a list they may bring anything."""
    assert codes(f"{before}\nA: {{{ASK}, on_response: E, input_keys: [k]}}\nE: {{type: end}}") == []


def test_the_branch_that_leaves_its_join_is_the_first_of_the_fork_in_every_process() -> None:
    """The order of a set is another one in each process: the warning would come and go as files are read again."""
    names = [f"B{number}" for number in range(12)]
    branches = "\n".join(f"{name}: {{type: set_state, on_success: E}}" for name in names)
    nodes = (
        f"F: {{type: fork, branches: [{', '.join(names)}]}}\n{branches}\n"
        f"J: {{type: join, join_branches: [{', '.join(reversed(names))}], on_success: E}}\nE: {{type: end}}"
    )

    warned = [problem.message for problem in found(nodes) if problem.code == "CCH-G102"]

    assert warned == ["branch 'B0' may leave here without arriving at its join 'J'"]


def test_a_warning_does_not_hide_an_error() -> None:
    """Both are reported, in the order of the file."""
    nodes = "A: {type: set_state, on_success: A}\nB: {type: end}"

    assert [code for code, _ in codes(nodes)] == ["CCH-G002", "CCH-G005", "CCH-G101"]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sample_definitions_are_good(path: Path) -> None:
    """Nothing is an error; the published example warns once, about its unhandled ERROR reply."""
    definition, problems = check(path.read_text("utf-8"), path.name)

    assert definition is not None
    allowed = {"CCH-G103"} if path.stem == "import_vn_memphis_v1" else set()
    assert {problem.code for problem in problems} <= allowed
