"""Files of the cache: many processes write them at once, each is put in place whole, and all can be lost."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def write_file(path: Path, text: str) -> None:
    """Put a file in place whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:  # a digest tells the ends of lines apart
            file.write(text)
        os.replace(name, path)  # noqa: PTH105 - Path.replace would do the same
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - as above
        raise


def try_to_write_file(path: Path, text: str) -> None:
    """As :func:`write_file`, for what is only found sooner because of the cache: the disk may be full."""
    try:
        write_file(path, text)
    except OSError as error:
        log.warning("the cache of definitions cannot be written: %s", error)


def read_file(path: Path) -> str | None:
    """A file's text; None if it is not there, was damaged, or cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, ValueError):
        return None


def read_json(path: Path, *keys: str) -> dict[str, Any] | None:
    """A JSON object with these keys; None if it is not there or was damaged."""
    try:
        value = json.loads(read_file(path) or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) and all(key in value for key in keys) else None
