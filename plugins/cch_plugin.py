"""The one file that Airflow's plugin scan executes; ``.airflowignore`` hides the package beside it."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class LazyApi:
    """The API, loaded with the first request: every process of Airflow reads this file, one of them serves it."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from cch.api.app import create_app  # noqa: PLC0415

            self._app = create_app()
        await self._app(scope, receive, send)


_ICONS = {"icon": "cch/ui/icon.svg", "icon_dark_mode": "cch/ui/icon-dark.svg"}


class CchPlugin(AirflowPlugin):
    """Serves the API and the dashboard under ``/cch``, and shows the dashboard in Airflow's pages.

    The addresses are relative: Airflow's page has its base URL as ``<base>``.
    """

    name = "cch"
    fastapi_apps = [{"app": LazyApi(), "url_prefix": "/cch", "name": "CCH"}]  # noqa: RUF012 - Airflow wants a list
    external_views = [  # noqa: RUF012
        {
            "name": "Instances",
            "href": "cch/ui/",
            "url_route": "cch",
            "destination": "nav",
            "nav_top_level": True,
            **_ICONS,
        },
        {
            "name": "Workflow",
            "href": "cch/ui/#/workflows/{DAG_ID}",
            "url_route": "cch-workflow",
            "destination": "dag",
            **_ICONS,
        },
        {
            "name": "Instance",
            "href": "cch/ui/#/runs/{DAG_ID}/{RUN_ID}",
            "url_route": "cch-instance",
            "destination": "dag_run",
            **_ICONS,
        },
    ]
