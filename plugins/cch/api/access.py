"""Who asks, and what he may do: Airflow's users and Airflow's permissions, nothing of our own.

A workflow's permissions are those of its DAG: *read* to see its definition, instances and messages, *create runs* to
start it, *edit runs* for everything that changes an instance. Who may not read a DAG cannot tell it from one that
does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Request

from cch.api.problems import ApiError

#: Header by which a browser's page shows that it is ours. Any value.
PAGE_HEADER = "X-CCH-Request"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def _from_our_page(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        return False
    bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
    return bearer or PAGE_HEADER.lower() in request.headers


async def refuse_other_sites(request: Request) -> None:
    """A request that changes something must carry a header that no other site can make a browser send.

    The browser sends Airflow's cookie by itself, so the cookie does not tell whose page asked. Forms and links
    cannot set headers; a script of another origin that sets ``X-CCH-Request`` or ``Authorization`` makes the browser
    ask the server first (CORS preflight), and Airflow answers that only for origins its operator has listed. Where
    the browser says itself that another site asked (``Sec-Fetch-Site``), sibling domains included, it is refused
    even then. The cookie's ``SameSite=Lax`` would stop most of this alone; it does not stop sibling domains.
    """
    if request.method not in _SAFE and not _from_our_page(request):
        raise ApiError(
            403, "cross_site", f"Send the header {PAGE_HEADER}: 1 (or a Bearer token), from a page of this site."
        )


class Access:
    """What one user may do. Methods look into Airflow's database, so they run in a thread."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.name: str = user.get_name()
        self._readable: frozenset[str] | None = None

    async def readable(self) -> frozenset[str]:
        """Ids of all DAGs that the user may read."""
        if self._readable is None:
            found = await asyncio.to_thread(get_auth_manager().get_authorized_dag_ids, user=self.user, method="GET")
            self._readable = frozenset(found)
        return self._readable

    async def may_read(self, dag_id: str) -> bool:
        return await self._may("GET", None, dag_id)

    async def may_start(self, dag_id: str) -> bool:
        return await self._may("POST", DagAccessEntity.RUN, dag_id)

    async def may_edit(self, dag_id: str) -> bool:
        return await self._may("PUT", DagAccessEntity.RUN, dag_id)

    async def may_read_everything(self) -> bool:
        """Whether the user may read every DAG: what belongs to no known one is for him."""
        return await self._may("GET", None, None)

    async def need_edit(self, dag_id: str) -> None:
        """:raises ApiError: the user may read the DAG, but not edit its runs."""
        if not await self.may_edit(dag_id):
            raise ApiError(403, "not_allowed", f"You may not edit runs of {dag_id}.")

    async def _may(self, method: Literal["GET", "POST", "PUT"], entity: Any, dag_id: str | None) -> bool:
        return await asyncio.to_thread(self._ask, method, entity, dag_id)

    def _ask(self, method: str, entity: Any, dag_id: str | None) -> bool:
        from airflow.models.dag import DagModel  # noqa: PLC0415 - the models are slow to load

        details: Mapping[str, Any] = {"id": dag_id, "team_name": DagModel.get_team_name(dag_id) if dag_id else None}
        allowed: bool = get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=DagDetails(**details) if dag_id else None, user=self.user
        )
        return allowed


async def _access(user: Annotated[Any, Depends(get_user)]) -> Access:
    return Access(user)


AccessDep = Annotated[Access, Depends(_access)]
