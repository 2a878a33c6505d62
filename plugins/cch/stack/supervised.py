"""What the supervisor and the programs that use it tell each other: small files, one a service and direction.

``<name>.wanted`` says that a service shall run, and how; whoever removes it wants it stopped. ``<name>.json`` says how
it stands; only the supervisor writes it. Files of an older program have fewer fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cch.stack.groups import runs, started_at

#: Ends of a service that are remembered.
_REMEMBERED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process at whose end the services that it started are stopped."""

    pid: int
    started: str

    @classmethod
    def ours(cls) -> Owner:
        return cls(pid=os.getpid(), started=started_at(os.getpid()))

    @property
    def lives(self) -> bool:
        return runs(self.pid, self.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A service that shall run. ``request`` tells one start from the next.

    ``owner``: None if it lasts until somebody stops it. ``stage``: higher ones are stopped first.
    """

    name: str
    request: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: str
    user: str = ""
    stop_signal: str = "SIGTERM"
    stage: int = 0
    owner: Owner | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An end that nobody asked for. ``at``: seconds since 1970; ``ran``: seconds since its start."""

    at: float
    reason: str
    ran: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a service stands. ``pid`` is 0 while it waits to be started again; ``count`` counts all of its ends."""

    pid: int
    started: str
    stop: str = "SIGTERM"
    request: str = ""
    stage: int = 0
    count: int = 0
    ends: Sequence[End] = field(default=())

    @property
    def runs(self) -> bool:
        return runs(self.pid, self.started)

    def after(self, end: End) -> Sequence[End]:
        """Its ends with one more."""
        return (*self.ends, end)[-_REMEMBERED:]


class Files:
    """The folder with the files of one stack; what is being written is never half read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def lock(self) -> Path:
        """Held as long as a supervisor looks after this folder."""
        return self.folder / "supervisor.lock"

    def _wanted(self, name: str) -> Path:
        return self.folder / f"{name}.wanted"

    def _state(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def want(self, wanted: Wanted) -> None:
        """Say that a service shall run. The file has the whole environment, so nobody else may read it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self._wanted(wanted.name), asdict(wanted))

    def forgo(self, name: str) -> None:
        """Say that it shall not."""
        self._wanted(name).unlink(missing_ok=True)

    def wanted(self, name: str) -> Wanted | None:
        found = _read(self._wanted(name))
        if found is None:
            return None
        owner = found.pop("owner", None)
        return Wanted(**found, owner=Owner(**owner) if owner else None)

    def all_wanted(self) -> Iterator[Wanted]:
        for path in sorted(self.folder.glob("*.wanted")):
            if (wanted := self.wanted(path.stem)) is not None:
                yield wanted

    def report(self, name: str, state: State) -> None:
        _write(self._state(name), asdict(state))

    def drop(self, name: str) -> None:
        self._state(name).unlink(missing_ok=True)

    def state(self, name: str) -> State | None:
        found = _read(self._state(name))
        if found is None:
            return None
        ends = tuple(End(**end) for end in found.pop("ends", ()))
        return State(**{**found, "pid": int(found["pid"])}, ends=ends)

    def states(self) -> dict[str, State]:
        """By name, of all services that have one."""
        names = [path.stem for path in sorted(self.folder.glob("*.json"))]
        return {name: state for name in names if (state := self.state(name)) is not None}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found
