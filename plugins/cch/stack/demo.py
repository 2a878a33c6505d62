"""The demo: the main job, from nothing to the finished workflow, with everything real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cch.stack.health import Ends
from cch.stack.layout import USER
from cch.stack.local import LocalStack
from cch.stack.processes import StackError, interrupt_on

WORKFLOW = "import_vn_memphis_v1"
#: Seconds without any change of the instance after which a demo gives up; all of it takes 10 on a laptop.
_STILL = 240


class Demo:
    """One showing. ``once``: stop when the workflow has finished, instead of keeping the UI up until Ctrl-C."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._say = Console().print
        self._stack = LocalStack.open()
        self._begun = time.monotonic()

    def show(self) -> int:
        """Run it; the exit code: 0 only if the workflow completed, 130 if it was interrupted before its end.

        What ran before goes on running; everything else is stopped, however this ends.
        """
        before = self._stack.running()
        interrupt_on(signal.SIGTERM, signal.SIGHUP)
        completed: bool | None = None
        try:
            completed = self._run()
            if not self._once:
                self._stay(before)
        except KeyboardInterrupt:
            self._say("\nstopping …")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
            self._stack.stop(keep=before)
        return 130 if completed is None else int(not completed)

    def _stay(self, before: Collection[str]) -> None:
        """Keep what this demo started until somebody has seen enough."""
        if set(self._stack.topology.services) <= set(before):
            self._say("\nThe stack was up before and stays up: `make down` stops it.")
            return
        self._say("\nAirflow stays up for you to look around. Ctrl-C stops everything.")
        ends = Ends(self._stack)
        while "api-server" in self._stack.running():
            self._tell(ends)
            time.sleep(1)
        self._say("\nAirflow has been stopped by another program.")

    def _tell(self, ends: Ends) -> None:
        for line in ends.fresh():
            self._say(f"[yellow]{escape(line)}[/yellow]", highlight=False, soft_wrap=True)

    def _run(self) -> bool:
        say, ends = self._progress, Ends(self._stack)
        self._stack.start(say, ("aws", "mock"))
        self._cch("publish")
        self._stack.start(say)
        say("ready")
        self._say(f"\n[b]START_WORKFLOW {WORKFLOW}[/b] through the command queue\n")
        instance = str(uuid.uuid4())
        arguments = [part for key, value in self._context().items() for part in ("--set", f"{key}={value}")]
        self._cch(
            "run", WORKFLOW, *arguments, "--instance-id", instance,
            "--correlation-id", self._sample("billOfLading.master"),
            "--watch", "--still", str(_STILL), shown=True,
        )  # fmt: skip
        self._tell(ends)
        result = self._result(instance)
        target = self._stack.layout.root / "build" / "demo.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        self._say(
            f"\n[b]{result['status']}[/b], {result['seconds']:.1f} s after the command,"
            f" {time.monotonic() - self._begun:.0f} s after the start of this demo\n"
            f"Airflow: [b]{result['ui']}[/b]\nInstance: [b]{result['dashboard']}[/b]\n"
            f"user [b]{USER}[/b]  password [b]{self._stack.password}[/b]",
            highlight=False,
            soft_wrap=True,  # an address that is cut into lines cannot be opened
        )
        return bool(result["status"] == "completed")

    def _progress(self, line: str) -> None:
        self._say(f"[dim]{time.monotonic() - self._begun:5.1f} s[/dim]  {line}", highlight=False)

    def _sample(self, path: str) -> str:
        value: Any = json.loads((self._stack.layout.root / "sample-data" / "asn-hcmc-memphis.json").read_text())
        for part in path.split("."):
            value = value[part]
        return str(value)

    def _context(self) -> Mapping[str, str]:
        bucket = "cch-{CCH_ENV}-{CCH_OWNER}-eventdata-bucket".format(**self._stack.environment())
        return {
            "shipmentId": self._sample("shipmentId"),
            "originCountry": self._sample("originCountry"),
            "destinationCountry": self._sample("destinationCountry"),
            "asnUri": f"s3://{bucket}/samples/asn-hcmc-memphis.json",
        }

    def _cch(self, *arguments: str, shown: bool = False) -> str:
        """Run the command line as a person would, in its own process."""
        command = [str(Path(sys.executable).with_name("cch")), *arguments]
        environment = {**os.environ, **self._stack.environment()}
        answer = subprocess.run(  # noqa: S603
            command, env=environment, cwd=self._stack.layout.root, capture_output=not shown, text=True, check=False
        )
        if answer.returncode and not shown:
            raise StackError(f"cch {' '.join(arguments)}:\n{answer.stdout}{answer.stderr}".strip())
        return answer.stdout or ""

    def _result(self, instance: str) -> dict[str, Any]:
        status = json.loads(self._cch("status", instance, "--json"))
        return {
            "instance_id": instance,
            "workflow_id": WORKFLOW,
            "status": status["status"],
            "visited": status["visited"],
            "context": status["context"],
            "seconds": status["seconds"],
            "dashboard": f"{self._stack.layout.ui_url}/plugin/cch#/instances/{instance}",
            "ui": f"{self._stack.layout.ui_url}/dags/{WORKFLOW}/runs/{instance}",
        }
