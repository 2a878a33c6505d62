"""The one file that Airflow's plugin scan executes; ``.airflowignore`` hides the package beside it."""

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


class CchPlugin(AirflowPlugin):
    """Says that the plugin is loaded, serves the API under ``/cch``, and lets the scheduler leave out idle runs."""

    name = "cch"
    fastapi_apps = [{"app": LazyApi(), "url_prefix": "/cch", "name": "CCH"}]  # noqa: RUF012 - Airflow wants a list

    @classmethod
    def on_load(cls, *_args: Any, **_kwargs: Any) -> None:
        """Only the scheduler is changed: what that needs is slow to load, and no task needs it."""
        if sys.argv[1:2] != ["scheduler"]:
            return
        from cch.errors import CchError  # noqa: PLC0415
        from cch.scheduling.idle_runs import install  # noqa: PLC0415
        from cch.settings import load_settings  # noqa: PLC0415

        try:
            install(load_settings())
        except CchError as error:  # a wrong setting must not keep the scheduler from starting
            logging.getLogger(__name__).warning("idle runs are examined as ever: %s", error)
