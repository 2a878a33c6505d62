"""What the package adds to Airflow. Found through the entry point ``airflow.plugins`` where the package is installed,
through ``cch_plugin.py`` where its folder merely lies in the plugins folder.
"""

from __future__ import annotations

import logging
import sys
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
    """Serves the API and the dashboard, shows it in Airflow's pages, and lets thousands of instances wait cheaply.

    The addresses of pages are relative: Airflow's page has its base URL as ``<base>``.
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

    @classmethod
    def on_load(cls, *_args: Any, **_kwargs: Any) -> None:
        """Only schedulers and triggerers are changed: what that needs is slow to load, and no task needs it."""
        if sys.argv[1:2] not in (["scheduler"], ["triggerer"]):
            return
        from cch.errors import CchError  # noqa: PLC0415
        from cch.scheduling import idle_runs, lean_waiters  # noqa: PLC0415
        from cch.settings import load_settings  # noqa: PLC0415

        changes = {"scheduler": idle_runs.install, "triggerer": lean_waiters.install}
        try:
            changes[sys.argv[1]](load_settings())
        except CchError as error:  # a wrong setting must not keep Airflow from starting
            logging.getLogger(__name__).warning("the %s works as ever: %s", sys.argv[1], error)
