"""Names that definitions may not take."""

from __future__ import annotations

#: DAGs of the platform's own. A definition of such a name would take their place.
OWN_DAGS = frozenset({"cch_commands", "cch_definitions_unavailable"})
#: The platform's DAGs of today and tomorrow.
_PREFIX = "cch_"


def is_reserved(workflow_id: str) -> bool:
    """Whether the id is kept for the platform."""
    return workflow_id.lower().startswith(_PREFIX)
