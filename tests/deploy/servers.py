"""PostgreSQL and Redis from the system's packages, each a process of its own on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cch.stack.patience import Patience


def program(name: str) -> str:
    """Its path; the test is skipped where it is not installed."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install postgresql redis-server)")
    return found


def wait_until(what: str, ready: Callable[[], bool]) -> None:
    """However long it takes until nothing has happened for four minutes."""
    Patience(pause=0.2).until(what, ready)


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[None]:
    """A process until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def postgres(port: int, *, user: str = "airflow", host: str = "127.0.0.1") -> Iterator[None]:
    """A server with an empty database ``airflow``; trusts everybody on this machine."""
    # PostgreSQL does not run as root.
    who: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="cch-postgres-") as name:
        folder = Path(name)
        if who:
            shutil.chown(folder, **who)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": "/"}
        subprocess.check_call([program("initdb"), "-D", name, "-A", "trust", "-U", user, "--no-sync"], **quiet, **who)
        options = ["-c", f"listen_addresses={host}", "-c", "fsync=off", "-c", "max_connections=300"]
        with running([program("postgres"), "-D", name, "-p", str(port), "-k", name, *options], cwd="/", **who):
            asked = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until("PostgreSQL", lambda: subprocess.run(asked, check=False).returncode == 0)
            subprocess.check_call(
                [program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", user, "airflow"], **quiet
            )
            yield


@contextlib.contextmanager
def redis(port: int) -> Iterator[None]:
    """A server that keeps nothing on disk."""
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    with running(command):
        asked = [program("redis-cli"), "-p", str(port), "ping"]
        wait_until("Redis", lambda: b"PONG" in subprocess.run(asked, check=False, capture_output=True).stdout)
        yield
