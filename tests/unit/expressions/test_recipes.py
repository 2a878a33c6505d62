"""Every recipe of the documents gives what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cch.definition.document import read_document
from cch.expressions.expression import expression_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
RECIPES = re.findall(r"^## ([^\n]+)\n\n```yaml\n(.*?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
NAMES: dict[str, Any] = {
    "now": "2026-01-05T08:00:00Z",
    "error": {"code": "TIMEOUT", "message": "no reply from import#enrichment", "node": "Enrich"},
}


@pytest.mark.parametrize("recipe", [text for _, text in RECIPES], ids=[title for title, _ in RECIPES])
def test_a_recipe_gives_what_it_says(recipe: str) -> None:
    """As definitions are read, and as nodes evaluate it."""
    data = read_document(recipe).data
    expression = expression_of(data["expression"])
    assert expression is not None
    expression.check()

    assert json.dumps(expression.value(data["context"], NAMES)) == json.dumps(data["gives"])


def test_there_are_twenty() -> None:
    """At least."""
    assert len(RECIPES) >= 20
