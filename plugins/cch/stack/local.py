"""Starts the local stack and knows when it is ready."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from cch.stack import groups, postgresql, programs, redis
from cch.stack.layout import USER, Layout, environment, open_layout
from cch.stack.patience import Patience, StandstillError
from cch.stack.processes import Processes, Service, StackError
from cch.stack.services import service
from cch.stack.topology import LOCAL, Topology

#: The services of the usual topology.
AIRFLOW_SERVICES = LOCAL.airflow
SERVICES = LOCAL.services
#: What a process computes (s) is a sign that it gets on: one that starts needs 5 to 10, one that idles less than one in
#: five minutes.
_WORK = 5.0

Say = Callable[[str], None]


def processes(layout: Layout) -> Processes:
    return Processes(layout.home / "processes", layout.logs)


def _answers(url: str, *, errors_too: bool = False) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return errors_too
    except (OSError, ValueError):
        return False


class LocalStack:
    """The stack of one checkout. Start as often as you like: what runs is reused."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.processes = processes(layout)
        self._announced: set[str] = set()

    @classmethod
    def open(cls, topology: Topology | None = None) -> LocalStack:
        """The stack that runs, or one about to start, with free ports.

        :raises StackError: what runs has another topology than the one that is wanted.
        """
        stack = cls(open_layout())
        if not stack.running():
            return cls(open_layout(choose=True, topology=topology))
        if topology not in (None, stack.layout.topology):
            raise StackError("the stack runs with another topology or stand-in for AWS: stop it first (`cch down`)")
        return stack

    @property
    def topology(self) -> Topology:
        return self.layout.topology

    def running(self) -> list[str]:
        """Services that run, or are about to be started again."""
        return [name for name in self.topology.services if self.processes.has(name)]

    def environment(self) -> dict[str, str]:
        return environment(self.layout)

    def start(self, say: Say, names: Sequence[str] = (), *, samples: bool = False) -> None:
        """Start what does not run, and return when all of it is ready; one start of a stack at a time.

        ``names``: only these services; the servers that they stand on are started with them.
        ``samples``: publish the sample definitions if AWS's stand-in is empty, because it has just been started.

        :raises StackError: something cannot start.
        """
        with self._alone(say):
            if self.running():
                self.layout = open_layout()  # somebody else's start was faster than this one: its ports count
            elif self.topology.database == "sqlite" and (reason := programs.missing()):
                say(f"database: SQLite, which is slow when much happens at once. {reason}")
            names = names or self.topology.services
            self.layout.save()
            for name in names:
                if name not in self.running():
                    self._check_port(name)
            empty = self._start("aws", say)
            self._wait_for("aws", lambda: _answers(f"{self.layout.aws_url}/cch/calls"))
            self._provision()
            if empty and samples:
                self._publish_samples(say)
            if "mock" in names:
                self._start("mock", say)
            if set(names) - {"aws", "mock"}:
                self._start_airflow(say, [name for name in self.topology.airflow if name in names])
            if "mock" in names:
                self._wait_for("mock", lambda: _answers(f"{self.layout.mock_url}/health"))

    @contextlib.contextmanager
    def _alone(self, say: Say) -> Iterator[None]:
        """Two starts at the same time would take the same ports."""
        self.layout.home.mkdir(parents=True, exist_ok=True)
        with (self.layout.home / "start.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("this stack is being started by another program: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _check_port(self, name: str) -> None:
        port = {"api-server": "airflow"}.get(name, name)
        port = port if port in ("aws", "mock", "airflow") else ""
        if port and _answers(f"http://127.0.0.1:{self.layout.ports[port]}/", errors_too=True):
            raise StackError(
                f"port {self.layout.ports[port]}, which {name} of this stack uses, is taken by another program:"
                " stop it, or stop the rest of the stack (`cch down`) so that a free port can be chosen"
            )

    def _service(self, name: str) -> Service:
        return service(self.layout, name)

    def _start(self, name: str, say: Say) -> bool:
        started = self.processes.start(self._service(name), self.environment(), self.layout.root)
        if started or name not in self._announced:
            say(f"{name}: {'started' if started else 'running already'}")
        self._announced.add(name)
        return started

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        """:raises StackError: the service ends again and again, or does nothing any more."""
        patience = Patience(signs=lambda: self.signs(name), pause=0.2, check=lambda: self.processes.check(name))
        try:
            patience.until(f"{name} is not ready (log: {self.processes.log(name)})", ready)
        except StandstillError as error:
            raise StackError(str(error)) from None

    def signs(self, name: str) -> dict[str, object]:
        """What moves while a service gets on."""
        pid, log = self.processes.pid(name), self.processes.log(name)
        return {
            f"process of {name}": pid,
            f"seconds computed by {name}": groups.computed(pid) // _WORK * _WORK,
            f"bytes in {log}": log.stat().st_size if log.exists() else 0,
        }

    def _provision(self) -> None:
        """Create the resources, in a process of its own: it must not leave AWS settings in this one."""
        samples = str(self.layout.root / "sample-data")
        self._run([sys.executable, "-m", "cch.aws.provision", "--sample-data", samples], "resources")

    def _publish_samples(self, say: Say) -> None:
        """As good as it goes: a sample that somebody is editing must not keep the stack from starting."""
        try:
            self._run([str(Path(sys.executable).with_name("cch")), "publish"], "cch publish")
        except StackError as error:
            say(str(error))
        else:
            say("definitions: samples published")

    def _run(self, command: list[str], what: str) -> None:
        answer = subprocess.run(  # noqa: S603
            command, env={**os.environ, **self.environment()}, cwd=self.layout.root, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if answer.returncode:
            raise StackError(f"{what}: {(answer.stderr or answer.stdout).strip()[-2000:]}")

    def _start_airflow(self, say: Say, names: Sequence[str]) -> None:
        """Schedulers and workers come when the API server answers: their tasks talk to it."""
        self._start_servers(say)
        self._prepare_database(say)
        late = [name for name in names if name.startswith(("scheduler", "worker"))] if "api-server" in names else []
        for name in names:
            if name not in late:
                self._start(name, say)
        if "api-server" in names:
            if not self._airflow_answers():
                say("waiting for Airflow to answer")
            self._wait_for("api-server", self._airflow_answers)
        for name in late:
            self._start(name, say)
        for name in names:
            self.processes.check(name)

    def _airflow_answers(self) -> bool:
        return _answers(f"{self.layout.ui_url}/api/v2/monitor/health")

    def _start_servers(self, say: Say) -> None:
        if "postgresql" in self.topology.servers:
            postgresql.prepare(self.layout)
            self._start("postgresql", say)
            self._wait_for("postgresql", lambda: postgresql.answers(self.layout))
        if "redis" in self.topology.servers:
            self._start("redis", say)
            self._wait_for("redis", lambda: redis.answers(self.layout))

    def _prepare_database(self, say: Say) -> None:
        layout = self.layout
        layout.airflow_home.mkdir(parents=True, exist_ok=True)
        passwords = layout.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: self.password}))
        passwords.chmod(0o600)
        if self.topology.database == "sqlite":
            if not layout.database.exists():
                say("database: creating")
                self.make_file(layout.database)
        elif postgresql.is_new(layout):
            say("database: creating")
            postgresql.create_database(layout)
            self._migrate()
            postgresql.migrated(layout)

    def make_file(self, database: Path) -> None:
        """Make an Airflow database in a file of SQLite."""
        fresh = database.with_name(f"new-{database.name}")
        fresh.unlink(missing_ok=True)
        self._migrate(fresh)
        fresh.rename(database)

    def _migrate(self, database: Path | None = None) -> None:
        """Create the tables of an Airflow database: of a file of SQLite, or of the stack's own."""
        variables = {**os.environ, **environment(self.layout, database=database)}
        airflow = str(Path(sys.executable).with_name("airflow"))
        answer = subprocess.run([airflow, "db", "migrate"], env=variables, capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode:
            raise StackError(f"database: {answer.stderr.strip()[-2000:]}")

    @property
    def password(self) -> str:
        return self.layout.secrets()["password"]

    def keep(self) -> None:
        """Let what runs go on after this process has ended, until it is stopped."""
        self.processes.keep(self.topology.services)

    def stop(self, keep: Collection[str] = ()) -> list[str]:
        """Stop everything but ``keep``; those that ran."""
        return self.processes.stop([name for name in reversed(self.topology.services) if name not in keep])
