"""``cch incidents``: what needs a person."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cch.cli.output import duration, moment, note, print_json, say, show, table
from cch.counting import counted
from cch.runtime.incidents import incidents as look
from cch.runtime.platform import open_platform
from cch.runtime.telling import facts_of

if TYPE_CHECKING:
    from cch.runtime.incidents import Incident, Incidents

_BARS = " ▁▂▃▄▅▆▇█"


async def _find(days: int | None) -> Incidents:
    async with open_platform() as platform:
        return await look(platform, days or platform.settings.incident_days)


def trend(days: list[int]) -> str:
    """How many came on each day, as a row of bars.

    >>> trend([0, 1, 8])
    ' ▁█'
    """
    most = max(days, default=0)
    return "".join(_BARS[-(-each * (len(_BARS) - 1) // most)] if each else " " for each in days)


def _row(one: Incident) -> tuple[str, ...]:
    usual = f" (usually at most {duration(one.usual / 1000)})" if one.usual else ""
    example = next((each for each in one.examples if each), "")
    times = moment(one.first), moment(one.last)
    return one.title + usual, one.pattern, str(one.count), trend(list(one.days)), *times, example


def incidents(days: int | None, workflow: str, *, as_json: bool) -> None:
    """Show what needs a person."""
    found = asyncio.run(_find(days))
    items = [one for one in found.items if workflow in ("", one.workflow_id)]
    if as_json:
        print_json({"complete": found.complete, "incidents": [facts_of(one) for one in items]})
        return
    if not found.complete:
        note("there is more than was looked at: counts are too small")
    if items:
        columns = ("what", "message", "number", "by day", "first", "last", "for example")
        show(table(counted(len(items), "incident"), columns, map(_row, items)))
    else:
        say("nothing needs a person")
