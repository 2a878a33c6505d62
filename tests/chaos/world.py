"""The stack under test, as the harness acts on it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shutil import which
from typing import Any

from cch.pauses import Pauses
from cch.stack.health import Ends
from cch.stack.local import LocalStack
from cch.stack.processes import Service, StackError
from cch.testing.aws_faults import OBSERVER

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = Path(__file__).parent / "definitions"
#: The mock's file of what has taken effect, below the stack's home.
EFFECTS = "effects.jsonl"
#: How often everything is started before it is given up; each start itself waits as long as something moves.
_TRIES = 20


class ChaosStack(LocalStack):
    """A stack one of whose triggerers has a clock that can be set while it runs (``clock.c``)."""

    @property
    def wrong(self) -> str:
        """The service whose clock can be set."""
        return next(name for name in self.topology.airflow if name.startswith("triggerer"))

    def set_clock(self, seconds: int) -> None:
        """Let that clock differ from the real one by so much."""
        with (self.layout.home / "clock").open("r+b") as file:  # the same file: processes have mapped it
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def _service(self, name: str) -> Service:
        service = super()._service(name)
        if name != self.wrong or (compiler := which("cc")) is None:
            return service
        library, clock = self.layout.home / "clock.so", self.layout.home / "clock"
        if not library.exists():
            clock.write_bytes(bytes(8))
            source = str(Path(__file__).with_name("clock.c"))
            subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), source], check=True)
        faked = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(clock)}
        return replace(service, environment={**service.environment, **faked})


@dataclass(kw_only=True)
class World:
    """``hold``: how long a fault lasts (s)."""

    stack: LocalStack
    hold: float
    random: random.Random
    say: Callable[[str], None]

    @cached_property
    def ends(self) -> Ends:
        return Ends(self.stack)

    @property
    def environment(self) -> dict[str, str]:
        """Of programs that look on: faults of AWS do not meet them."""
        return {**os.environ, **self.stack.environment(), "AWS_ACCESS_KEY_ID": OBSERVER}

    @property
    def effects(self) -> Path:
        return self.stack.layout.home / EFFECTS

    def cch(self, *arguments: str) -> None:
        command = [str(Path(sys.executable).with_name("cch")), *arguments]
        subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=True)

    def try_cch(self, *arguments: str) -> str:
        """Like :meth:`cch`, beside a fault that may hinder it; what it printed."""
        command = [str(Path(sys.executable).with_name("cch")), *arguments]
        answer = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if answer.returncode:
            self.say(f"cch {' '.join(arguments[:2])}: {answer.stderr.strip()[-200:] or answer.returncode}")
        return answer.stdout

    # --- processes ---

    def services(self, kind: str) -> list[str]:
        return [name for name in self.stack.topology.services if name == kind or name.startswith(f"{kind}-")]

    def any_of(self, kind: str) -> str:
        return self.random.choice(self.services(kind))

    def kill(self, name: str) -> None:
        """``kill -9`` of the service with all its children; nobody starts it again before ``restart``."""
        self.stack.processes.stop([name], signal.SIGKILL)

    def restart(self) -> None:
        """Start whatever does not run, as whoever operates the stack would: again and again until all of it runs.

        :raises StackError, OSError: it has not started for the twentieth time.
        """
        pauses = Pauses(longest=15.0)
        for tries_left in reversed(range(_TRIES)):
            try:
                self.stack.start(lambda _line: None)
                self.script_mock()  # a new one knows nothing
            except (StackError, OSError) as error:  # another fault was faster
                if not tries_left:
                    raise
                self.say(f"trying again to start everything: {error}")
                time.sleep(pauses.next())
            else:
                return

    def supervise(self) -> None:
        """Tell what has ended by itself since; the stack starts it again, but the mock has lost its script then."""
        for line in self.ends.fresh():
            self.say(line)
            if line.startswith("mock "):
                self.script_mock()

    # --- AWS and the mock ---

    def aws_fault(self, service: str, mode: str, seconds: float, share: float = 1.0) -> None:
        """Begin a fault of a service; one of 0 s ends it."""
        fault = {"service": service, "mode": mode, "seconds": seconds, "share": share}
        _call("PUT", f"{self.stack.layout.aws_url}/cch/faults", fault)

    def aws_calls(self) -> dict[str, int]:
        found: dict[str, int] = _call("GET", f"{self.stack.layout.aws_url}/cch/calls")
        return found

    def aws_calls_anew(self) -> None:
        _call("DELETE", f"{self.stack.layout.aws_url}/cch/calls")

    def script_mock(self) -> None:
        """Let the mock answer late, twice, out of order and with errors."""
        _call("PUT", f"{self.stack.layout.mock_url}/scenario", SCENARIO)


def _call(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=30) as answer:
        return json.loads(answer.read() or b"null")


#: More than the ledger keeps in an item: it goes through S3.
_LARGE = "x" * 40_000
SCENARIO = {
    "capabilities": {
        "import#late": [{"after": "2s", "payload": {"asn": {"text": _LARGE}}}],
        "import#ask": [{"payload": {"question": {"last": last}}} for last in (False, False, True)],
        "screening#twice": [{"duplicate": 3, "payload": {}}],
        "screening#unordered": [{"out_of_order": True, "payload": {"again": 1}}, {"payload": {"again": 2}}],
        "classification#late": [{"after": "1s", "payload": {"hsCode": "6404.11"}}],
        "declaration-communicator#failing": [{"status": "ERROR"}, {"payload": {}}],
    }
}
