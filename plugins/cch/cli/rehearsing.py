"""``cch replay``: what a definition that is not published yet would have made of the instances of the last weeks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cch.cli.drawing import load_file
from cch.cli.output import note, print_json, say, show, some, table
from cch.definition.model import Definition
from cch.errors import WrongUseError
from cch.runtime.platform import open_platform
from cch.runtime.rehearsing import Rehearsed, rehearse_instances

_DAY = 86_400_000


async def _rehearsed(definition: Definition, days: float, limit: int) -> list[Rehearsed]:
    async with open_platform() as platform:
        since = platform.clock() - round(days * _DAY)
        return [each async for each in rehearse_instances(platform, definition, since, limit)]


def replay(path: Path, *, days: float, limit: int, as_json: bool) -> bool:
    """Show who would go another way; whether nobody would, and everybody who is alive could be moved."""
    definition = load_file(path)
    found = asyncio.run(_rehearsed(definition, days, limit))
    if not found:
        raise WrongUseError(f"no instance of {definition.workflow_id} has begun in the last {days:g} days")
    if as_json:
        print_json({"workflow_id": definition.workflow_id, "instances": [_data(each) for each in found]})
    else:
        _show(found)
    return all(each.rehearsal.course == "same" and not each.refusal for each in found)


def _data(each: Rehearsed) -> dict[str, Any]:
    course = each.rehearsal
    return {
        "id": each.instance.id,
        "status": each.instance.status,
        "course": course.course,
        "node": course.node,
        "was": course.was,
        "now": course.now,
        "cannot_be_moved": each.refusal or "",
    }


def _show(found: Sequence[Rehearsed]) -> None:
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        groups.setdefault(("answered as recorded", str(each.rehearsal)), []).append(each.instance.id)
        if each.refusal:
            groups.setdefault(("cannot be moved", each.refusal), []).append(each.instance.id)
    rows = [
        (what, how, str(len(ids)), some(ids))
        for (what, how), ids in sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1])))
    ]
    show(table("recorded instances under this definition", ("", "", "instances", "for example"), rows))
    alive = [each for each in found if each.refusal is not None]
    say(f"{len(found)} instances, {len(alive)} of them alive: {sum(not each.refusal for each in alive)} could be moved")
    note("answers are taken as they were recorded; what a changed input would have asked, nobody can tell")
