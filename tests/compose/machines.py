"""Containers without an engine: buildah with chroot isolation, each in a network namespace of its own.

Runs as root in namespaces of its own for network, mounts and processes (see ``__main__``): nothing outlives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.compose.file import Service

_PREFIX = "cch-compose-"
_NET = "10.77.0"


def sh(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def build_network(names: list[str]) -> dict[str, str]:
    """A bridge with one namespace for each container; name → address."""
    Path("/run/netns").mkdir(exist_ok=True)
    sh("mount", "-t", "tmpfs", "none", "/run/netns")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "br0", "type", "bridge")
    sh("ip", "address", "add", f"{_NET}.1/24", "dev", "br0")
    sh("ip", "link", "set", "br0", "up")
    addresses = {}
    for number, name in enumerate(names, 2):
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", f"v{number}", "master", "br0", "up")
        addresses[name] = f"{_NET}.{number}"
        inside = ("ip", "-n", name)
        sh(*inside, "address", "add", f"{addresses[name]}/24", "dev", "eth0")
        sh(*inside, "link", "set", "lo", "up")
        sh(*inside, "link", "set", "eth0", "up")
    return addresses


def clean() -> None:
    """Remove containers that an earlier run has left."""
    for container in json.loads(sh("buildah", "containers", "--json")) or []:
        if container["containername"].startswith(_PREFIX):
            sh("buildah", "rm", container["id"])


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in thread.read_text().split():
                yield from _tree(int(child))


@dataclass
class Container:
    """One container of a service."""

    name: str
    service: Service
    hosts: Mapping[str, str]
    logs: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    user: str = field(default="root", init=False)
    variables: dict[str, str] = field(default_factory=dict, init=False)
    #: What the last check said that did not pass.
    complaint: str = field(default="", init=False)

    def start(self) -> None:
        hosts = [f"--add-host={name}:{address}" for name, address in self.hosts.items()]
        sh("buildah", "from", "--pull-never", "--name", _PREFIX + self.name, *hosts, self.service.image)
        image = json.loads(sh("buildah", "inspect", "--type", "image", self.service.image))["OCIv1"]["config"]
        self.user = image.get("User") or "root"
        self.variables = {**dict(each.split("=", 1) for each in image.get("Env", ())), **self.service.environment}
        words = [*image.get("Entrypoint", ()), *(self.service.command or image.get("Cmd", ()))]
        variables = [f"--env={name}={value}" for name, value in self.service.environment.items()]
        run = [
            "buildah",
            "run",
            "--isolation",
            "chroot",
            "--hostname",
            self.name,
            *variables,
            _PREFIX + self.name,
            "--",
        ]
        with (self.logs / f"{self.name}.log").open("wb") as log:
            apart = ["ip", "netns", "exec", self.name]
            self.process = subprocess.Popen([*apart, *run, *words], stdout=log, stderr=log)

    def _inside(self) -> int | None:
        """Id of the first process whose root is the container's."""
        assert self.process is not None
        try:
            tree = _tree(self.process.pid)
            return next((pid for pid in tree if Path(f"/proc/{pid}/root").readlink() != Path("/")), None)
        except OSError:
            return None

    def run(self, *command: str, patience: float = 120) -> subprocess.CompletedProcess[str]:
        """Run something in the container, as its user and with its variables (`docker compose exec`)."""
        pid = self._inside()
        if pid is None:
            return subprocess.CompletedProcess(command, 1, "", "not running")
        enter = ["nsenter", "-t", str(pid), "-m", "-u", "-n", f"--root=/proc/{pid}/root"]
        given = [f"{name}={value}" for name, value in {"PATH": os.environ["PATH"], **self.variables}.items()]
        who = ["setpriv", f"--reuid={self.user}", "--regid=0", "--clear-groups"]
        return subprocess.run(
            ["env", "-i", *enter, "env", "--chdir=/", *given, *who, *command],
            check=False, capture_output=True, text=True, timeout=patience,
        )  # fmt: skip

    def healthy(self) -> bool:
        """Whether its check passes, if it has one."""
        if not self.service.check:
            return self.ended() is None
        try:
            answer = self.run(*self.service.check)
        except subprocess.TimeoutExpired as error:
            self.complaint = str(error)
            return False
        self.complaint = (answer.stdout + answer.stderr)[-1500:]
        return answer.returncode == 0

    def ended(self) -> int | None:
        """Its exit code after its end."""
        assert self.process is not None
        return self.process.poll()

    def kill(self) -> None:
        """`kill -9` of everything in it."""
        assert self.process is not None
        for pid in list(_tree(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def tail(self) -> str:
        return (self.logs / f"{self.name}.log").read_text("utf-8", "replace")[-3000:]
