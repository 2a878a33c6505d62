"""The local stack: whether its processes run, and what has happened to them."""

from __future__ import annotations

import os
import time

from cch.checkup.findings import Findings
from cch.errors import SettingsError
from cch.stack.health import Health, health
from cch.stack.layout import open_layout
from cch.stack.local import LocalStack

#: An end that is longer ago (s) is only mentioned.
_RECENT = 600.0


def look_at_local_stack(found: Findings) -> None:
    """Nothing, unless the AWS that is looked at is the local stack's."""
    try:
        stack = LocalStack(open_layout())
    except SettingsError:
        return  # there is no checkout
    if os.environ.get("AWS_ENDPOINT_URL") == stack.layout.aws_url:
        judge_services(health(stack), time.time(), found)


def judge_services(services: list[Health], now: float, found: Findings) -> None:
    """``now``: seconds since 1970."""
    for each in services:
        area, log = f"process {each.name}", f"see {each.log}"
        if each.returns:
            found.error(area, each.story or "is being started", log)
        elif each.ends and now - each.ends[-1].at < _RECENT:
            found.warn(area, each.story, log)
        elif each.ends:
            found.note(area, each.story, log)
        elif each.pid:
            found.ok(area, "runs")
        else:
            found.note(area, "does not run", "`cch up` starts it")
