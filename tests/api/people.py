"""Airflow's simple users, with permissions by DAG as bigger auth managers have them.

``nil`` may read nothing, ``una`` only what begins with ``open``.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class People(SimpleAuthManager):
    """Everybody's role counts, but for two people."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        if user.username == "nil":
            return False
        if user.username == "una" and not (details and details.id and details.id.startswith("open")):
            return False
        allowed: bool = super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
        return allowed
