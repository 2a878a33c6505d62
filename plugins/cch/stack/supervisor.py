"""``python -m cch.stack.supervisor <folder> <logs>``: the process that owns the services of a stack.

It starts what is wanted, starts it again when it ends, stops what is not wanted any more or whose owner has ended, and
ends with the last service. SIGTERM, SIGINT and SIGHUP stop everything. If it is killed itself, its guard, a second
process that does nothing but wait for that, stops everything.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cch.pauses import Pauses
from cch.stack.groups import group_of, kill, lives, send, started_at
from cch.stack.supervised import End, Files, Owner, State, Wanted

#: Seconds that a service has to end by itself before it is killed.
GRACE = 12.0
#: Seconds between two rounds, and between two looks whether owners live.
_ROUND, _OWNERS_EVERY = 0.1, 0.5
#: A service that ran so long (s) was well: what ends it now has nothing to do with the ends before.
_WELL = 60.0
#: Seconds until a service is started again: the first time, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


def log_of(logs: Path, name: str) -> Path:
    """The file that a service writes to."""
    return logs / f"{name}.log"


def last_line(log: Path) -> str:
    """The last line of a log that says something; ""."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def reason_of(code: int, log: Path) -> str:
    """Why a process has ended, for people. ``code``: negative for a signal."""
    try:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        how = f"killed by signal {-code}"
    said = last_line(log) if code >= 0 else ""
    return f"{how}: {said}" if said else how


@dataclass(kw_only=True)
class _Supervised:
    """One service. ``process``: None while it waits to be started again."""

    wanted: Wanted
    log: Path
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    again: float = 0.0
    state: State = field(default_factory=lambda: State(pid=0, started=""))
    pauses: Pauses = field(default_factory=lambda: Pauses(_FIRST_PAUSE, _LONGEST_PAUSE))
    stopping: float | None = None

    def spawn(self) -> None:
        """:raises OSError: the program or the account is not there."""
        wanted, account = self.wanted, self.wanted.user or None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                list(wanted.command),
                env=dict(wanted.environment),
                cwd=wanted.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account,
                group=account,
                extra_groups=[] if account else None,
            )

    def ended(self, reason: str) -> None:
        """Remember an end that nobody asked for."""
        ran = time.monotonic() - self.began
        if ran >= _WELL:
            self.pauses.reset()
        self.process, self.again = None, time.monotonic() + self.pauses.next()
        end = End(at=time.time(), reason=reason, ran=round(ran, 1))
        self.state = self._state(pid=0, count=self.state.count + 1, ends=self.state.after(end))

    def runs_as(self, process: subprocess.Popen[bytes]) -> None:
        self.state = self._state(pid=process.pid, count=self.state.count, ends=self.state.ends)

    def _state(self, **changes: object) -> State:
        pid = changes["pid"]
        started = started_at(pid) if isinstance(pid, int) else ""
        fields = {
            "stop": self.wanted.stop_signal, "stage": self.wanted.stage, "request": self.wanted.request,
            "started": started, **changes,
        }  # fmt: skip
        return State(**fields)  # type: ignore[arg-type]


