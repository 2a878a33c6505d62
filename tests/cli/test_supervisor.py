"""Who looks after the processes of a stack: what ends is started again, and nothing outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.patience import eventually

from cch.stack.patience import Patience
from cch.stack.processes import Processes, Service, StackError

SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
#: A parent whose child would go on for ever.
_PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('ready', flush=True)
time.sleep(600)
"""
FAMILY = [sys.executable, "-c", _PARENT]


def processes(folder: Path) -> Processes:
    return Processes(folder / "processes", folder / "logs")


def started(processes: Processes, folder: Path, name: str = "x", command: list[str] = SLEEPER) -> int:
    """The id of a service that is ready."""
    processes.log(name).unlink(missing_ok=True)
    assert processes.start(Service(name=name, command=command), {"CCH_HOME": str(folder)}, folder)
    eventually(f"{name} is ready", lambda: processes.log(name).exists() and "ready" in processes.log(name).read_text())
    pid = processes.pid(name)
    assert pid is not None
    return pid


def gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_process_is_found_again_and_stopped_with_its_children(tmp_path: Path) -> None:
    """Another program, with the same folder, knows what runs; stopping takes the whole group, and the supervisor."""
    ours, others = processes(tmp_path), processes(tmp_path)

    pid = started(ours, tmp_path, command=FAMILY)
    again = others.start(Service(name="x", command=["false"]), {}, tmp_path)
    found = others.pid("x")
    stopped = others.stop(["x", "y"])

    assert (again, found, stopped) == (False, pid, ["x"])
    assert others.pid("x") is None
    eventually("its children are gone", lambda: gone(pid))
    eventually("the supervisor's end", lambda: ours.supervisor is None)


def test_what_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    """With its children gone, and with the reason of its end for whoever asks."""
    ours = processes(tmp_path)
    first = started(ours, tmp_path, command=FAMILY)

    os.kill(first, signal.SIGKILL)
    eventually("a new process", lambda: ours.pid("x") not in (None, first))
    state = ours.state("x")
    ours.stop(["x"])

    assert state is not None
    assert (state.count, [end.reason for end in state.ends]) == (1, ["killed by SIGKILL"])
    eventually("its children are gone", lambda: gone(first))


def test_what_ends_again_and_again_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """Whoever waits for it to become ready need not wait; the supervisor tries it more and more seldom."""
    ours = processes(tmp_path)
    failing = Service(name="x", command=[sys.executable, "-c", "raise SystemExit('no port is free')"])
    ours.start(failing, {}, tmp_path)

    with pytest.raises(StackError, match=r"again and again \(exit code 1: no port is free\)"):
        Patience(pause=0.05, check=lambda: ours.check("x")).until("x is ready", lambda: None)
    stopped = ours.stop(["x"])

    assert stopped == ["x"]
    assert not ours.has("x")


def test_a_program_that_is_not_there_is_an_end_with_a_reason(tmp_path: Path) -> None:
    """Rather than the end of the supervisor."""
    ours = processes(tmp_path)

    ours.start(Service(name="x", command=["/no/such/program"]), {}, tmp_path)
    state = ours.state("x")
    ours.stop(["x"])

    assert state is not None
    assert "No such file" in state.ends[0].reason


def test_what_stands_on_others_is_stopped_first(tmp_path: Path) -> None:
    """A service of a higher stage has ended before one of a lower stage is told to end."""
    ours, order = processes(tmp_path), tmp_path / "order"
    says = (
        "import os, signal, sys, time; "
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), open({0!r}, 'a').write({1!r}), os._exit(0)));"
        "print('ready', flush=True); signal.pause()"
    )
    for stage, name in enumerate(("database", "scheduler")):
        command = [sys.executable, "-c", says.format(str(order), f"{name} ")]
        ours.start(Service(name=name, command=command, stage=stage), {}, tmp_path)
        eventually("ready", lambda name=name: ours.log(name).exists() and "ready" in ours.log(name).read_text())

    ours.stop(["database", "scheduler"])

    assert order.read_text() == "scheduler database "


OWNER = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests under nohup lets every program ignore it
from pathlib import Path
from cch.stack.processes import Processes, Service
folder = Path(sys.argv[1])
ours = Processes(folder / "processes", folder / "logs")
for name in ("x", "y"):
    ours.start(Service(name=name, command=sys.argv[3:]), {"CCH_HOME": str(folder)}, folder)
if sys.argv[2] == "keep":
    ours.keep(["x"])
