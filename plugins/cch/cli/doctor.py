"""``cch doctor``: is this environment as the program needs it?"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cch.cli.workshop import is_installed

if TYPE_CHECKING:
    from cch.checkup.findings import Finding, Findings

_STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "error": "bold red"}


async def _examine(found: Findings) -> int:
    from cch.checkup.running import look_at_running  # noqa: PLC0415
    from cch.runtime.platform import open_platform  # noqa: PLC0415

    async with open_platform() as platform:
        return await look_at_running(platform, found)


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Show what is in order, too.")] = False,
    mwaa: Annotated[str, typer.Option(metavar="<name>", help="Look at this environment of Amazon MWAA, too.")] = "",
) -> None:
    """Examine a live environment: credentials, queues, table, buckets, clock, routers, definitions, capabilities;
    of the local stack its processes, too.

    Airflow's options are MWAA's, else this machine's if AIRFLOW_HOME is set.
    Changes nothing but a probe in the table and the event-data bucket, and one event (`Probe`) on the lifecycle topic.
    Exit code 1 if something is wrong; a warning is not.
    """
    from cch.checkup.airflow import look_at_configuration, look_at_versions  # noqa: PLC0415 - loads the platform
    from cch.checkup.findings import Findings  # noqa: PLC0415
    from cch.checkup.mwaa import look_at_mwaa  # noqa: PLC0415
    from cch.checkup.open_access import look_at_open_access  # noqa: PLC0415
    from cch.checkup.resources import look_at_resources  # noqa: PLC0415
    from cch.settings import load_settings  # noqa: PLC0415

    settings, found = load_settings(), Findings()
    look_at_versions(found)
    if is_installed():
        from cch.checkup.local_stack import look_at_local_stack  # noqa: PLC0415

        look_at_local_stack(found)
    look_at_resources(settings, found)
    look_at_open_access(settings, found)
    waiters = asyncio.run(_examine(found))
    if mwaa:
        look_at_mwaa(mwaa, settings, waiters, found)
    elif os.environ.get("AIRFLOW_HOME"):
        look_at_configuration(waiters, found)  # last: where Airflow is loaded, AWS is reached through its connection
    _report(found.all, f"{settings.names.env}-{settings.names.owner}", as_json=as_json, every=every)
    if any(finding.level == "error" for finding in found.all):
        raise typer.Exit(1)


def _report(findings: list[Finding], environment: str, *, as_json: bool, every: bool) -> None:
    from cch.cli.output import print_json, say, show, table  # noqa: PLC0415

    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    shown = [finding for finding in findings if every or finding.level != "ok"]
    rows = [(Text(f.level, _STYLES[f.level]), f.area, f.what, f.mend) for f in shown]
    if rows:
        show(table(environment, ("", "where", "what", "what to do"), rows))
    counts = {level: sum(finding.level == level for finding in findings) for level in _STYLES}
    said = ", ".join(f"{number} {level}" for level, number in counts.items() if number)
    say(f"{environment}: {said}" + ("" if every or not counts["ok"] else " (--all shows what is in order)"))


def register(app: typer.Typer) -> None:
    app.command()(doctor)
