"""The versions of Airflow with which the changes to its own processes have been tested; others stay unchanged."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

VERSIONS = frozenset({"3.3.1"})


def is_tested(otherwise: str) -> bool:
    """Whether this Airflow is one of :data:`VERSIONS`; else ``otherwise`` is logged, with the reason."""
    from airflow import __version__  # noqa: PLC0415 - slow

    if __version__ in VERSIONS:
        return True
    log.warning("%s: tested with Airflow %s, this is %s", otherwise, ", ".join(sorted(VERSIONS)), __version__)
    return False
