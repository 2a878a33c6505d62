"""Process groups of this machine: whether they live, and how they are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil


def started_at(pid: int) -> str:
    """The kernel's start time of a process, by which a reused id is recognised; "" if it does not run."""
    if pid <= 0:
        return ""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    else:
        return "" if fields[0] in "ZX" else fields[19]
    # Not Linux: ask ps.
    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def runs(pid: int, started: str) -> bool:
    """Whether the process of that id is still the one that started then."""
    return bool(started) and started_at(pid) == started


def group_of(pid: int, started: str) -> int | None:
    """The group that a service leads while anything in it lives: one that was killed leaves its children."""
    if runs(pid, started):
        return pid
    # No process gets this id while the group lives; a process that has it now belongs to somebody else.
    return pid if pid > 0 and not started_at(pid) and lives(pid) else None


def send(group: int, number: int) -> None:
    """Send a signal to all of a group that still lives."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill(group: int) -> None:
    send(group, signal.SIGKILL)


def lives(group: int) -> bool:
    """Whether a group has a process, one that has ended and was not asked for included."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of which only a zombie is left
        return False
    return True


def computed(pid: int | None) -> float:
    """Seconds that a process and its children have computed."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        head = psutil.Process(pid) if pid else None
        for process in (head, *head.children(recursive=True)) if head else ():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
    return total
