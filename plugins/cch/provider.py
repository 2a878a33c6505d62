"""What Airflow's provider manager asks for.

``airflow providers list`` shows the package, ``airflow config list --section cch`` its settings.
"""

from __future__ import annotations

from typing import Any

from cch import __version__
from cch.settings import OPTIONS, Option


def _described(option: Option) -> dict[str, Any]:
    return {
        "type": option.kind,
        "default": option.default,
        "description": f"{option.about[0].upper()}{option.about[1:]}.",
        "example": None,
        "version_added": None,
    }


def get_provider_info() -> dict[str, Any]:
    """The package in the form of Airflow's ``provider_info.schema.json``."""
    options = {option.key: _described(option) for option in OPTIONS}
    return {
        "package-name": "cch-airflow",
        "name": "CCH on Airflow",
        "description": "Long business workflows, written in YAML. Settings: docs/operations.md.",
        "versions": [__version__],
        "config": {"cch": {"description": "CCH on Airflow; docs/operations.md explains each.", "options": options}},
    }
