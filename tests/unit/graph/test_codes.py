"""Every problem code is explained by an example that produces it, and ``docs/errors.md`` shows them all."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from workflows import definition_text

from cch.definition.contract_reader import read_contracts
from cch.definition.document import snippet
from cch.errors import DefinitionError, Problem
from cch.graph.checks import check, load
from cch.graph.codes import EXPLANATIONS, code_of_errors, page
from cch.graph.explanation import Explanation
from cch.graph.findings import check_all, examine
from cch.runtime.serving import unserved
from cch.settings import Settings
from cch.simulation.scenario import read_scenario
from cch.testing.memory_queue import MemoryQueues

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "plugins" / "cch"
#: The modules that explain codes do not use them.
CATALOGUE = (
    "codes.py",
    "explained_contracts.py",
    "explained_files.py",
    "explained_findings.py",
    "explained_graphs.py",
    "explained_warnings.py",
    "explanation.py",
)
EXAMPLES = [each for each in EXPLANATIONS if each.wrong]
ASK = "type: async_request, capability_id: a, error_reply: response"


def problems_of(explanation: Explanation, text: str) -> tuple[Problem, ...]:
    """What is reported about an example, as a user would get it."""
    if explanation.form == "scenario":
        try:
            read_scenario(text, "example.yaml")
        except DefinitionError as error:
            return error.problems
        return ()
    if explanation.form == "environment":
        return tuple(asyncio.run(unserved(load(text), "example.yaml", Settings(), MemoryQueues())))
    beside = {"before.yaml": explanation.beside} if explanation.beside else {}
    if explanation.form == "contract":
        return read_contracts([*beside.items(), ("example.yaml", text)]).problems
    if explanation.is_contracted:
        contracts = read_contracts(beside.items())
        assert contracts.problems == ()
        return examine(text, "example.yaml", contracts=contracts.by_id)[1]
    return check_all({**beside, "example.yaml": text})[1]


def found(nodes: str, **top: object) -> list[tuple[str, str]]:
    """Code of each problem, with the text at its place."""
    text = definition_text(nodes, **top)
    lines = text.splitlines()
    return [(problem.code, lines[problem.line - 1][problem.column - 1 :]) for problem in check(text)[1]]


def examined(nodes: str, **top: object) -> list[tuple[str, str]]:
    """As :func:`found`, of everything that ``validate`` says of keys."""
    text = definition_text(nodes, **{"initial_context": [], **top})
    lines = text.splitlines()
    keys = ("CCH-G104", "CCH-G105", "CCH-G109")
    return [(p.code, lines[p.line - 1][p.column - 1 :]) for p in examine(text)[1] if p.code in keys]


def test_the_page_is_what_the_catalogue_makes() -> None:
    """After a change of the catalogue: ``python -m cch.graph.codes > docs/errors.md``."""
    written = (ROOT / "docs" / "errors.md").read_text("utf-8")

    assert written == page()


def test_the_command_prints_the_page() -> None:
    """The command that the page names at its top."""
    answer = subprocess.run([sys.executable, "-m", "cch.graph.codes"], capture_output=True, check=True)

    assert answer.stdout == page().encode()


def test_every_code_in_use_is_explained_and_every_explained_code_is_in_use() -> None:
    """A code that appears in the source without an explanation fails here, and so does one that is left over."""
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "graph" or path.name not in CATALOGUE
        for code in re.findall(r"CCH-[DGK]\d+", path.read_text("utf-8"))
    }
    explained = [each.code for each in EXPLANATIONS]
    raised = {code for code, _ in code_of_errors() if re.match("CCH-[DGK]", code)}

    assert len(explained) == len(set(explained))
    assert not raised & set(explained)
    assert used == raised | set(explained)


@pytest.mark.parametrize("explanation", EXAMPLES, ids=lambda each: each.code)
def test_the_wrong_example_has_exactly_this_problem_at_its_place(explanation: Explanation) -> None:
    """One problem, of this code and severity, whose line and caret show what the mistake is about."""
    problems = problems_of(explanation, explanation.wrong)

    assert [(p.code, p.severity, p.file) for p in problems] == [
        (explanation.code, explanation.severity, "example.yaml")
    ], problems
    assert (problems[0].line, problems[0].column) == explanation.place
    line, caret = snippet(explanation.wrong, problems[0])
    assert line[caret.index("^") :].startswith(explanation.at.splitlines()[0])


@pytest.mark.parametrize("explanation", EXAMPLES, ids=lambda each: each.code)
def test_the_right_example_has_no_problem_at_all(explanation: Explanation) -> None:
    """Neither errors nor warnings."""
    assert problems_of(explanation, explanation.right) == ()


def test_only_what_no_file_can_produce_has_no_example() -> None:
    """A mistake of the platform itself."""
    assert {each.code for each in EXPLANATIONS} - {each.code for each in EXAMPLES} == {"CCH-G900"}


def test_the_contents_lead_to_every_section() -> None:
    """Links of the table of contents are headings of the page, as GitHub names them."""
    links = re.findall(r"^ *- \[.*?\]\(#(.*?)\)", page(), re.MULTILINE)
    headings = re.findall(r"^##+ (.*)$", page(), re.MULTILINE)

    assert links == [heading.lower().replace(" ", "-") for heading in headings]


# --- checks whose hard cases the examples do not show -------------------------------------------------------------


def test_a_join_that_all_its_branches_pass_by_can_never_fire() -> None:
    """The join itself is unreachable then, but its branches run."""
    problems = found(
        "F: {type: fork, branches: [A, B]}\nA: {type: set_state, on_success: E}\nB: {type: set_state, on_success: E}\n"
        "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
    )

    assert [place[:2] for code, place in problems if code == "CCH-G004"] == ["A,", "B]"]


def test_a_join_in_a_part_that_never_runs_is_only_unreachable() -> None:
    """Nodes that are kept for later do no harm."""
    problems = found(
        "E: {type: end}\nF: {type: fork, branches: [A]}\nA: {type: set_state, on_success: E}\n"
        "J: {type: join, join_branches: [A], on_success: E}"
    )

    assert {code for code, _ in problems} == {"CCH-G101", "CCH-G102"}


def test_the_error_reply_of_a_scheduled_request_wants_to_be_handled_too() -> None:
    """It is sent and answered as any request."""
    nodes = (
        "S: {{type: scheduled_request, capability_id: a, schedule_parameters: {{date_context_key: d}}, "
        "on_response: E{more}}}\nE: {{type: end}}"
    )

    assert [code for code, _ in found(nodes.format(more=""))] == ["CCH-G103"]
    assert found(nodes.format(more=", on_failure: E")) == []
    assert found(nodes.format(more=", error_reply: response")) == []


def test_inputs_of_a_loop_may_come_from_its_last_round() -> None:
    """Whatever the loop writes may be there, in the loop and behind it; a key that nobody writes is still reported."""
    nodes = (
        "A: {{type: sync_call, capability_id: a, output_keys: [x], input_keys: [{a}], on_success: B}}\n"
        "B: {{type: condition, condition_on_key: x, branches: {{again: C, _default: D}}}}\n"
        "C: {{type: set_state, static_outputs: {{y: 1}}, on_success: A}}\n"
        "D: {{type: sync_call, capability_id: d, input_keys: [{d}], on_success: E}}\nE: {{type: end}}"
    )

    assert examined(nodes.format(a="y", d="y")) == []
    assert examined(nodes.format(a="z", d="x"))[0][0] == "CCH-G104"


def test_a_condition_may_ask_whether_a_start_has_brought_more() -> None:
    """With a label for null; a name that is nearly one of those that are known is a mistake all the same."""
    node = "C: {{type: condition, condition_on_key: {key}, branches: {{{label}: E, _default: E}}}}\nE: {{type: end}}"

    assert examined(node.format(key="urgency", label="'null'"), initial_context=["shipmentId"]) == []
    assert examined(node.format(key="urgency", label="high"), initial_context=["shipmentId"])[0][0] == "CCH-G104"
    assert examined(node.format(key="shipmentID", label="'null'"), initial_context=["shipmentId"])[0][0] == "CCH-G104"


def test_a_scheduled_request_may_send_what_it_set_itself() -> None:
    """``on_schedule_set`` is merged when the date is set, the request made when it has come."""
    nodes = (
        "S: {type: scheduled_request, capability_id: a, schedule_parameters: {date_context_key: d}, input_keys: [k], "
        "on_schedule_set: {k: 1}, on_response: E, error_reply: response}\nE: {type: end}"
    )

    assert examined(nodes, initial_context=["d"]) == []


FORKED = (
    "F: {{type: fork, branches: [A, B]}}\nA: {{type: set_state, static_outputs: {{k: 1}}}}\n"
    "B: {{type: sync_call, capability_id: b, output_keys: [o], input_keys: [k]}}\n"
    "J: {{type: join, join_branches: [A, B], on_success: {after}}}\n"
    "D: {{type: condition, condition_on_key: k.deep, branches: {{_default: E}}}}\nE: {{type: end}}"
)


def test_an_input_that_only_a_parallel_branch_writes_is_one_problem() -> None:
    """It says who writes the key, instead of that nobody does; behind the join the key may be read."""
    assert [(code, place[0]) for code, place in examined(FORKED.format(after="D"))] == [("CCH-G105", "k")]


def test_a_key_of_the_start_may_be_read_though_a_parallel_branch_writes_it() -> None:
    """It is there anyway."""
    assert examined(FORKED.format(after="D"), initial_context=["k"]) == []


def test_a_condition_may_ask_for_a_key_that_nobody_writes() -> None:
    """A missing key reads as null, and replies may bring more than was asked for."""
    assert found("D: {type: condition, condition_on_key: k, branches: {_default: E}}\nE: {type: end}") == []


def test_a_handler_that_both_branches_lead_to_may_read_what_one_of_them_writes() -> None:
    """It comes after the writer when that branch is the one that failed."""
    nodes = (
        "F: {type: fork, branches: [A, B]}\nA: {type: set_state, static_outputs: {k: 1}, on_success: A2}\n"
        f"A2: {{{ASK}, on_response: AE, request_output_keys: [r], on_failure: H}}\nAE: {{type: end_branch}}\n"
        f"B: {{{ASK}, on_response: BE, request_output_keys: [r], on_failure: H}}\nBE: {{type: end_branch}}\n"
        "H: {type: sync_call, capability_id: h, input_keys: [k], on_success: E}\n"
        "J: {type: join, join_branches: [A, B], on_success: E}\nE: {type: end}"
    )

    assert {code for code, _ in found(nodes)} <= {"CCH-G102"}
