"""What Airflow's provider manager asks for.

``airflow providers list`` shows the package, ``airflow config list --section cch`` its settings.
"""

from __future__ import annotations

from typing import Any

from cch import __version__
from cch.settings import Settings

_DEFAULTS = Settings()

#: Settings of the section ``[cch]``: type, default, what it is.
_OPTIONS: dict[str, tuple[str, object, str]] = {
    "env": ("string", _DEFAULTS.names.env, "Resources are named cch-<env>-<owner>-<resource>."),
    "owner": ("string", _DEFAULTS.names.owner, "Resources are named cch-<env>-<owner>-<resource>."),
    "aws_conn_id": (
        "string",
        _DEFAULTS.aws_conn_id,
        "Airflow connection for credentials, region, endpoint, role; AWS's own chain if it does not exist.",
    ),
    "definitions_folder": ("string", "", "A folder of definitions instead of the bucket."),
    "cache_folder": ("string", "", "Definitions on disk; empty: cch-cache/<env>-<owner> in AIRFLOW_HOME."),
    "capability_modules": ("string", "", "Python modules with your capabilities, separated by commas."),
    "capability_bindings": (
        "string",
        "",
        "JSON, or the path of a JSON file: capability to lambda:<function> or an http(s) address.",
    ),
    "refresh_seconds": ("float", _DEFAULTS.refresh_seconds, "How long a listing of the definitions is trusted."),
    "lifecycle_topic": ("string", "", "ARN of the SNS topic that is told what instances do."),
    "retention_days": (
        "integer",
        _DEFAULTS.retention_days,
        "How long the record of a finished instance stays; 0: for ever.",
    ),
    "reply_consumers": ("integer", _DEFAULTS.reply_consumers, "Parallel polls of the reply queue in a triggerer."),
    "mailbox_seconds": (
        "float",
        _DEFAULTS.mailbox_seconds,
        "How soon a triggerer sees what another one received for it.",
    ),
    "skip_idle_runs": ("boolean", _DEFAULTS.skip_idle_runs, "Schedulers leave runs of ours that only wait out."),
    "lean_waiters": ("boolean", _DEFAULTS.lean_waiters, "Triggerers do less for those that wait."),
    "full_look_seconds": ("float", _DEFAULTS.full_look_seconds, "Such a run is examined that often all the same."),
}


def _option(kind: str, default: object, description: str) -> dict[str, Any]:
    return {
        "type": kind,
        "default": str(default),
        "description": description,
        "example": None,
        "version_added": None,
    }


def get_provider_info() -> dict[str, Any]:
    """The package in the form of Airflow's ``provider_info.schema.json``."""
    options = {name: _option(*described) for name, described in _OPTIONS.items()}
    return {
        "package-name": "cch-airflow",
        "name": "CCH on Airflow",
        "description": "Long business workflows, written in YAML. Settings: docs/operations.md.",
        "versions": [__version__],
        "config": {"cch": {"description": "CCH on Airflow; docs/operations.md explains each.", "options": options}},
    }