class Supervisor:
    """Looks after the services of one folder."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._files = Files(folder)
        self._logs = logs
        self._services: dict[str, _Supervised] = {}
        self._dead: set[Owner] = set()
        self._looked = -_OWNERS_EVERY

    def round(self) -> bool:
        """Do what is to be done now; whether there is anything left to look after."""
        wanted = {each.name: each for each in self._files.all_wanted()}
        for name in self._orphaned(wanted):
            self._files.forgo(name)
            del wanted[name]
        for name, service in self._services.items():
            if name not in wanted and service.stopping is None:
                service.stopping = 0.0
        for name, want in wanted.items():
            self._take(name, want)
        for name, service in tuple(self._services.items()):
            self._look(name, service)
        return bool(self._services)

    def end(self) -> None:
        """Stop everything, and return when nothing of it is left."""
        for wanted in self._files.all_wanted():
            self._files.forgo(wanted.name)
        while self.round():
            time.sleep(_ROUND)

    def _orphaned(self, wanted: dict[str, Wanted]) -> list[str]:
        if time.monotonic() - self._looked >= _OWNERS_EVERY:
            self._looked = time.monotonic()
            self._dead = {owner for each in wanted.values() if (owner := each.owner) and not owner.lives}
        return [name for name, each in wanted.items() if each.owner in self._dead]

    def _take(self, name: str, wanted: Wanted) -> None:
        known = self._services.get(name)
        if known is None:
            self._services[name] = _Supervised(wanted=wanted, log=log_of(self._logs, name))
        elif known.stopping is None:
            anew, known.wanted = known.wanted.request != wanted.request, wanted
            if anew and known.process is None:  # somebody does not want to wait for the pause to be over
                known.again = 0.0
                known.pauses.reset()
            elif anew and known.process is not None:  # the pause was over in the same moment
                known.runs_as(known.process)
                self._files.report(name, known.state)

    def _look(self, name: str, service: _Supervised) -> None:
        code = service.process.poll() if service.process else None
        if service.stopping is not None:
            self._stop(name, service)
        elif service.process is not None and code is not None:
            kill(service.process.pid)  # what it leaves behind would hold its ports
            self._report_end(name, service, reason_of(code, service.log))
        elif service.process is None and time.monotonic() >= service.again:
            self._start(name, service)

    def _start(self, name: str, service: _Supervised) -> None:
        try:
            service.spawn()
        except (OSError, LookupError) as error:
            self._report_end(name, service, str(error))
        else:
            assert service.process is not None
            service.runs_as(service.process)
            self._files.report(name, service.state)

    def _report_end(self, name: str, service: _Supervised, reason: str) -> None:
        service.ended(reason)
        self._files.report(name, service.state)
        print(f"{name} has ended after {service.state.ends[-1].ran:g} s: {reason}", flush=True)  # noqa: T201

    def _stop(self, name: str, service: _Supervised) -> None:
        """Airflow first, so that nothing looks for its database or for AWS while it goes."""
        if any(other.stopping is not None and other.wanted.stage > service.wanted.stage
               for other in self._services.values()):  # fmt: skip
            return
        if service.process is None or not lives(service.process.pid):
            self._files.drop(name)
            del self._services[name]
        elif not service.stopping:
            service.stopping = time.monotonic()
            send(service.process.pid, signal.Signals[service.wanted.stop_signal])
        elif time.monotonic() - service.stopping > GRACE:
            kill(service.process.pid)


def end_without_supervisor(files: Files, names: Collection[str]) -> None:
    """End what is left of these services, which nobody looks after any more."""
    states = {name: state for name, state in files.states().items() if name in names}
    for stage in sorted({state.stage for state in states.values()}, reverse=True):
        names = [name for name, state in states.items() if state.stage == stage]
        _end({name: states[name] for name in names})
        for name in names:
            files.drop(name)


def _end(states: dict[str, State]) -> None:
    groups = {name: group for name, state in states.items() if (group := group_of(state.pid, state.started))}
    for name, group in groups.items():
        send(group, signal.Signals[states[name].stop])
    until = time.monotonic() + GRACE
    while time.monotonic() < until and any(map(lives, groups.values())):
        time.sleep(_ROUND)
    for group in groups.values():
        kill(group)


class Guard:
    """The second process: it sees that the supervisor has gone by the end of a pipe."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._pid, self._pipe = 0, -1

    def renew(self) -> None:
        """Start it, if there is none or it has been killed."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            return
        if self._pipe >= 0:
            os.close(self._pipe)
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(reading)
            self._pipe = writing
            return
        os.close(writing)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.setsid()  # what is sent to the supervisor's group is not meant for it
        os.read(reading, 1)
        for wanted in self._files.all_wanted():
            self._files.forgo(wanted.name)
        end_without_supervisor(self._files, _supervised(self._files))
        os._exit(0)


def _supervised(files: Files) -> list[str]:
    """Services that a supervisor has started; those of an older program run on until somebody stops them."""
    return [name for name, state in files.states().items() if state.request]


def _locked(files: Files, how: int = fcntl.LOCK_EX) -> IO[str] | None:
    """The lock of the folder, or None if a supervisor, or the guard of one, has it."""
    files.folder.mkdir(parents=True, exist_ok=True)
    lock = files.lock.open("a+")
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def is_looked_after(files: Files) -> bool:
    """Whether there is a supervisor, or the guard of one that still cleans up."""
    if not files.lock.exists():
        return False
    lock = _locked(files, fcntl.LOCK_SH)  # those who look do not hinder each other
    if lock is not None:
        lock.close()
    return lock is None


def main(folder: Path, logs: Path) -> None:
    """Look after the services until there are none."""
    files = Files(folder)
    until = time.monotonic() + 2.0  # somebody may hold it for the moment that looking takes
    while (lock := _locked(files)) is None:
        if time.monotonic() > until:
            return
        time.sleep(_ROUND)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: told.append(number))
    end_without_supervisor(files, _supervised(files))  # of one that was killed together with its guard
    supervisor, guard = Supervisor(folder, logs), Guard(files)
    guard.renew()
    while supervisor.round() and not told:
        guard.renew()
        time.sleep(_ROUND)
    supervisor.end()
    lock.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
