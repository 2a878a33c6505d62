"""Definition files from the paths that a person names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cch.definition.source import BY_DIGEST
from cch.errors import Problem, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: The name of what comes from stdin.
STDIN = "-"
_ENDINGS = (".yaml", ".yml")


def is_definition_path(text: str) -> bool:
    """Whether ``text`` looks like a file's name rather than a workflow's id."""
    return "/" in text or text.endswith(_ENDINGS)


def _bytes(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == STDIN else file.read_bytes()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file() or str(path) == STDIN:
        yield path
        return
    if not path.is_dir():
        raise WrongUseError(f"{path} does not exist")
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in _ENDINGS and file.is_file() and not _is_aside(file.relative_to(path))
    ]
    if not found:
        raise WrongUseError(f"there is no definition (*.yaml) in {path}")
    yield from found


def _is_aside(path: Path) -> bool:
    """Hidden, or a version that a folder source keeps for running instances."""
    return any(part.startswith(".") or f"{part}/" == BY_DIGEST for part in path.parts)


def read_files(paths: Sequence[Path]) -> tuple[dict[str, str], list[Problem]]:
    """File name → text, and the files that are not text.

    :raises WrongUseError: a path does not exist, cannot be read, or is a folder without definitions.
    """
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for file in (file for path in paths for file in _files(path)):
        try:
            # The digest names the text: line ends must not depend on the machine it was saved on.
            texts[str(file)] = _bytes(file).decode("utf-8").replace("\r\n", "\n")
        except OSError as error:
            raise WrongUseError(f"{file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            problems.append(
                Problem(
                    code="CCH-D001",
                    message=f"not UTF-8 text: byte 0x{error.object[error.start]:02x} cannot be read",
                    hint="save the file as UTF-8",
                    file=str(file),
                    line=before.count(b"\n") + 1,
                    column=error.start - (before.rfind(b"\n") + 1) + 1,
                )
            )
    return texts, problems
