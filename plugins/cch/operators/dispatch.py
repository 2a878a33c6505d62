"""The dispatcher's task."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.sdk import BaseOperator


class DispatchOperator(BaseOperator):
    """Drains the inbox of starts, compares some live instances with their runs, and tells of incidents."""

    def execute(self, context: Any) -> dict[str, int]:
        # Here, because who parses the DAG file needs none of this.
        from cch.operators.notifying import notifiers  # noqa: PLC0415
        from cch.operators.runs import AirflowRuns  # noqa: PLC0415
        from cch.runtime.dispatch import Dispatcher  # noqa: PLC0415
        from cch.runtime.platform import open_platform  # noqa: PLC0415
        from cch.runtime.telling import tell  # noqa: PLC0415

        async def work() -> dict[str, int]:
            async with open_platform() as platform:
                dispatcher = Dispatcher(platform, AirflowRuns())
                started = await dispatcher.drain()
                mended = await dispatcher.reconcile()
                told = await tell(platform, notifiers(platform.settings, context))
                return {"started": started, "mended": mended, "told": told}

        return asyncio.run(work())
