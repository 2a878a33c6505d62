"""Lambda functions of the local stack, in each runtime."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from cch.testing import lambda_functions
from cch.testing.lambda_functions import Function

FUNCTIONS = Path(__file__).parents[3] / "lambda-functions"
needs_node = pytest.mark.skipif(which("node") is None, reason="there is no Node.js on this machine")


def invoke(folder: Path, context: dict[str, Any]) -> tuple[Any, bool]:
    function = Function.at(folder)
    assert function is not None
    return function.invoke(json.dumps({"context": context}).encode())


def python(folder: Path, body: str) -> Path:
    (folder / "handler.py").write_text(f"def handler(event, context):\n    {body}\n")
    return folder


@needs_node
def test_a_function_on_node() -> None:
    """B1 classifies each line, unknown goods too."""
    lines = [{"line": 1, "goods": "shoes"}, {"line": 2, "goods": "umbrellas"}]

    classified = [{**lines[0], "chapter": 64}, {**lines[1], "chapter": 99}]
    assert invoke(FUNCTIONS / "orchestra-b1", {"prepared": lines}) == ({"classified": classified}, True)


def test_a_function_on_python() -> None:
    """B3 estimates the duty."""
    answer, good = invoke(FUNCTIONS / "orchestra-b3", {"prepared": [{}, {}]})

    assert (answer["duty_estimate"]["lines"], good) == (2, True)


def test_a_function_in_a_container() -> None:
    """Of C's image, the handler runs that its CMD names; what a branch did not leave is null."""
    assert invoke(FUNCTIONS / "orchestra-c", {"classified": [], "screening_uri": "s3://b/k"}) == (
        {"summary": {"classified": [], "screening_uri": "s3://b/k", "duty_estimate": None}},
        True,
    )


def test_what_it_prints_is_not_its_answer(tmp_path: Path) -> None:
    """The answer takes a way of its own."""
    assert invoke(python(tmp_path, 'print("{}"); return {"a": "ü"}'), {}) == ({"a": "ü"}, True)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("raise KeyError('bill')", "KeyError", "'bill'"),
        ("return {1, 2}", "TypeError", "not JSON serializable"),
        ("import os; os._exit(3)", "Runtime.ExitError", "status 3"),
    ],
)
def test_a_function_that_fails(tmp_path: Path, body: str, kind: str, message: str) -> None:
    """Its failure is described as Lambda does it."""
    told, good = invoke(python(tmp_path, body), {})

    assert (told["errorType"], good) == (kind, False)
    assert message in told["errorMessage"]


@needs_node
def test_a_function_on_node_that_fails(tmp_path: Path) -> None:
    """A rejected promise is a failure with its name and message."""
    (tmp_path / "index.mjs").write_text('export async function handler() { throw new RangeError("too many lines"); }')

    told, good = invoke(tmp_path, {})

    assert (told["errorType"], told["errorMessage"], good) == ("RangeError", "too many lines", False)


def test_a_function_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is limited."""
    monkeypatch.setattr(lambda_functions, "TIMEOUT", 0.3)

    told, good = invoke(python(tmp_path, "import time; time.sleep(60)"), {})

    assert (told["errorType"], good) == ("Sandbox.Timedout", False)


def test_a_runtime_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Node.js says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "index.mjs").write_text("export const handler = () => ({});")

    told, good = invoke(tmp_path, {})

    assert (told["errorMessage"], good) == ("node cannot be run: No such file or directory", False)


def test_a_folder_without_a_function(tmp_path: Path) -> None:
    """It is no function."""
    assert Function.at(tmp_path) is None
