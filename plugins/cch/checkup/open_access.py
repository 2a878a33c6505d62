"""Whether anybody may act without a login."""

from __future__ import annotations

from cch.checkup.findings import Findings
from cch.settings import Settings

_AREA = "open access"
_UNSET = "unset CCH_OPEN_API_USER as soon as clients can log in; until then let only known addresses reach /cch/open"


def look_at_open_access(settings: Settings, found: Findings) -> None:
    """The paths that a setting opens, and for whom."""
    user, origins = settings.open_api_user, settings.open_api_origins
    if not user:
        found.ok(_AREA, "every path needs a login")
        return
    found.warn(_AREA, f"whoever reaches /cch/open acts as Airflow's user {user!r} (CCH_OPEN_API_USER)", _UNSET)
    if "*" in origins:
        found.error(
            _AREA, "CCH_OPEN_API_ORIGINS has *, which is taken for none", "list the origins of the clients' pages"
        )
