"""What the mock answers by contracts; `cch simulate` answers the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mock_fakes import Workbench, request

from capability_mock import contracts as of_mock
from capability_mock.samples import sample as sample_of_mock
from cch.definition.contract_reader import read_contract
from cch.definition.samples import sample

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[2] / "workflow-definitions" / "capabilities"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
CONTRACT = """\
id: a#b
title: A
replies: {SUCCESS: {type: object, properties: {k: {enum: [GOOD]}, n: {type: integer, minimum: 7}}}}
errors: {BUSY: Later.}
examples:
  - {request: {party: {name: EVIL}}, reply: {status: ERROR, payload: {messages: [{code: BUSY}]}}}
"""

SCHEMAS = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(["string", "boolean", "null", "object", "array"])}),
        st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": st.integers(-9, 9)}),
        st.fixed_dictionaries({"enum": st.lists(st.integers() | st.text(), min_size=1)}),
        st.fixed_dictionaries({"const": st.integers() | st.text()}),
        st.fixed_dictionaries({"type": st.just("string"), "format": st.sampled_from(["date", "uuid", "uri", "x"])}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda p: {"type": "object", "properties": p}, st.dictionaries(st.text("abc"), inner, max_size=3)),
        st.builds(lambda i, n: {"type": "array", "items": i, "minItems": n}, inner, st.integers(0, 3)),
        st.builds(lambda i: {"anyOf": i}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda i: {"allOf": i}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=8,
)


def replied(bench: Workbench, **changes: Any) -> tuple[str, Any]:
    bench.arrive(request("a#b", **changes))
    command = bench.commands()[-1]
    return command["status"], command["payload"]


def contracted(scenario: str = "") -> Workbench:
    bench = Workbench(scenario)
    bench.desk.contracts.put(of_mock.parse_contract(CONTRACT))
    return bench


@given(SCHEMAS)
def test_mock_and_simulator_make_the_same_of_a_schema(schema: dict[str, Any]) -> None:
    """They share no code, so nothing else keeps them together."""
    assert sample_of_mock(schema) == sample(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_mock_and_simulator_answer_the_same_by_a_contract(path: Path) -> None:
    """For each request of an example, for none of them, and for some keys only."""
    text = path.read_text()
    mine, problems = read_contract(text)
    theirs = of_mock.parse_contract(text)
    assert mine is not None, problems

    contexts = [each.request or {} for each in mine.examples] + [{}]
    keys = sorted({key for each in mine.examples for key in each.payload})
    for context in contexts:
        for asked in ((), tuple(keys[:1]), ("other",)):
            assert theirs.answer(context, asked) == mine.answer(context, asked)
    assert theirs.error() == mine.error()


def test_what_nobody_has_scripted_is_answered_by_the_contract() -> None:
    """An example whose request fits comes first; a key that the contract does not know stays readable."""
    assert replied(contracted()) == ("SUCCESS", {"k": "GOOD", "n": 7})
    assert replied(contracted(), keys=["n", "other"]) == ("SUCCESS", {"n": 7, "other": "other of a#b for BOL-1"})
    refused = replied(contracted(), context={"party": {"name": "EVIL"}, "x": 1})
    assert refused == ("ERROR", {"messages": [{"code": "BUSY"}]})


def test_a_scripted_answer_counts_and_takes_its_payload_from_the_contract() -> None:
    """Where the scenario gives a status only."""
    scripted = contracted("capabilities: {'a#b': [{payload: {k: OTHER}}, {status: ERROR}, {after: 0s}]}")

    answers = [replied(scripted), replied(scripted), replied(scripted)]

    assert answers == [
        ("SUCCESS", {"k": "OTHER"}),
        ("ERROR", {"messages": [{"code": "BUSY"}]}),
        ("SUCCESS", {"k": "GOOD", "n": 7}),
    ]


def test_a_folder_is_read_again_when_its_files_change(tmp_path: Path) -> None:
    """A file that has become bad leaves the mock with what it has."""
    file = tmp_path / "a.yaml"
    file.write_text(CONTRACT)
    contracts = of_mock.Contracts(tmp_path)
    file.write_text(CONTRACT.replace("GOOD", "BETTER"))
    better = contracts.get("a#b")
    file.write_text("id: [")

    assert better is not None
    assert better.success(()) == {"k": "BETTER", "n": 7}
    assert contracts.get("a#b") == better
    assert contracts.get("c#d") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: [", "not valid YAML"),
        ("[]", "is a mapping"),
        ("title: A", "id is missing"),
        ("id: a\nerrors: [X]", ":2:1"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """At the start, with all problems."""
    (tmp_path / "bad.yaml").write_text(text)

    with pytest.raises(of_mock.ContractError, match="bad.yaml") as refused:
        of_mock.Contracts(tmp_path)

    assert said in str(refused.value)


def test_the_reply_stays_the_same_when_a_request_comes_again() -> None:
    """Also with a contract that has changed meanwhile nothing but its payload may differ, never the id."""
    bench = contracted()
    again = request("a#b", command_id="00000000-0000-4000-8000-000000000009")

    bench.arrive(again)
    bench.arrive(again)

    first, second = bench.commands()
    assert json.dumps(first) == json.dumps(second)


def test_without_contracts_answers_are_readable_texts(bench: Callable[..., Workbench]) -> None:
    """As ever."""
    assert replied(bench(), keys=["k"]) == ("SUCCESS", {"k": "k of a#b for BOL-1"})
