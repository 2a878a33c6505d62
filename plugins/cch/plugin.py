"""What the package adds to Airflow. Found through the entry point ``airflow.plugins`` where the package is installed,
through ``cch_plugin.py`` where its folder merely lies in the plugins folder.
"""

from __future__ import annotations

import importlib
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


class WithServer:
    """Lets what the API server does by itself begin when the server begins, not with the first request.

    What a server that has died leaves half done would else wait until somebody looks. All requests pass unchanged.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        from cch.api.backend import at_work  # noqa: PLC0415

        async with at_work():
            await self._app(scope, receive, send)


#: Command of Airflow → modules of ``cch.scheduling`` that change its process, in this order. The command ``dags``
#: stores DAGs as the DAG processor does (``dags test``, ``dags reserialize``).
_CHANGES = {
    "dag-processor": ("marking", "resting"),
    "dags": ("marking",),
    "scheduler": ("preloading", "idle_runs", "whole_rounds", "placing"),
    "triggerer": ("lean_waiters", "coming", "prompt"),
}
_ICONS = {"icon": "cch/ui/icon.svg", "icon_dark_mode": "cch/ui/icon-dark.svg"}


class CchPlugin(AirflowPlugin):
    """Serves the API and the dashboard, shows it in Airflow's pages, and lets thousands of instances wait cheaply.

    The addresses of pages are relative: Airflow's page has its base URL as ``<base>``.
    """

    name = "cch"
    fastapi_apps = [{"app": LazyApi(), "url_prefix": "/cch", "name": "CCH"}]  # noqa: RUF012 - Airflow wants a list
    fastapi_root_middlewares = [{"middleware": WithServer, "name": "CCH"}]  # noqa: RUF012
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
        """Only some processes are changed: what that needs is slow to load, and no task needs it."""
        change(sys.argv[1] if len(sys.argv) > 1 else "")


#: The commands as whose process this one has been changed, or is being changed.
_changed: set[str] = set()


def change(command: str) -> None:
    """Change this process, which is one of ``command``. Once: what a hook tries out may load plugins again, and so does
    the process of a task that was forked from it, which has the changes already.
    """
    changes = _CHANGES.get(command, ())
    if not changes or command in _changed:
        return
    _changed.add(command)
    from cch.errors import CchError  # noqa: PLC0415
    from cch.settings import load_settings  # noqa: PLC0415

    log = logging.getLogger(__name__)
    try:
        settings = load_settings()
    except CchError as error:  # a wrong setting must not keep Airflow from starting
        log.warning("the %s works as ever: %s", command, error)
        return
    for module in changes:
        try:
            importlib.import_module(f"cch.scheduling.{module}").install(settings)
        except Exception as error:  # noqa: BLE001 - Airflow would leave out the whole plugin, and with it its pages
            log.warning("the %s works as ever, as far as %s would change it: %r", command, module, error)
