"""What a plain scalar means: by the newest rules what JSON means by it, and else the text that was written."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cch.definition.document import read_document
from cch.definition.rules import FIRST, NEWEST
from cch.definition.scalars import NoValueError, first_reading, newest_reading, older_reading


@pytest.mark.parametrize(
    ("text", "first", "newest"),
    [
        ("NO", False, "NO"),
        ("no", False, "no"),
        ("yes", True, "yes"),
        ("On", True, "On"),
        ("True", True, "True"),
        ("FALSE", False, "FALSE"),
        ("Null", None, "Null"),
        ("0101", 65, "0101"),
        ("0800", "0800", "0800"),
        ("22:30:00", 81000, "22:30:00"),
        ("1:30.5", 90.5, "1:30.5"),
        ("123_4", 1234, "123_4"),
        ("0x1F", 31, "0x1F"),
        ("0b11", 3, "0b11"),
        ("+5", 5, "+5"),
        (".5", 0.5, ".5"),
        ("5.", 5.0, "5."),
        ("1_0.5", 10.5, "1_0.5"),
        ("8471.30", 8471.3, 8471.3),
        ("1.50", 1.5, 1.5),
        ("1e5", "1e5", 100000.0),
        ("1E+2", "1E+2", 100.0),
        ("1.5e+3", 1500.0, 1500.0),
        ("7", 7, 7),
        ("-7", -7, -7),
        ("-0", 0, 0),
        ("0.1", 0.1, 0.1),
        ("9223372036854775807", 2**63 - 1, 2**63 - 1),
        ("9223372036854775808", 2**63, "9223372036854775808"),
        ("1e999", "1e999", "1e999"),
        ("true", True, True),
        ("false", False, False),
        ("null", None, None),
        ("~", None, None),
        ("", None, None),
        ("2026-01-31", "2026-01-31", "2026-01-31"),
        ("=", "=", "="),
        ("٣", "٣", "٣"),
    ],
)
def test_a_scalar_is_what_its_author_wrote(text: str, first: Any, newest: Any) -> None:
    """Both by the newest rules, and by those of the instances that began before them."""
    assert (type(first_reading(text)), first_reading(text)) == (type(first), first)
    assert (type(newest_reading(text).value), newest_reading(text).value) == (type(newest), newest)
    assert read_document(f"a: {text}", rules=FIRST).data == {"a": first}
    assert read_document(f"a: {text}", rules=NEWEST).data == {"a": newest}
    assert read_document(f"a: [{text or '~'}]").data == {"a": [newest]}


@pytest.mark.parametrize("text", ["8471.30", "1.50", "-0", "100000000000000000000", "1e999", "0.12345678901234567890"])
def test_where_two_readings_are_possible_a_warning_shows_both(text: str) -> None:
    """The quotes for the text, and how the number is written."""
    document = read_document(f"x: {{hts: {text}}}")

    (problem,) = document.findings
    assert (problem.code in ("CCH-D005", "CCH-D006"), problem.severity, problem.line, problem.column) == (
        True, "warning", 1, 10,
    )  # fmt: skip
    assert text in problem.message + problem.hint
    assert read_document(f"x: {{hts: '{text}'}}").findings == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NO", "NO is the text 'NO' now; for instances that began by the first rules it is false"),
        ("0101", "it is the number 65"),
        ("22:30:00", "it is the number 81000"),
        ("1e5", "1e5 is the number 100000.0 now; for instances that began by the first rules it is the text '1e5'"),
    ],
)
def test_what_older_instances_read_otherwise_is_said_with_both_readings(text: str, words: str) -> None:
    """``cch validate`` lists it; quotes end the matter."""
    (problem,) = read_document(f"a: {text}").findings

    assert (problem.code, problem.severity) == ("CCH-D006", "warning")
    assert words in problem.message
    assert read_document(f"a: '{text}'").findings == ()


@given(value=st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=15,
))  # fmt: skip
def test_json_is_read_as_json(value: Any) -> None:
    """A definition that a program writes means what the program meant, and nothing is warned of."""
    text = json.dumps({"a": value})

    document = read_document(text)

    assert json.dumps(document.data) == text
    assert document.findings == ()


@given(text=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=12))
@example("1_000")
@example("0o17")
def test_no_scalar_raises_and_only_json_words_have_another_type(text: str) -> None:
    """Whatever is written: a value that JSON has, or a refusal."""
    try:
        value = newest_reading(text).value
    except NoValueError:
        return
    if isinstance(value, str):
        assert value == text
    elif value is not None:
        assert math.isfinite(json.loads(text))
    try:
        assert (type(older_reading(text)), older_reading(text)) != (type(value), value)
    except LookupError:
        pass


def test_the_pairs_of_surrogates_that_json_writes_are_read() -> None:
    """In a text in double quotes, with positions as they are; half a pair is no text."""
    document = read_document(r'a: ["\ud83d\ude00", "x"]' + "\nb: 1\n")

    assert document.data == {"a": ["\N{GRINNING FACE}", "x"], "b": 1}
    assert document.position(("a", 1)).column == 21
    assert read_document(r"a: '\ud83d\ude00'").data == {"a": r"\ud83d\ude00"}
    assert [(p.code, p.line) for p in read_document(r'a: "\ud83d"').problems] == [("CCH-D001", 1)]


@pytest.mark.parametrize(
    ("text", "tag"), [("a: !customs {b: 1}", "!customs"), ("a: !!omap [b: 1]", "!!omap"), ("a: !!set {b}", "!!set")]
)
def test_a_tag_on_a_mapping_or_list_is_a_finding_that_names_it(text: str, tag: str) -> None:
    """It had no effect for years, so the definition is served all the same."""
    document = read_document(text)

    (finding,) = document.findings
    assert (finding.code, finding.severity) == ("CCH-D007", "error")
    assert f"tag {tag!r}" in finding.message
    assert document.problems == ()


@pytest.mark.parametrize(("text", "tag"), [("a: !customs x", "!customs"), ("a: !!binary aGk=", "!!binary")])
def test_a_tag_on_a_scalar_is_refused_by_its_name(text: str, tag: str) -> None:
    """As it was written."""
    assert [f"tag {tag!r}" in problem.message for problem in read_document(text).problems] == [True]
