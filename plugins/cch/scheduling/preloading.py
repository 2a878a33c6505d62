"""In a process from which Airflow forks the processes of tasks: what a task of ours loads is loaded there, once.

A call on a worker is a process. What it computed was for seven tenths the loading of modules (docs/adr/0043).
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cch.settings import Settings

log = logging.getLogger(__name__)

#: What a task loads that calls: the DAG file, the region, and the clients of AWS. Nothing else of Airflow's own.
MODULES = (
    "cch.compiler.factory",
    "cch.operators.region",
    "cch.runtime.execution",
    "cch.runtime.platform",
    "cch.capabilities.core",
    "cch.aws.objects",
    "cch.aws.queues",
    "cch.aws.tables",
    "cch.aws.topics",
    "aiobotocore.config",
    "aiobotocore.session",
    "airflow.providers.amazon.aws.hooks.base_aws",
)
#: The services that a task asks; the last one where lifecycle events are published.
SERVICES = ("dynamodb", "sqs", "sns")


def install(_settings: Settings) -> bool:
    """In a scheduler whose executor forks tasks: load what they need; whether it does."""
    from airflow.configuration import conf  # noqa: PLC0415 - only a scheduler needs it

    if "LocalExecutor" not in conf.get("core", "executor", fallback=""):
        return False
    preload()
    return True


def preload() -> None:
    """Load what tasks of ours load. What is missing here, a task says better than a scheduler."""
    for module in MODULES:
        with _left_to_tasks(module):
            importlib.import_module(module)
    with _left_to_tasks("what botocore knows of services"):
        from cch.aws.session import read_descriptions  # noqa: PLC0415 - only here

        read_descriptions(*SERVICES)


@contextmanager
def _left_to_tasks(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, tasks meet it themselves
        log.info("%s is left to the tasks: %s: %s", what, type(error).__name__, error)
