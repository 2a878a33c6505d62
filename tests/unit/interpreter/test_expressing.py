"""Expressions in nodes: what they see, what they write, and how they fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scripted import ScriptedHost
from workflows import definition_text, graph_of

from cch.definition.reader import read_definition
from cch.graph.checks import check
from cch.graph.plan import plan_tasks
from cch.graph.regions import Region
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, Request
from cch.interpreter.region import RegionRun
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import Simulated, simulate

ENDS = "\nE: {type: end}\nX: {type: end}\nF: {type: end, status: failed}\n"


async def ran(nodes: str, host: ScriptedHost, **context: Any) -> TokenFlow:
    graph = graph_of(nodes + ENDS)
    flow = TokenFlow(graph, plan_tasks(graph).domains, context)
    await RegionRun(Region(head=graph.entry, kind="wait", nodes=tuple(graph.nodes)), flow, host).run()
    return flow


def answering(**payload: Any) -> ScriptedHost:
    return ScriptedHost(on_request=lambda _: Answer(kind="reply", at=1_767_600_005_000, payload=payload))


@pytest.mark.parametrize(
    ("value", "agency", "way"), [(2500, None, "E"), (2500, "FDA", "X"), (2501, None, "X"), (1, None, "E")]
)
async def test_the_first_choice_that_is_true_is_taken(value: int, agency: str | None, way: str) -> None:
    """Informal entry: at most 2,500 USD, and no agency has flagged a line."""
    node = (
        "C:\n  type: condition\n"
        "  choices:\n"
        '    - {when: "{% value <= 2500 and $not(lines.agency) %}", next: E}\n'
        '    - {when: "{% true %}", next: X}\n'
    )

    flow = await ran(node, ScriptedHost(), value=value, lines=[{"agency": agency}, {}])

    assert flow.visited() == ["C", way]
    assert flow.outcomes["C#1"].label == way, "a label that stays when a choice is added before it"


async def test_a_condition_takes_its_default_or_fails() -> None:
    """Without a default, nothing that is true is a failure."""
    choices = 'choices: [{when: "{% value > 1 %}", next: E}]'

    there = await ran(f"C: {{type: condition, {choices}, default: X}}", ScriptedHost(), value=1)
    gone = await ran(f"C: {{type: condition, {choices}, on_failure: X}}", ScriptedHost(), value=1)

    assert (there.outcomes["C#1"].label, gone.outcomes["C#1"].label) == ("_default", "on_failure")
    assert gone.final_context()["_internalError"] == "no choice of 'C' is true, and it has no default"


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (
            {},
            "choice 1 of 'C' ({% value > 1 %}) is neither true nor false, but nothing: a key that it reads is missing",
        ),
        ({"value": "2"}, "at character"),
    ],
)
async def test_a_condition_fails_where_it_cannot_decide(context: Mapping[str, Any], reason: str) -> None:
    """Along on_failure, with node, expression, position, and what it met."""
    node = 'C: {type: condition, choices: [{when: "{% value > 1 %}", next: E}], default: E, on_failure: X}'

    flow = await ran(node, ScriptedHost(), **context)

    assert flow.visited() == ["C", "X"]
    assert reason in flow.final_context()["_internalError"]
    assert flow.final_context()["_errorCode"] == "EXPRESSION"


async def test_values_are_set_by_expressions() -> None:
    """Nested, with dots in keys as paths; what gives nothing is left out; the platform's keys are not seen."""
    node = (
        "S:\n  type: set_state\n  static_outputs: {fixed: '{% not one %}'}\n"
        "  outputs:\n"
        "    entry.kind: \"{% value > 1 ? 'formal' : 'informal' %}\"\n"
        '    entry.lines: [{sum: "{% $sum(lines.v) %}", gone: "{% gone %}"}]\n'
        '    hidden: "{% $keys($$) %}"\n'
        "  on_success: E"
    )

    flow = await ran(node, ScriptedHost(), value=2, lines=[{"v": 1}, {"v": 2}], _secret=1)

    found = flow.final_context()
    assert found["entry"] == {"kind": "formal", "lines": [{"sum": 3}]}
    assert found["hidden"] == ["value", "lines"]
    assert found["fixed"] == "{% not one %}"


async def test_a_request_sends_and_keeps_what_expressions_say() -> None:
    """Two screenings no longer overwrite each other; the capability is asked for what the output reads."""
    node = (
        "A:\n  type: async_request\n  capability_id: screen#party\n"
        '  input: {party: "{% parties[role=\'SHIPPER\'] %}", by: me, gone: "{% gone %}"}\n'
        '  output: {shipper.screening: "{% $reply.screeningId %}", hit: "{% $reply.score > 80 %}"}\n'
        "  on_response: E"
    )
    host = answering(screeningId="s-1", score=90, other=1)

    flow = await ran(node, host, parties=[{"role": "SHIPPER", "name": "N"}, {"role": "BUYER"}])

    (request,) = host.requests
    assert request.context == {"party": {"role": "SHIPPER", "name": "N"}, "by": "me"}
    assert request.request_output_keys == ("score", "screeningId")
    assert flow.outcomes["A#1"].patch == {"shipper": {"screening": "s-1"}, "hit": True, "status": "SUCCESS"}


