"""What the conf of an Airflow run says: the platform's own keys, and the business data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of a run's conf that are ours. Stored in Airflow's database: do not rename.
CONF_INSTANCE = "_cch_instance"
CONF_CORRELATION = "_correlation_id"
#: Version that was served when the run was asked for, as :class:`cch.definition.version.Version` writes it.
CONF_DIGEST = "_cch_definition"
#: Version that the run is to have, or has: such a text, or a name (a number, ``@label``, the beginning of a digest).
CONF_VERSION = "_cch_version"


def initial_context(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The business data of a run's conf: everything that is not the platform's own."""
    return {key: value for key, value in conf.items() if not key.startswith("_")}


def is_form(conf: Mapping[str, Any]) -> bool:
    """Whether the conf is what Airflow's form gave, with null for every field that nobody filled in.

    The form sends all of its fields, and one of them is a constant that nobody else gives (``setParamsDict`` of the UI
    of Airflow 3.3). REST and ``airflow dags test`` keep the conf as somebody wrote it.
    """
    return CONF_DIGEST in conf and CONF_INSTANCE not in conf
