"""Processes of the stack that nobody looks after: a killed service's children that live on."""

from __future__ import annotations

import os
from pathlib import Path

from cch.stack.local import LocalStack


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def _belongs_to(pid: int, owners: set[int]) -> bool:
    while pid > 1:
        if pid in owners:
            return True
        pid = _parent(pid)
    return False


def leaked(stack: LocalStack) -> list[str]:
    """``pid command`` of each process with the stack's environment that nothing of the stack looks after."""
    mark = f"CCH_HOME={stack.layout.home}".encode()
    heads = (stack.processes.supervisor, *map(stack.processes.pid, stack.topology.services))
    owners = {os.getpid(), *(pid for pid in heads if pid)}
    # Whoever runs the harness may have set the same folder.
    ours: set[int] = set()
    pid = os.getpid()
    while pid > 1:
        ours.add(pid)
        pid = _parent(pid)
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in ours:
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100]
        except OSError:
            continue
        pid = int(folder.name)
        if mark in environment and _state(pid) != "Z" and not _belongs_to(pid, owners):
            found.append(f"{pid} {command.strip()}")
    return found
