"""Links between the pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"))
    if "node_modules" not in page.parts
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """Not through a symbolic link either: what shows the repository on the web does not follow those."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    targets = [page.parent / link for link in links if not re.match(r"[a-z]+:", link)]

    assert [str(target) for target in targets if not target.exists()] == []
    assert [str(t) for t in targets if any(part.is_symlink() for part in (t, *t.parents) if ROOT in part.parents)] == []
