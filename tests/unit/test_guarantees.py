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

    lists = re.findall(r"chaos:\s+((?:`[\w-]+`(?:,\s+)?)+)", TEXT)
    named = {name for faults in lists for name in faults.split("`")[1::2]}

    assert len(named) > 20
    assert named <= set(BY_NAME)


def test_every_promise_says_what_shows_it() -> None:
    """A test, a fault, or the honest sentence, behind each item of each list."""
    promises = re.findall(r"^- .*(?:\n  .*)*", TEXT, re.MULTILINE)
    proofs = [(promise, promise.partition("*Shown by:*")[2]) for promise in promises]

    assert len(promises) > 70
    assert [
        promise for promise, proof in proofs if not re.search(rf"\.py::|chaos:|{NOT_SHOWN}", " ".join(proof.split()))
    ] == []


def test_promises_stand_in_lists_only() -> None:
    """A promise in a table would escape the check above, and its line would be too long to read."""
    assert [line for line in TEXT.splitlines() if line.startswith("|") or len(line) > 160] == []
