"""Settings, from the environment (``CCH_OWNER``) or Airflow's configuration (``[cch] owner``).

The environment wins, as everywhere in Airflow. Operators read nothing in their constructors; whoever runs
something calls :func:`load_settings` once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cch.errors import SettingsError
from cch.names import Names

_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

Lookup = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, with their defaults. ``docs/operations.md`` explains each for operators."""

    names: Names = field(default_factory=Names)
    #: Airflow connection that holds the AWS credentials; AWS's own chain is used when it does not exist.
    aws_conn_id: str = "aws_default"
    #: A folder of definitions instead of the bucket; empty: the bucket.
    definitions_folder: str = ""
    #: Where definitions are cached on disk, so that parsing survives an outage of S3.
    cache_folder: str = ""
    #: Python modules whose import registers synchronous capabilities.
    capability_modules: tuple[str, ...] = ("cch.capabilities",)
    #: JSON object, or path of a JSON file: capability id → ``lambda:<function>`` or an http(s) address.
    capability_bindings: str = ""
    #: ARN of the SNS topic that is told what instances do; empty: nobody is.
    lifecycle_topic: str = ""
    #: Seconds a definition listing is trusted before S3 is asked again (conditional on ETags).
    refresh_seconds: float = 5.0
    #: Days a finished instance's items stay in the ledger; 0 keeps them.
    retention_days: int = 0
    #: Parallel long polls of the reply queue in each triggerer, at most.
    reply_consumers: int = 4
    #: Seconds between two looks into this process's mailbox for wakes from other triggerers.
    mailbox_seconds: float = 1.0
    #: Whether schedulers leave out runs of ours in which nothing has changed since they were last examined.
    skip_idle_runs: bool = True
    #: Seconds after which such a run is examined all the same.
    full_look_seconds: float = 600.0
    #: Whether a triggerer is told only of the task that waits instead of its whole DAG.
    lean_waiters: bool = True

    @property
    def cache_path(self) -> Path:
        """The cache folder; by default below ``AIRFLOW_HOME``, one per environment and owner."""
        if self.cache_folder:
            return Path(self.cache_folder)
        home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
        return Path(home).expanduser() / "cch-cache" / f"{self.names.env}-{self.names.owner}"


def airflow_lookup(key: str) -> str | None:
    """``[cch] key`` of Airflow's configuration, if this process has loaded Airflow; else None."""
    if "airflow" not in sys.modules:
        return None
    from airflow.configuration import conf  # noqa: PLC0415 - a leaf must not load Airflow by itself

    value: str | None = conf.get("cch", key, fallback=None)
    return value


def load_settings(environ: Mapping[str, str] | None = None, fallback: Lookup = airflow_lookup) -> Settings:
    """Read the settings.

    :raises SettingsError: a value cannot be used; the message names the variable.
    """
    source = os.environ if environ is None else environ

    def read(key: str) -> str | None:
        return source.get(f"CCH_{key.upper()}") or source.get(f"AIRFLOW__CCH__{key.upper()}") or fallback(key)

    def number(key: str, default: float) -> float:
        text = read(key)
        if not text:
            return default
        try:
            return float(text)
        except ValueError:
            raise SettingsError(f"CCH_{key.upper()}={text!r} is no number") from None

    def flag(key: str, *, default: bool) -> bool:
        text = (read(key) or str(default)).strip().lower()
        if text not in _FLAGS:
            raise SettingsError(f"CCH_{key.upper()}={text!r} is neither true nor false")
        return _FLAGS[text]

    try:
        names = Names(env=read("env") or "dev", owner=read("owner") or "local")
    except ValueError as error:
        raise SettingsError(str(error)) from None
    modules = tuple(name.strip() for name in (read("capability_modules") or "").split(",") if name.strip())
    defaults = Settings()
    return Settings(
        names=names,
        aws_conn_id=read("aws_conn_id") or defaults.aws_conn_id,
        definitions_folder=read("definitions_folder") or "",
        cache_folder=read("cache_folder") or "",
        capability_modules=tuple(dict.fromkeys((*defaults.capability_modules, *modules))),
        capability_bindings=read("capability_bindings") or "",
        lifecycle_topic=read("lifecycle_topic") or "",
        refresh_seconds=number("refresh_seconds", defaults.refresh_seconds),
        retention_days=int(number("retention_days", defaults.retention_days)),
        reply_consumers=max(1, int(number("reply_consumers", defaults.reply_consumers))),
        mailbox_seconds=number("mailbox_seconds", defaults.mailbox_seconds),
        skip_idle_runs=flag("skip_idle_runs", default=defaults.skip_idle_runs),
        lean_waiters=flag("lean_waiters", default=defaults.lean_waiters),
        full_look_seconds=number("full_look_seconds", defaults.full_look_seconds),
    )
