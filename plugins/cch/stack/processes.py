"""Processes of the stack, as the programs that start, look at and stop them see them.

A supervisor owns them (:mod:`cch.stack.supervisor`). They are stopped when the process that started them ends, however
it ends, unless it has said that they shall last.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cch.errors import CchError
from cch.stack import groups
from cch.stack.supervised import Files, Owner, State, Wanted
from cch.stack.supervisor import end_without_supervisor, is_looked_after, log_of

#: What this process has started, by folder: an ended child stays in the process table until its parent asks for it.
_supervisors: dict[Path, subprocess.Popen[bytes]] = {}
#: Ends in a row after which a service that was to become ready is given up; the supervisor goes on trying.
_TRIES = 3
_LOOK_EVERY = 0.05


class StackError(CchError):
    """The stack cannot start; says why and where the log is."""

    code = "CCH-S001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process: its name and command, what its environment has beside what all have, and how it ends.

    ``user``: the account it runs as; "": ours. ``stage``: what has a higher one is stopped first.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = "SIGTERM"
    stage: int = 0


class Processes:
    """Starts, finds and stops services."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._files = Files(folder)
        self._logs = logs
        self._ends_before: dict[str, int] = {}
        self._owner: Owner | None = Owner.ours()

    def log(self, name: str) -> Path:
        return log_of(self._logs, name)

    def state(self, name: str) -> State | None:
        """How the service stands, or None if it was not started or has been stopped."""
        return self._files.state(name)

    def pid(self, name: str) -> int | None:
        """The id of the running service, or None; also while it waits to be started again."""
        state = self.state(name)
        return state.pid if state and state.runs else None

    def has(self, name: str) -> bool:
        """Whether the service runs, or is going to be started again."""
        if self.pid(name) is not None:
            return True
        return self._files.wanted(name) is not None and is_looked_after(self._files)

    @property
    def supervisor(self) -> int | None:
        """The id of the supervisor, if there is one."""
        if not is_looked_after(self._files):
            return None
        said = self._files.lock.read_text()
        return int(said) if said else None

    def start(self, service: Service, environment: Mapping[str, str], cwd: Path) -> bool:
        """Start the service unless it runs; whether it was started. It is stopped when its owner ends: this process."""
        if self.pid(service.name) is not None:
            return False
        self._reap()
        if not is_looked_after(self._files):
            self._forget([service.name])
        wanted = Wanted(
            name=service.name, request=uuid.uuid4().hex, command=list(map(str, service.command)),
            environment={**os.environ, **environment, **service.environment}, cwd=str(cwd), user=service.user,
            stop_signal=service.stop_signal, stage=service.stage, owner=self._owner,
        )  # fmt: skip
        before = self.state(service.name)
        self._ends_before[service.name] = before.count if before else 0
        self._files.want(wanted)
        while (state := self.state(service.name)) is None or state.request != wanted.request:
            if not is_looked_after(self._files):
                self._supervise(wanted, {**os.environ, **environment})
            time.sleep(_LOOK_EVERY)
        return True

    @staticmethod
    def _reap() -> None:
        for folder, supervisor in tuple(_supervisors.items()):
            if supervisor.poll() is not None:
                del _supervisors[folder]

    def _forget(self, names: Sequence[str]) -> None:
        """What was wanted before the machine stopped, and children of these services that nobody looks after."""
        for wanted in self._files.all_wanted():
            self._files.forgo(wanted.name)
        end_without_supervisor(self._files, names)

    def _supervise(self, wanted: Wanted, environment: Mapping[str, str]) -> None:
        """Start a supervisor, unless the one that we have started is still on its way."""
        known = _supervisors.get(self._files.folder)
        if known is not None and known.poll() is None:
            return
        self._files.want(wanted)  # whoever cleaned up after the last one may have removed it
        self._logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "cch.stack.supervisor", str(self._files.folder), str(self._logs)]
        with self.log("supervisor").open("ab") as log:
            _supervisors[self._files.folder] = subprocess.Popen(  # noqa: S603
                command, env=dict(environment), cwd=wanted.cwd, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def start_for(self, name: str) -> None:
        """Let whoever owns this service own what is started from now on: it is his stack, and only borrowed."""
        if (wanted := self._files.wanted(name)) is not None:
            self._owner = wanted.owner

    def keep(self, names: Sequence[str]) -> None:
        """Let services last until somebody stops them, whoever started them."""
        for name in names:
            if (wanted := self._files.wanted(name)) is not None and wanted.owner is not None:
                self._files.want(replace(wanted, owner=None))

    def check(self, name: str) -> None:
        """:raises StackError: the service ends again and again, or was stopped; with the last lines of its log."""
        state = self.state(name)
        if state is not None and state.count - self._ends_before.get(name, 0) < _TRIES:
            return
        lines = self.log(name).read_text("utf-8", "replace").splitlines()[-12:] if self.log(name).exists() else []
        shown = "\n".join(f"    {line}" for line in lines)
        how = f"ends again and again ({state.ends[-1].reason})" if state and state.ends else "has been stopped"
        raise StackError(f"{name} {how}; the end of {self.log(name)}:\n{shown}")

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the service's whole group, if it runs."""
        pid = self.pid(name)
        if pid is not None:
            groups.send(pid, number)

    def stop(self, names: Sequence[str], number: int | None = None) -> list[str]:
        """Stop services together, and return when nothing is left of them; those that ran, or were to run again.

        ``number``: the signal to do it with, instead of each one's own.
        """
        ran = [name for name in names if self.has(name) or self._left(name)]
        for name in names:
            self._files.forgo(name)
        for name in names if number is not None else ():
            self.signal(name, number or signal.SIGTERM)
        while any(self.state(name) is not None for name in names):
            if not is_looked_after(self._files):
                end_without_supervisor(self._files, names)
            time.sleep(_LOOK_EVERY)
        supervisor = _supervisors.get(self._files.folder)
        while supervisor and supervisor.poll() is None and not any(self._files.all_wanted()):
            time.sleep(_LOOK_EVERY)  # it has nothing left to do
        return ran

    def _left(self, name: str) -> bool:
        """Whether a service that was killed has left children."""
        state = self.state(name)
        return state is not None and groups.group_of(state.pid, state.started) is not None


def interrupt_on(*numbers: signal.Signals) -> None:
    """Let signals do what Ctrl-C does, unless somebody wanted them to be ignored (nohup)."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
