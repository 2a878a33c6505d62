"""Processes of the stack: each in a group of its own, remembered by id and start time so that only ours is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cch.errors import CchError

#: Seconds that a process has to end by itself before it is killed.
_GRACE = 12.0


class StackError(CchError):
    """The stack cannot start; says why and where the log is."""

    code = "CCH-S001"


def _started_at(pid: int) -> str:
    """The kernel's start time of a process, by which a reused id is told apart; "" if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        pass
    else:
        return "" if fields[0] in "ZX" else fields[19]
    # Not Linux: ask ps.
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return answer.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process: its name and command, what its environment has beside what all have, and how it ends.

    ``user``: the account it runs as; "": ours.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = "SIGTERM"


class Processes:
    """Starts, finds and stops services; state is one small file each."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _known(self, name: str) -> tuple[int, str, str] | None:
        """Process id, start time and stop signal of the service as it was last started."""
        try:
            known = json.loads(self._file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return int(known["pid"]), str(known["started"]), str(known.get("stop", "SIGTERM"))

    def pid(self, name: str) -> int | None:
        """The id of the running service, or None."""
        _reap()
        known = self._known(name)
        return known[0] if known and known[1] and _started_at(known[0]) == known[1] else None

    def _group(self, name: str) -> int | None:
        """The service's process group while anything in it lives: a service that was killed leaves its children."""
        if (pid := self.pid(name)) is not None:
            return pid
        known = self._known(name)
        # No process gets this id while the group lives; a process that has it now belongs to somebody else.
        if known is None or _started_at(known[0]) or not _group_lives(known[0]):
            return None
        return known[0]

    def start(self, service: Service, environment: Mapping[str, str], cwd: Path) -> bool:
        """Start the service unless it runs; whether it was started."""
        if self.pid(service.name) is not None:
            return False
        if (orphans := self._group(service.name)) is not None:
            _signal_group(orphans, signal.SIGKILL)  # they would hold its ports
        self._folder.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(service.name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                list(service.command),
                env={**os.environ, **environment, **service.environment},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=service.user or None,
                group=service.user or None,
                extra_groups=[] if service.user else None,
            )
        _children[process.pid] = process
        state = {"pid": process.pid, "started": _started_at(process.pid), "stop": service.stop_signal}
        self._file(service.name).write_text(json.dumps(state))
        return True

    def check(self, name: str) -> None:
        """:raises StackError: the service has ended; with the last lines of its log."""
        if self.pid(name) is None:
            lines = self.log(name).read_text("utf-8", "replace").splitlines()[-12:] if self.log(name).exists() else []
            shown = "\n".join(f"    {line}" for line in lines)
            raise StackError(f"{name} ended right after its start; the end of {self.log(name)}:\n{shown}")

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the service's whole group, if it runs."""
        pid = self.pid(name)
        if pid is not None:
            _signal_group(pid, number)

    def stop(self, names: Sequence[str]) -> list[str]:
        """Stop services together, and what is left of those that were killed; those that ran."""
        running = {name: group for name in names if (group := self._group(name)) is not None}
        for name, group in running.items():
            known = self._known(name)
            _signal_group(group, signal.Signals[known[2] if known else "SIGTERM"])
        until = time.monotonic() + _GRACE
        while time.monotonic() < until and any(map(_group_lives, running.values())):
            _reap()
            time.sleep(0.1)
        for group in running.values():
            _signal_group(group, signal.SIGKILL)
        _reap()
        for name in names:
            self._file(name).unlink(missing_ok=True)
        return list(running)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


#: What this process started: an ended child stays in the process table until its parent has asked for it.
_children: dict[int, subprocess.Popen[bytes]] = {}


def _reap() -> None:
    for pid, child in tuple(_children.items()):
        if child.poll() is not None:
            del _children[pid]