print("started", flush=True)
time.sleep(600)
"""


def an_owner(folder: Path, how: str = "own") -> subprocess.Popen[str]:
    """A program that has started two services."""
    command = [sys.executable, "-c", OWNER, str(folder), how, *FAMILY]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "started\n"
    return owner


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_outlives_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    """A test, a bench or a demo may end in any way: what it has started is stopped, and so is the supervisor."""
    owner, ours = an_owner(tmp_path), processes(tmp_path)
    pids = [ours.pid("x"), ours.pid("y"), ours.supervisor]

    owner.send_signal(number)
    owner.communicate()
    eventually("nothing is left", lambda: all(gone(pid) for pid in pids if pid) and ours.supervisor is None)

    assert all(pids)
    assert not any(ours.has(name) for name in ("x", "y"))


def test_what_shall_last_outlives_whoever_started_it(tmp_path: Path) -> None:
    """`cch up` returns; the rest goes with its owner."""
    owner, ours = an_owner(tmp_path, "keep"), processes(tmp_path)

    owner.kill()
    owner.communicate()
    eventually("y is stopped", lambda: not ours.has("y"))
    lasting = ours.pid("x")
    ours.stop(["x"])

    assert lasting is not None
    eventually("its children are gone", lambda: gone(lasting))


def test_what_is_started_for_somebody_else_ends_with_him(tmp_path: Path) -> None:
    """A program that kills and starts services of a stack that it has not started leaves them there when it goes."""
    owner, ours = an_owner(tmp_path), processes(tmp_path)
    ours.start_for("x")
    ours.stop(["y"], signal.SIGKILL)
    started(ours, tmp_path, "y")

    wanted = {name: (each.owner and each.owner.pid) for name in ("x", "y") if (each := ours._files.wanted(name))}
    owner.kill()
    owner.communicate()
    eventually("nothing is left", lambda: ours.supervisor is None)

    assert wanted == {"x": owner.pid, "y": owner.pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_end_of_the_supervisor_is_the_end_of_everything(tmp_path: Path, number: signal.Signals) -> None:
    """Also if it is killed: its guard does the work then."""
    ours = processes(tmp_path)
    pid, supervisor = started(ours, tmp_path, command=FAMILY), ours.supervisor
    assert supervisor is not None

    os.kill(supervisor, number)
    eventually("nothing is left", lambda: gone(pid) and ours.supervisor is None)

    assert not ours.has("x")
    assert started(ours, tmp_path) != pid
    assert ours.stop(["x"]) == ["x"]


def test_after_both_were_killed_the_next_start_cleans_up(tmp_path: Path) -> None:
    """The supervisor and its guard at once, as a memory killer may do: then nobody is left who could."""
    ours = processes(tmp_path)
    pid, supervisor = started(ours, tmp_path, command=FAMILY), ours.supervisor
    assert supervisor is not None

    os.killpg(supervisor, signal.SIGSTOP)  # neither sees the other go
    for child in _children(supervisor):
        if child != pid:
            os.kill(child, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    eventually("both have gone", lambda: ours.supervisor is None)
    assert not gone(pid)
    started(ours, tmp_path, "y")

    eventually("its children are gone", lambda: gone(pid))
    assert ours.stop(["x", "y"]) == ["y"]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_services_of_an_older_program_are_found_and_stopped(tmp_path: Path) -> None:
    """Their files have three fields, and nobody supervises them."""
    ours = processes(tmp_path)
    process = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.DEVNULL)
    threading.Thread(target=process.wait, daemon=True).start()  # its parent asks for it, as init would
    started = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "x.json").write_text(
        f'{{"pid": {process.pid}, "started": "{started}", "stop": "SIGTERM"}}'
    )

    found = ours.pid("x")
    stopped = ours.stop(["x"])

    assert (found, stopped) == (process.pid, ["x"])
    assert process.wait() == -signal.SIGTERM


def test_what_was_wanted_before_the_machine_stopped_is_forgotten(tmp_path: Path) -> None:
    """Files of processes that have gone with the machine do not make them come back."""
    ours = processes(tmp_path)
    started(ours, tmp_path)
    wanted = (tmp_path / "processes" / "x.wanted").read_text()
    ours.stop(["x"])
    eventually("the supervisor's end", lambda: ours.supervisor is None)
    (tmp_path / "processes" / "x.wanted").write_text(wanted)

    before = ours.has("x")
    started(ours, tmp_path, "y")
    after = ours.has("x")
    ours.stop(["y"])

    assert (before, after) == (False, False)
