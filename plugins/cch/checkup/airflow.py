"""Airflow's side: versions and the options that matter, as this machine has them."""

from __future__ import annotations

import sys
from importlib import metadata

from packaging.version import Version

from cch import __version__
from cch.checkup.findings import Findings

#: From this one on, a task may begin and end in the triggerer.
_OLDEST = (3, 3)
#: Airflow's default; a workflow that waits for weeks fills it soon.
SMALL_CAPACITY = 1000


def look_at_versions(found: Findings) -> None:
    """Of the program, Python and Airflow."""
    python = ".".join(map(str, sys.version_info[:3]))
    try:
        airflow = metadata.version("apache-airflow-core")
    except metadata.PackageNotFoundError:
        found.note("versions", f"cch {__version__}, Python {python}, no Airflow on this machine")
        return
    if is_too_old(airflow):
        found.error("versions", f"Airflow {airflow} cannot start tasks in the triggerer", "use Airflow 3.3 or newer")
    else:
        found.ok("versions", f"cch {__version__}, Python {python}, Airflow {airflow}")


def is_too_old(airflow: str) -> bool:
    """Whether tasks of this version cannot begin and end in the triggerer."""
    return Version(airflow).release[:2] < _OLDEST


def look_at_configuration(waiters: int, found: Findings) -> None:
    """Airflow's options; ``waiters``: how much the fullest triggerer waits for."""
    from airflow.configuration import conf  # noqa: PLC0415 - slow, and only where Airflow is configured

    judge_capacity(conf.getint("triggerer", "capacity"), waiters, found)
    judge_idle_sleep(conf.getfloat("scheduler", "scheduler_idle_sleep_time"), found)


def judge_capacity(capacity: int, waiters: int, found: Findings) -> None:
    """Whether the triggerers have room for more."""
    area, full = "[triggerer] capacity", "when it is full, new requests are not even sent"
    if waiters >= 0.7 * capacity:
        found.warn(area, f"is {capacity}, and {waiters} waits fill it", f"raise it, or add a triggerer: {full}")
    elif capacity <= SMALL_CAPACITY:
        found.warn(area, f"is {capacity}", f"set it well above the waits that you expect: {full}")
    else:
        found.ok(area, f"is {capacity}")


def judge_idle_sleep(seconds: float, found: Findings) -> None:
    """How long the scheduler sleeps when it has nothing to do."""
    if seconds > 0.5:
        what = f"is {seconds:g} s, and each hop waits for it"
        found.note("[scheduler] scheduler_idle_sleep_time", what, "0.2 is quicker")
