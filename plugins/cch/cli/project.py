"""What the commands about definitions take for granted. Loads nothing, because the command line starts with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

#: Where definitions are, seen from the project's folder.
FOLDER = Path("workflow-definitions")


class Form(StrEnum):
    """How ``cch graph`` shows a definition."""

    MERMAID = "mermaid"
    JSON = "json"
    TASKS = "tasks"
