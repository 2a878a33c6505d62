"""A Redis server of the stack's own, from Debian's package: Celery's broker."""

from __future__ import annotations

import contextlib
import shutil
import socket

from cch.stack.layout import Layout
from cch.stack.processes import Service, StackError


def missing() -> str:
    """Why there can be no server, or ""."""
    return (
        ""
        if shutil.which("redis-server")
        else "redis-server is not installed: on Debian `apt-get install redis-server`"
    )


def service(layout: Layout) -> Service:
    """The server; what Celery has queued is gone when it stops.

    :raises StackError: Redis is not installed.
    """
    if reason := missing():
        raise StackError(reason)
    folder = layout.home / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    password = layout.secrets()["redis"]
    settings.write_text(
        f"bind 127.0.0.1\nport {layout.ports['redis']}\ndir {folder}\nsave ''\nrequirepass {password}\n"
    )
    return Service(name="redis", command=["redis-server", str(settings)], stage=1)


def answers(layout: Layout) -> bool:
    """Whether the server takes connections."""
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", layout.ports["redis"])) == 0
