"""``cch eval``: what an expression gives."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def context(office):
    path = office.home / "context.yaml"
    path.write_text("value: 1200\nlines: [{hs: 8471.30, agency: FDA}]\n_secret: 1\n")
    return path


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("value <= 2500 and $not(lines.agency)", False),
        ("{% lines.hs %}", 8471.3),
        ("$keys($$)", ["value", "lines"]),
        ("$now != ''", True),
    ],
)
def test_the_value_is_shown_as_json(cch, context, expression, wanted):
    """The context is read as definitions are; keys of the platform are not seen."""
    result = cch("eval", expression, "--context", context)

    assert (result.exit_code, json.loads(result.stdout)) == (0, wanted)


def test_names_have_the_values_of_files(office, cch):
    """As in a node that has a reply and stands in a map."""
    (office.home / "reply.json").write_text('{"score": 90}')
    (office.home / "item.json").write_text('{"limit": 80}')

    result = cch("eval", "$reply.score > $item.limit", "--reply", "reply.json", "--item", "item.json")

    assert json.loads(result.stdout) is True


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("{% value < %}", ["cannot be used: Unexpected end of expression", "          ^"]),
        ("$summ(lines)", ["did you mean $sum?", "^"]),
        ("gone.key", ["it gives nothing"]),
        ("value + 'a'", ["at character 7", '1200 + "a"']),
    ],
)
def test_what_is_wrong_is_said_with_its_place(cch, context, expression, words):
    """On stderr, with exit code 1."""
    result = cch("eval", expression, "--context", context)

    assert (result.exit_code, result.stdout) == (1, "")
    assert all(word in result.stderr for word in words), result.stderr


def test_a_file_that_is_not_there_is_wrong_use(cch):
    """As for every other command."""
    assert cch("eval", "1", "--context", "gone.json").exit_code == 2