async def test_an_error_reply_is_told_by_its_code() -> None:
    """$error has code, message and node; nothing of an ERROR's payload is written where an output says what is."""
    host = ScriptedHost(
        on_request=lambda r: Answer(
            kind="reply", at=1, status="SUCCESS" if r.node == "B" else "ERROR",
            payload={"messages": [{"code": "BUSY"}], "junk": 1},
        )
    )  # fmt: skip
    nodes = (
        'A: {type: async_request, capability_id: a, output: {x: "{% $reply.junk %}"}, on_response: E, on_failure: B}\n'
        'B: {type: async_request, capability_id: b, input: {why: "{% $error %}"}, on_response: E}'
    )

    flow = await ran(nodes, host)

    assert host.requests[1].context == {"why": {"code": "BUSY", "message": "a answered ERROR: BUSY", "node": "A"}}
    assert "junk" not in flow.outcomes["A#1"].patch


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ('input: {x: "{% 1 + name %}"}', "character"),
        ('output: {x: "{% 1 + $reply.name %}"}', "character"),
        ('output: {lines.no.x: "{% 1 %}"}', "nothing can be written at 'lines.no.x'"),
    ],
)
async def test_a_request_whose_expressions_fail_goes_on_failure(keys: str, reason: str) -> None:
    """Nothing is sent where the input fails; a reply whose output fails is an end of the visit."""
    node = f"A: {{type: async_request, capability_id: a, {keys}, on_response: E, on_failure: X}}"
    host = answering(name="n")

    flow = await ran(node, host, name="n", lines=[{}])

    assert flow.visited() == ["A", "X"]
    assert reason in flow.final_context()["_internalError"]
    assert len(host.requests) == (0 if "input" in keys else 1)


async def test_a_call_is_given_and_gives_what_expressions_say() -> None:
    """With the same rules as a request."""
    asked: list[Call] = []

    def call(given: Call) -> Mapping[str, Any]:
        asked.append(given)
        return {"duty": 12.5, "junk": 1}

    node = (
        "A:\n  type: sync_call\n  capability_id: duty#estimate\n"
        '  input: {kilos: "{% weight / 1000 %}"}\n  output: {duty.amount: "{% $reply.duty * 2 %}"}\n  on_success: E'
    )

    flow = await ran(node, ScriptedHost(on_call=call), weight=2500)

    assert (asked[0].context, asked[0].outputs) == ({"kilos": 2.5}, None)
    assert flow.outcomes["A#1"].patch == {"duty": {"amount": 25}}


MAP = (
    "M:\n  type: map_fork\n  execution: inline\n"
    '  items: "{% lines[agency] %}"\n  output_key: flagged\n  branch_key: id\n  branch_entry_node: A\n'
    'A: {type: async_request, capability_id: a, input: {hs: "{% $item.hs %}", all: "{% $count(lines) %}"},'
    ' output: {ok: "{% $reply.ok %}"}, on_response: B}\nB: {type: end_branch}\n'
    "J: {type: join, join_branches: [M], destination: results, on_success: E}"
)


@pytest.mark.parametrize("agencies", [["FDA", None, "EPA"], ["FDA", None], [None, None]])
async def test_a_map_runs_for_the_items_that_an_expression_gives(agencies: list[str | None]) -> None:
    """One match, or none, is a list all the same; the list itself stays as it was."""
    lines = [{"id": n, "hs": f"hs-{n}", **({"agency": a} if a else {})} for n, a in enumerate(agencies)]
    host = answering(ok=True)

    flow = await ran(MAP, host, lines=lines)

    flagged = [line for line in lines if "agency" in line]
    assert sorted(request.context["hs"] for request in host.requests) == [line["hs"] for line in flagged]
    found = flow.final_context()
    assert found["results"] == [{**line, "ok": True, "status": "SUCCESS"} for line in flagged]
    assert (found["lines"], found["flagged"]) == (lines, found["results"])


