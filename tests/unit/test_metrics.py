"""Figures go where Airflow sends its own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cch import metrics

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import airflow
from cch import metrics
metrics.count("cch.messages", queue="orchestrator-reply-queue", fate="late")
metrics.timing("cch.wait", 1500, capability="import#enrichment", outcome="answered")
metrics.gauge("cch.waiting", 7, host="h")
"""


def _sent(tmp_path: Path, **settings: str) -> set[str]:
    """What StatsD receives, of ours, of a program with Airflow that sends three figures."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(0.2)
        environment = {
            "PATH": "", "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins"),
            "AIRFLOW__METRICS__STATSD_ON": "True", "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(collector.getsockname()[1]),
            **{f"AIRFLOW__METRICS__{name}": value for name, value in settings.items()},
        }  # fmt: skip
        subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, check=True, capture_output=True)
        received = set()
        try:
            while True:
                received.add(collector.recv(4096).decode())
        except TimeoutError:
            return {each for each in received if each.startswith("airflow.cch.")}


def test_a_statsd_without_tags_gets_their_values_in_the_names(tmp_path: Path) -> None:
    """Once under the plain name, once with the values; characters that StatsD cannot take are replaced."""
    assert _sent(tmp_path) == {
        "airflow.cch.messages:1|c",
        "airflow.cch.messages.orchestrator-reply-queue.late:1|c",
        "airflow.cch.wait:1500.000000|ms",
        "airflow.cch.wait.import_enrichment.answered:1500.000000|ms",
        "airflow.cch.waiting:7|g",
        "airflow.cch.waiting.h:7|g",
    }


def test_a_statsd_with_tags_gets_tags(tmp_path: Path) -> None:
    """And, as Airflow is set, nothing else."""
    assert _sent(tmp_path, LEGACY_NAMES_ON="False", STATSD_INFLUXDB_ENABLED="True") == {
        "airflow.cch.messages,queue=orchestrator-reply-queue,fate=late:1|c",
        "airflow.cch.wait,capability=import_enrichment,outcome=answered:1500.000000|ms",
        "airflow.cch.waiting,host=h:7|g",
    }


def test_outside_airflow_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line and the simulator do not load Airflow for it."""
    monkeypatch.delitem(sys.modules, "airflow", raising=False)

    metrics.count("cch.requests", capability="c")

    assert "airflow" not in sys.modules


def test_a_figure_has_the_tags_it_is_known_for() -> None:
    """A dashboard relies on them."""
    with pytest.raises(AssertionError, match="other tags"):
        metrics.count("cch.messages", fate="late")


def test_the_dashboard_and_the_documentation_know_every_figure() -> None:
    """A renamed figure would leave a panel empty."""
    dashboard = json.loads((ROOT / "docs" / "grafana" / "cch.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    pattern = re.compile(r"airflow_(cch_[a-z_]+?)(?:_total|_milliseconds_(?:sum|count))?\b")
    shown = {name for query in queries for name in pattern.findall(query)}
    documented = (ROOT / "docs" / "operations.md").read_text()

    assert shown == {name.replace(".", "_") for name in metrics.METRICS}
    assert all(f"`{name}`" in documented for name in metrics.METRICS)
