"""How Airflow learns which tasks follow: from the XCom in which its own branching operators leave their decision."""

from __future__ import annotations

from collections.abc import Iterable

#: Key under which Airflow looks for it (airflow.ti_deps.deps.not_previously_skipped_dep).
DECISION_KEY = "skipmixin_key"


def decision(followed: Iterable[str]) -> dict[str, list[str]]:
    """The value under that key. Of the tasks right after this one, Airflow skips those that it does not name."""
    return {"followed": list(followed)}
