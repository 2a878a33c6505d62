"""Definition files from the paths that a person names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cch.cli.project import FOLDER
from cch.definition.contract_reader import FOLDER as CONTRACTS
from cch.definition.contract_reader import Contracts, read_contracts
from cch.definition.source import BY_DIGEST
from cch.errors import Problem, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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
    if str(path) != STDIN and not path.exists():
        raise WrongUseError(f"{path} does not exist")
    if _is_of_contracts(path):
        return
    if not path.is_dir():
        yield path
        return
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in _ENDINGS and file.is_file() and not _is_aside(file.relative_to(path))
    ]
    if not found:
        raise WrongUseError(f"there is no definition (*.yaml) in {path}")
    yield from found


def _is_aside(path: Path) -> bool:
    """Hidden, or a version that a folder source keeps for running instances, or a contract."""
    parts = path.parts
    return any(part.startswith(".") or f"{part}/" == BY_DIGEST for part in parts) or CONTRACTS in parts[:-1]


def _is_of_contracts(path: Path) -> bool:
    """Whether it is the folder of contracts, or a file in it."""
    whole = path.absolute()
    return (whole.name if whole.is_dir() else whole.parent.name) == CONTRACTS


def _contract_folders(path: Path) -> list[Path]:
    """The folders of contracts that belong to definitions at a path: in their folder, else beside it."""
    if str(path) == STDIN:
        path = FOLDER
    if _is_of_contracts(path):
        return [path if path.is_dir() else path.parent]
    folder = path if path.is_dir() else path.parent
    below = folder.rglob(CONTRACTS) if path.is_dir() else [folder / CONTRACTS]
    found = sorted(each for each in below if each.is_dir() and not any(p.startswith(".") for p in each.parts[1:]))
    beside = folder.absolute().parent / CONTRACTS
    return found or ([beside] if beside.is_dir() else [])


def contracts_beside(paths: Iterable[Path]) -> Contracts:
    """The contracts in the folders ``capabilities`` of definitions, with what is wrong with them."""
    folders = dict.fromkeys(folder for path in paths for folder in _contract_folders(path))
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in _ENDINGS]
    texts, unreadable = _texts(file for file in files if file.is_file() and not file.name.startswith("."))
    found = read_contracts(texts.items())
    return Contracts(found.by_id, found.texts, (*unreadable, *found.problems))


def read_files(paths: Sequence[Path]) -> tuple[dict[str, str], list[Problem]]:
    """File name → text, and the files that are not text.

    :raises WrongUseError: a path does not exist, cannot be read, or is a folder without definitions.
    """
    return _texts(file for path in paths for file in _files(path))


def _texts(files: Iterable[Path]) -> tuple[dict[str, str], list[Problem]]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
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
