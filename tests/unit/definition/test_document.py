"""YAML text becomes plain data with positions, or a list of problems."""

from __future__ import annotations

import time

import pytest

from cch.definition.document import MAX_BYTES, Position, read_document, snippet
from cch.definition.rules import FIRST, NEWEST
from cch.errors import DefinitionError, Problem


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(DefinitionError) as caught:
        read_document(text, "w.yaml")
    return list(caught.value.problems)


def place(problem: Problem) -> tuple[str, int, int]:
    return problem.code, problem.line, problem.column


def test_scalars_keep_their_json_types() -> None:
    """Numbers, booleans and null are values; everything else is text."""
    document = read_document("a: 1\nb: 1.5\nc: true\nd: null\ne: ~\nf: text\ng: '1'\nh:\n")

    assert document.data == {"a": 1, "b": 1.5, "c": True, "d": None, "e": None, "f": "text", "g": "1", "h": None}
    assert document.findings == ()


@pytest.mark.parametrize("written", ["2026-01-31", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00.5 +02:00"])
def test_dates_stay_the_text_that_was_written(written: str) -> None:
    """Contexts are JSON, which has no dates."""
    assert read_document(f"when: {written}").data == {"when": written}


def test_keys_stay_the_text_that_was_written() -> None:
    """Branch labels such as true, null, 1 and a date need no quotes."""
    document = read_document("branches: {true: A, null: B, 1: C, 2026-01-31: D, no: E}")

    assert document.data["branches"] == {"true": "A", "null": "B", "1": "C", "2026-01-31": "D", "no": "E"}


def test_merge_keys_give_way_to_written_ones() -> None:
    """``<<`` brings the keys of an anchor; those beside it win, and of several sources the first."""
    document = read_document(
        "x-base: &base {a: 1, b: 1}\nx-more: &more {b: 2, c: 2}\none: {<<: *base, b: 3}\n"
        "two: {<<: [*base, *more], d: 4}\n"
    )

    assert document.data["one"] == {"a": 1, "b": 3}
    assert document.data["two"] == {"a": 1, "b": 1, "c": 2, "d": 4}


def test_positions_count_from_one() -> None:
    """A key's position is where it is written; a list item's, where it begins."""
    document = read_document("a:\n  b:\n    - x\n    - y\n")

    assert document.position(("a", "b")) == Position(2, 3)
    assert document.position(("a", "b", 1)) == Position(4, 7)
    assert document.position(("a", "nothing", "there")) == Position(1, 1)


def test_duplicate_keys_are_all_reported() -> None:
    """Each repetition is one problem, with the line of the first."""
    document = read_document("a: 1\nb: {c: 1, c: 2}\na: 2\na: 3\n")

    assert [place(problem) for problem in document.problems] == [
        ("CCH-D002", 2, 11), ("CCH-D002", 3, 1), ("CCH-D002", 4, 1),
    ]  # fmt: skip
    assert "first in line 1" in document.problems[1].message
    assert document.data == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: [1\nb: 2", 2, 2),
        ("a: 1\n\tb: 2", 2, 1),
        ("a: *nowhere", 1, 4),
        ("a: 1\n---\nb: 2", 2, 1),
        ("- a list", 1, 1),
        ("", 1, 1),
        ("just text", 1, 1),
        ("a: \x00", 1, 1),
    ],
)
def test_what_is_no_yaml_mapping_is_one_problem(text: str, line: int, column: int) -> None:
    """Broken YAML, other documents and other roots are refused with the place."""
    (problem,) = problems_of(text)

    assert place(problem) == ("CCH-D001", line, column)
    assert problem.hint


def test_bytes_that_are_no_utf8_are_found() -> None:
    """A source that could not decode left a replacement character; it must not end up in a context."""
    (problem,) = problems_of(b"a: 1\nb: caf\xe9\n".decode("utf-8", "replace"))

    assert place(problem) == ("CCH-D001", 2, 7)
    assert "UTF-8" in problem.message


@pytest.mark.parametrize(
    ("value", "column"),
    [(".nan", 4), (".inf", 4), ("!!set {x}", 4), ("!!python/name:os.system ''", 4), ("!!binary aGk=", 4)],
)
def test_values_that_json_does_not_have_are_problems(value: str, column: int) -> None:
    """No value becomes something else without a word, and no tag is executed."""
    document = read_document(f"a: {value}\nb: 1")

    if document.problems:
        assert [place(problem) for problem in document.problems] == [("CCH-D004", 1, column)]
    else:
        assert document.data["a"] == {"x": None}, "a set is a mapping without values"


@pytest.mark.parametrize("rules", [FIRST, NEWEST])
@pytest.mark.parametrize("value", ["0x_", "!!int abc", "!!float abc", "!!bool perhaps", "9" * 5000])
def test_numbers_that_are_none_are_problems(value: str, rules: int) -> None:
    """What YAML's patterns take for a number but Python cannot read does not raise."""
    document = read_document(f"a: {value}\n", rules=rules)
    if rules == NEWEST and not value.startswith("!"):
        assert document.data == {"a": value}, "text by the newest rules"
        return

    assert [place(problem) for problem in document.problems] == [("CCH-D004", 1, 4)]


def test_keys_must_be_text() -> None:
    """A list as key and a merge of something that is no mapping are problems."""
    document = read_document("? [1, 2]\n: 3\n<<: 7\nb: 1\n")

    assert [place(problem) for problem in document.problems] == [("CCH-D004", 1, 3), ("CCH-D004", 3, 5)]
    assert document.data == {"b": 1}


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x {<<: *x}"])
def test_an_alias_of_itself_is_refused(text: str) -> None:
    """A document that contains itself has no end."""
    assert [problem.code for problem in problems_of(text)] == ["CCH-D003"]


def test_a_yaml_bomb_is_refused_at_once() -> None:
    """A few lines of aliases that stand for a billion values cost less than a second or two."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    begun = time.process_time()

    problems = problems_of("\n".join(lines))

    assert [problem.code for problem in problems] == ["CCH-D003"]
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("text", ["a: " + "[" * 500_000, "- " * 400_000, "a: " + "{b: " * 60 + "}" * 60])
def test_deep_nesting_is_refused_without_ending_the_process(text: str) -> None:
    """libyaml's composer recurses in C: hundreds of thousands of levels would be a segmentation fault."""
    assert [problem.code for problem in problems_of(text)] == ["CCH-D003"]


def test_fifty_levels_are_fine() -> None:
    """The limit is far above what people write."""
    assert read_document("a: " + "[" * 48 + "]" * 48).problems == ()


def test_one_mebibyte_is_the_limit() -> None:
    """The limit counts bytes, not characters."""
    filled = "a: '" + "ä" * ((MAX_BYTES - 5) // 2) + "'"

    assert read_document(filled).data["a"].startswith("ä")
    assert [problem.code for problem in problems_of(filled + "  ")] == ["CCH-D003"]


def test_a_snippet_points_at_the_column() -> None:
    """The line, and a caret below the place."""
    problem = Problem(code="CCH-D002", message="m", line=2, column=3)

    assert list(snippet("a: 1\n  b: 2", problem)) == ["  b: 2", "  ^"]
    assert list(snippet("a: 1", Problem(code="c", message="m"))) == []
