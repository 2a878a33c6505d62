"""What a start must bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text

from cch.definition.catalogue import Catalogue
from cch.definition.reader import read_definition
from cch.definition.source import FolderSource
from cch.errors import RejectedMessageError
from cch.graph.checks import check
from cch.runtime.admission import CatalogueAdmission, context_problems

TEXT = definition_text(
    "E: {type: end}",
    initial_context={"a": {"type": "string", "minLength": 2}, "b": True, "c": {"type": ["integer", "null"]}},
)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"a": "xx", "b": 0, "c": 1, "more": [1.5]}, []),
        ({}, ["required key 'a' is missing", "required key 'b' is missing", "required key 'c' is missing"]),
        ({"a": None, "b": "", "c": 1}, ["required key 'a' is missing"]),
        ({"a": "x", "b": 1, "c": "z"}, ["'a': 'x' is too short", "'c': 'z' is not of type 'integer', 'null'"]),
        ({"a": "xx", "b": {"n": [2**63, 1]}, "c": 1}, ["b.n[0] is a number beyond 64 bits"]),
        ({"a": "xx", "b": -(2**63), "c": 1, "x": 2**63 - 1}, ["b is a number beyond 64 bits"]),
    ],
)
def test_everything_that_is_wrong_is_said(context: dict[str, Any], words: list[str]) -> None:
    """Missing keys, schemas of keys, and numbers that Airflow's channels cannot carry."""
    assert context_problems(read_definition(TEXT), context) == words


def test_of_thousands_of_problems_some_are_said() -> None:
    """A message of 256 KB may hold many, with names as long as it likes; the reason is stored and sent on."""
    context: dict[str, Any] = {"a": "xx", "b": 1, "c": 1, "k" * 5000: [2**64] * 5000}

    problems = context_problems(read_definition(TEXT), context)

    assert len(problems) == 20
    assert max(map(len, problems)) < 300


@pytest.fixture
def admission(tmp_path: Path) -> CatalogueAdmission:
    (tmp_path / "w.yaml").write_text(TEXT)
    (tmp_path / "bad.yaml").write_text("workflow_id: bad\nnodes: []\n")
    return CatalogueAdmission(Catalogue(FolderSource(tmp_path), tmp_path / "cache", check))


async def test_a_good_start_is_admitted(admission: CatalogueAdmission) -> None:
    """With its own context, where nothing has a default."""
    admitted = await admission.admit("w", {"a": "xx", "b": 1, "c": 2})

    assert (admitted.workflow_id, admitted.context) == ("w", {"a": "xx", "b": 1, "c": 2})


@pytest.mark.parametrize(
    ("workflow_id", "words"),
    [
        ("zz", "there is no definition of 'zz'"),
        ("bad", "the definition of 'bad' is not usable: bad.yaml:"),
        ("w", "cannot start w: required key 'a' is missing; "),
        ("../w", "there is no definition"),
        ("w\0", "there is no definition"),
        ("w" * 2000, "there is no definition"),
    ],
)
async def test_a_bad_start_is_rejected_with_the_reason(
    admission: CatalogueAdmission, workflow_id: str, words: str
) -> None:
    """The sender reads it on the queue of rejected messages."""
    with pytest.raises(RejectedMessageError) as caught:
        await admission.admit(workflow_id, {})

    assert words in caught.value.reason
