"""Every mistake of the corpus is found, in its line; what is good is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from corpus.mistakes import MISTAKES, Mistake

from cch.definition.contract_reader import read_contracts
from cch.definition.document import read_document
from cch.graph.findings import examine

FOLDER = Path(__file__).resolve().parents[3] / "workflow-definitions"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
CONTRACTS = read_contracts((path.name, path.read_text()) for path in sorted((FOLDER / "capabilities").glob("*.yaml")))


def there(text: str, line: int, mistake: Mistake) -> bool:
    """Whether the line is one of those that are meant."""
    return any(wanted.splitlines()[0].strip() in text.splitlines()[line - 1] for wanted in mistake.line_of.split("|"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: f"{each.definition}: {each.new.strip()[:60]!r}")
def test_a_mistake_is_found_in_its_line(mistake: Mistake) -> None:
    """With one message, or few where one mistake has several consequences."""
    good = (FOLDER / f"{mistake.definition}.yaml").read_text()
    assert mistake.old in good
    text = good.replace(mistake.old, mistake.new, 1)

    problems = examine(text, "w.yaml", contracts=CONTRACTS.by_id)[1]

    found = [problem for problem in problems if problem.code in mistake.code.split("|")]
    assert any(there(text, problem.line, mistake) for problem in found), [str(problem) for problem in problems]
    assert len(problems) <= mistake.most, [str(problem) for problem in problems]


def test_the_corpus_is_large() -> None:
    """On several definitions."""
    assert len(MISTAKES) >= 100
    assert len({mistake.definition for mistake in MISTAKES}) >= 9


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_is_left_alone(path: Path) -> None:
    """No error, no warning, no advice, with contracts and without."""
    assert examine(path.read_text(), path.name)[1] == ()
    assert examine(path.read_text(), path.name, contracts=CONTRACTS.by_id)[1] == ()


def test_each_capability_of_what_is_shipped_has_a_contract() -> None:
    """And each contract is one of them, without a problem."""
    asked = {each for path in SHIPPED if (found := examine(path.read_text())[0]) for each in found.asked}

    assert CONTRACTS.problems == ()
    assert set(CONTRACTS.by_id) == asked


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_relatives_of_what_is_shipped_are_left_alone(path: Path) -> None:
    """As JSON, with nodes in another order, and with other names."""
    data = read_document(path.read_text()).data
    backwards = {**data, "nodes": dict(reversed(data["nodes"].items()))}
    renamed = yaml.safe_dump(data, sort_keys=False, allow_unicode=True).replace("Log_Failure", "Tell_Somebody")

    for text in (json.dumps(data, indent=1), json.dumps(backwards, indent=1), renamed):
        assert examine(text, path.name, contracts=CONTRACTS.by_id)[1] == ()