async def test_now_is_when_the_newest_answer_came() -> None:
    """Not when a process happens to look: the same at every replay. At first it is the instance's start."""
    nodes = (
        'S: {type: set_state, outputs: {first: "{% $now %}", who: "{% $instance %}"}, on_success: A}\n'
        "A: {type: async_request, capability_id: a, on_response: T}\n"
        'T: {type: set_state, outputs: {then: "{% $now %}"}, on_success: E}'
    )
    host = answering()
    host.clock = lambda: 1_767_600_060_000

    flow = await ran(nodes, host)

    found = flow.final_context()
    assert (found["first"], found["then"]) == ("2026-01-05T08:00:00.000Z", "2026-01-05T08:01:00.001Z")
    assert found["who"] == {
        "id": "i", "correlationId": "c", "workflowId": "random", "started": "2026-01-05T08:00:00.000Z",
    }  # fmt: skip


async def test_an_error_reply_goes_to_a_condition_on_status_written_as_an_expression() -> None:
    """As to one that is written with condition_on_key."""
    nodes = (
        "A: {type: async_request, capability_id: a, on_response: C, on_failure: X}\n"
        "C: {type: condition, choices: [{when: \"{% status = 'ERROR' %}\", next: F}], default: E}"
    )
    host = ScriptedHost(on_request=lambda _: Answer(kind="reply", at=1, status="ERROR", payload={}))

    assert (await ran(nodes, host)).visited() == ["A", "C", "F"]


def simulated(nodes: str, **scenario: Any) -> Simulated:
    import json

    definition = read_definition(definition_text(nodes + ENDS))
    return simulate(definition, read_scenario(json.dumps({"name": "s", **scenario})))


def test_the_simulator_evaluates_alike() -> None:
    """The same functions, in virtual time: an item sees its own $item, the start is the scenario's."""
    result = simulated(
        MAP,
        context={"lines": [{"id": "1", "hs": "84", "agency": "FDA"}, {"id": "2", "hs": "85"}]},
        capabilities={"a": [{"payload": {"ok": 1}, "after": "1m"}]},
    )

    assert result.status == "completed"
    assert result.context["results"] == [{"id": "1", "hs": "84", "agency": "FDA", "ok": 1, "status": "SUCCESS"}]


@pytest.mark.parametrize(
    ("nodes", "code", "at"),
    [
        ('C: {type: condition, choices: [{when: "{% value < %}", next: E}]}', "CCH-G010", "%}"),
        ("C: {type: condition, choices: [{when: value, next: E}]}", "CCH-G010", "when: value"),
        ('C: {type: condition, choices: [{when: "{% $reply.x %}", next: E}]}', "CCH-G010", ".x %}"),
        ('S: {type: set_state, outputs: {a: {b: ["{% $item %}"]}}, on_success: E}', "CCH-G010", " %}"),
        ('S: {type: set_state, outputs: {a: "{% open"}, on_success: E}', "CCH-G010", '"}, on'),
        (
            'C: {type: condition, condition_on_key: a, branches: {x: E}, choices: [{when: "{% a %}", next: E}]}',
            "CCH-G011", "condition_on_key",
        ),
        (
            "A: {type: async_request, capability_id: a, input: {}, input_keys: [a], on_response: E, on_failure: E}",
            "CCH-G011", "input_keys",
        ),
        ('C: {type: condition, choices: [{when: "{% true %}", next: Gone}]}', "CCH-G001", "next: Gone"),
        ("C: {type: condition, default: E}", "CCH-D022", "C: {type"),
        (
            'M: {type: map_fork, items: "{% a %}", branch_key: id, branch_entry_node: B}\nB: {type: end_branch}',
            "CCH-D022", "M: {type",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_at_its_column(nodes: str, code: str, at: str) -> None:
    """Inside the text of the expression."""
    text = definition_text(nodes + ENDS)

    definition, problems = check(text)

    assert definition is None
    lines = text.splitlines()
    places = {(p.code, lines[p.line - 1][p.column - 1 :].startswith(at)) for p in problems if p.severity == "error"}
    assert (code, True) in places, [(str(p), lines[p.line - 1][p.column - 1 :]) for p in problems]


def test_the_column_is_found_in_blocks_of_several_lines() -> None:
    """YAML's block form keeps its lines."""
    nodes = (
        "C:\n  type: condition\n  choices:\n    - when: |\n        {%\n          value <= 2500 and\n"
        "          $summ(lines.v) > 1\n        %}\n      next: E\n  default: X\n"
    )
    text = definition_text(nodes + ENDS)

    (problem,) = [p for p in check(text)[1] if p.code == "CCH-G010"]

    assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith("(lines.v)")


async def test_requests_of_older_definitions_are_as_they_were() -> None:
    """Without an expression nothing is computed elsewhere."""
    host = ScriptedHost(on_request=lambda _: Answer(kind="reply", at=1, payload={"a": 2}))
    host.compute = None  # type: ignore[assignment, method-assign]

    flow = await ran("A: {type: async_request, capability_id: a, input_keys: [a], on_response: E}", host, a=1, b=2)

    assert isinstance(host.requests[0], Request)
    assert host.requests[0].context == {"a": 1}
    assert flow.status() == "completed"
