"""Figures about what runs, sent to wherever Airflow sends its own: StatsD, Datadog or OpenTelemetry (``[metrics]``).

Each goes out as Airflow's own do: once under its name with tags, and, while ``[metrics] legacy_names_on`` holds, once
with the tags' values in the name, for a StatsD that knows no tags. Outside Airflow nothing is sent.
"""

from __future__ import annotations

import functools
import re
import socket
import sys
from typing import Any

#: Every figure, with its tags: the dashboard in ``docs/grafana`` and ``docs/operations.md`` are checked against it.
METRICS: dict[str, tuple[str, ...]] = {
    "cch.messages": ("queue", "fate"),
    "cch.router.lag": ("queue",),
    "cch.waiting": ("host",),
    "cch.requests": ("capability",),
    "cch.wait": ("capability", "outcome"),
    "cch.instances.started": ("workflow",),
    "cch.instances.ended": ("workflow", "outcome"),
    "cch.instances.duration": ("workflow", "outcome"),
    "cch.lifecycle": ("outcome",),
    "cch.held": ("kind",),
}
#: What a value of a tag may not have: some backends drop the whole figure, and a dot would make a level of names.
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


class _AirflowStats:
    """Airflow's statistics of this process."""

    def __init__(self) -> None:
        from airflow.configuration import conf  # noqa: PLC0415 - a leaf must not load Airflow by itself
        from airflow.sdk.observability import stats  # noqa: PLC0415
        from airflow.sdk.observability.metrics import stats_utils  # noqa: PLC0415

        self._flat: bool = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        # The triggerer initialises another copy of this module; doing so a second time changes nothing.
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=self._flat)
        self._stats: Any = stats

    def send(self, kind: str, name: str, value: float, tags: dict[str, str]) -> None:
        function = getattr(self._stats, kind)
        function(name, value, tags=tags)
        if self._flat:
            function(".".join([name, *tags.values()]), value)


@functools.cache
def _airflow() -> _AirflowStats:
    return _AirflowStats()


@functools.cache
def hostname() -> str:
    return socket.gethostname()


def _send(kind: str, name: str, value: float, tags: dict[str, str]) -> None:
    assert METRICS[name] == tuple(tags), f"{name} has other tags"
    if "airflow" in sys.modules:
        _airflow().send(kind, name, value, {tag: _UNFIT.sub("_", text) for tag, text in tags.items()})


def count(name: str, **tags: str) -> None:
    """One more of something."""
    _send("incr", name, 1, tags)


def timing(name: str, milliseconds: float, **tags: str) -> None:
    """How long something took."""
    _send("timing", name, max(0.0, milliseconds), tags)


def gauge(name: str, value: float, **tags: str) -> None:
    """How many there are now."""
    _send("gauge", name, value, tags)
