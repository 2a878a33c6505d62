"""Files of the cache: many processes write them at once, each is put in place whole, and all can be lost."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_file(path: Path, text: str) -> None:
    """Put a file in place whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(name, path)  # noqa: PTH105 - Path.replace would do the same


def read_file(path: Path) -> str | None:
    """A file's text; None if it is not there or was damaged."""
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None


def read_json(path: Path, *keys: str) -> dict[str, Any] | None:
    """A JSON object with these keys; None if it is not there or was damaged."""
    try:
        value = json.loads(read_file(path) or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) and all(key in value for key in keys) else None
