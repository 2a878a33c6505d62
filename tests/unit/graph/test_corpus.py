"""Every mistake of the corpus is found, in its line; what is good is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from corpus.mistakes import MISTAKES, Mistake

from cch.definition.document import read_document
from cch.graph.findings import examine

FOLDER = Path(__file__).resolve().parents[3] / "workflow-definitions"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
#: Most messages about one mistake: a target that is gone takes others with it.
MOST = 4


def there(text: str, line: int, mistake: Mistake) -> bool:
    """Whether the line is one of those that are meant."""
    return any(wanted.splitlines()[0].strip() in text.splitlines()[line - 1] for wanted in mistake.line_of.split("|"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: f"{each.definition}: {each.new.strip()[:60]!r}")
def test_a_mistake_is_found_in_its_line(mistake: Mistake) -> None:
    """With one message, or few where one mistake has several consequences."""
    good = (FOLDER / f"{mistake.definition}.yaml").read_text()
    assert mistake.old in good
    text = good.replace(mistake.old, mistake.new, 1)

    problems = examine(text, "w.yaml")[1]

    found = [problem for problem in problems if problem.code in mistake.code.split("|")]
    assert any(there(text, problem.line, mistake) for problem in found), [str(problem) for problem in problems]
    assert len(problems) <= MOST, [str(problem) for problem in problems]


def test_the_corpus_is_large() -> None:
    """On several definitions."""
    assert len(MISTAKES) >= 100
    assert len({mistake.definition for mistake in MISTAKES}) >= 9


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_is_left_alone(path: Path) -> None:
    """No error, no warning, no advice."""
    assert examine(path.read_text(), path.name)[1] == ()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_relatives_of_what_is_shipped_are_left_alone(path: Path) -> None:
    """As JSON, with nodes in another order, and with other names."""
    data = read_document(path.read_text()).data
    backwards = {**data, "nodes": dict(reversed(data["nodes"].items()))}
    renamed = yaml.safe_dump(data, sort_keys=False, allow_unicode=True).replace("Log_Failure", "Tell_Somebody")

    for text in (json.dumps(data, indent=1), json.dumps(backwards, indent=1), renamed):
        assert examine(text, path.name)[1] == ()
