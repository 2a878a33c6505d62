"""Where definitions are kept: a bucket, or a folder."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cch.definition.document import MAX_BYTES
from cch.errors import DefinitionNotFoundError, ServiceUnavailableError

#: Prefix under which every published version is kept by its digest, for the instances that run it.
BY_DIGEST = "by-digest/"
#: Bytes or characters of a file that are read: more than a definition may have, so that the reader refuses it.
MOST_READ = MAX_BYTES + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceObject:
    """One file and the stamp (ETag, or time and size) by which a later read can be conditional."""

    name: str
    text: str
    stamp: str


@dataclass(frozen=True, slots=True)
class NotModified:
    """The file still has the stamp that the reader knows."""


class DefinitionSource(Protocol):
    """:raises ServiceUnavailableError: from every method, when the source cannot be reached."""

    def stamps(self) -> dict[str, str]:
        """File name → stamp of every definition."""
        ...

    def read(self, name: str, known_stamp: str = "") -> SourceObject | NotModified:
        """:raises DefinitionNotFoundError: no such file."""
        ...

    def write(self, name: str, text: str) -> None: ...

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names of all files that begin with ``prefix`` (it ends with /), also of those that are no definitions."""
        ...

    def describe(self) -> str:
        """How people call the place."""
        ...


class FolderSource:
    """A folder of YAML files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stamps(self) -> dict[str, str]:
        if not self._folder.is_dir():
            raise ServiceUnavailableError(f"definitions folder {self._folder} does not exist")
        found = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, UnicodeEncodeError):  # it has just gone; nobody can write its name
                    entry.name.encode("utf-8")
                    if entry.name.endswith((".yaml", ".yml")) and entry.is_file():
                        found[entry.name] = _stamp(entry.stat())
        return found

    def read(self, name: str, known_stamp: str = "") -> SourceObject | NotModified:
        path = self._folder / name
        try:
            stamp = _stamp(path.stat())
            if stamp == known_stamp:
                return NotModified()
            with path.open(encoding="utf-8", errors="replace") as file:
                return SourceObject(name=name, text=file.read(MOST_READ), stamp=stamp)
        except FileNotFoundError:
            raise DefinitionNotFoundError(f"there is no {name} in {self._folder}") from None
        except OSError as error:
            raise ServiceUnavailableError(f"{path} cannot be read: {error.strerror or error}") from None

    def write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def names(self, prefix: str) -> tuple[str, ...]:
        folder = self._folder / prefix
        if not folder.is_dir():
            return ()
        return tuple(sorted(f"{prefix}{path.name}" for path in folder.iterdir() if path.is_file()))

    def describe(self) -> str:
        return str(self._folder)


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"
