"""Every promise of docs/guarantees.md names what shows it, or says that nothing does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)))
NOT_SHOWN = "not shown by a test"


def _tests(file: str) -> set[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, functions)}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file: str) -> None:
    """A promise must not rest on a test that was renamed or removed."""
    assert {test for named, test in NAMED if named == file} <= _tests(file)


def test_every_fault_that_is_named_exists() -> None:
    """Those of the chaos harness."""
    from tests.chaos.faults import BY_NAME

    named = {name for faults in re.findall(r"chaos: ((?:`[\w-]+`(?:, )?)+)", TEXT) for name in faults.split("`")[1::2]}

    assert len(named) > 20
    assert named <= set(BY_NAME)


def test_every_row_says_what_shows_it() -> None:
    """A test, a fault, or the honest sentence."""
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith("|---")]
    claims = [row for row in rows if not row.endswith("shown by |")]

    assert len(claims) > 50
    assert [row for row in claims if not re.search(rf"\.py::|chaos: |{NOT_SHOWN}", row.split(" | ")[-1])] == []
