"""Names that Airflow knows us by, and that definitions may not take."""

from __future__ import annotations

#: Tag of every DAG that is made from a definition. Stored by Airflow: do not change.
TAG = "cch"
#: DAGs of the platform's own. A definition of such a name would take their place.
OWN_DAGS = frozenset({"cch_commands", "cch_definitions_unavailable"})
#: The platform's DAGs of today and tomorrow.
_PREFIX = "cch_"


def is_reserved(workflow_id: str) -> bool:
    """Whether the id is kept for the platform."""
    return workflow_id.lower().startswith(_PREFIX)
