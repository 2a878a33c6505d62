"""``cch ledger check``."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cch.cli.output import coloured, complain, print_json, say, show, table
from cch.counting import counted
from cch.ledger.audit import audit
from cch.ledger.records import FINAL
from cch.runtime.inspection import Inspector
from cch.runtime.platform import open_platform

if TYPE_CHECKING:
    from cch.ledger.audit import Audit


async def _audit() -> Audit:
    async with open_platform() as platform:
        return await audit(platform.ledger, Inspector(platform).plan)


def _data(result: Audit) -> dict[str, Any]:
    return {
        "ok": not result.findings,
        "messages": {"received": result.received, **result.messages},
        "requests": dict(result.requests),
        "instances": dict(result.instances),
        "findings": [asdict(finding) for finding in result.findings],
    }


def _show(result: Audit) -> None:
    rows = [
        (kind, coloured(name), str(number), "" if kind != "messages" or name in FINAL else "not final")
        for kind in ("messages", "requests", "instances")
        for name, number in getattr(result, kind).items()
    ]
    if rows:
        show(table("", ("", "fate, state or status", "number", ""), rows))
    if result.findings:
        findings = [(finding.what, finding.where, finding.mend) for finding in result.findings]
        show(table(counted(len(findings), "finding"), ("what", "where", "how to mend"), findings))
        complain(f"the ledger does not balance: {len(findings)} findings")
    else:
        say(f"the ledger balances: {counted(result.received, 'message')} received, each with one fate")


def check(*, as_json: bool) -> None:
    """Audit, show, and leave with 1 if there are findings."""
    result = asyncio.run(_audit())
    if as_json:
        print_json(_data(result))
    else:
        _show(result)
    if result.findings:
        raise typer.Exit(1)
