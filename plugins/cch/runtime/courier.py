"""The courier: a process beside a DAG processor that brings definitions from S3 into the cache.

Airflow parses DAG files in a new process each time. If that asked S3, it would load botocore each time, which costs
more than everything else in it. The courier loads it once, and ends when the process ends that it works for.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cch
from cch.errors import CchError

if TYPE_CHECKING:
    from cch.settings import Settings

log = logging.getLogger(__name__)

#: Shortest pause (s) between two looks at S3.
_PAUSE = 1.0
#: A courier that has ended is started again after this time (s) at the earliest.
_START_AGAIN = 30.0


def lasts(settings: Settings) -> float:
    """For how long (s) others need not ask S3: a courier that misses some rounds is not missed."""
    return 3 * max(settings.refresh_seconds, _PAUSE) + 10


class Courier:
    """The courier of this process, from here."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")

    def ensure(self) -> None:
        """Start it, unless it lives."""
        if self._process is not None and self._process.poll() is None:
            return
        if time.monotonic() - self._started < _START_AGAIN:
            return
        self._started = time.monotonic()
        path = os.pathsep.join(filter(None, (str(Path(cch.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        # Airflow's word for processes that may read connections from its database, as the DAG processor does.
        variables = {**os.environ, "PYTHONPATH": path, "_AIRFLOW_PROCESS_CONTEXT": "server"}
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and this module
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=variables
        )


def main() -> None:
    """Bring what has changed, until standard input ends."""
    import airflow  # noqa: F401, PLC0415 - with it, AWS is reached through Airflow's connection

    from cch.runtime.definitions import open_catalogue  # noqa: PLC0415
    from cch.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    catalogue = open_catalogue(settings)
    while True:
        try:
            catalogue.bring(lasts(settings))
        except (CchError, OSError) as error:
            log.warning("definitions cannot be brought: %s", error)
        ready, _, _ = select.select([sys.stdin], [], [], max(settings.refresh_seconds, _PAUSE))
        if ready and not os.read(sys.stdin.fileno(), 1):
            return


if __name__ == "__main__":
    main()
