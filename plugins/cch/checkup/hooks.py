"""What the plugin changes in Airflow, and what it had to leave as it is."""

from __future__ import annotations

from cch.checkup.findings import Findings
from cch.ledger.versions import HookReport
from cch.scheduling.probing import SWITCHED_OFF, TESTED


def judge_hooks(report: HookReport, found: Findings) -> None:
    """One finding for each hook, and one if nobody has tested this Airflow."""
    area = "hooks"
    for hook, reason in report.reasons.items():
        if not reason:
            found.ok(area, f"{hook}: active")
        elif reason.startswith(SWITCHED_OFF):
            found.note(area, f"{hook}: not active, {reason}")
        else:
            mend = f"use Airflow {TESTED[0]} to {TESTED[-1]}, or a newer release of this program"
            found.warn(area, f"{hook}: not active, {reason}", mend)
    if report.airflow not in TESTED:
        what = f"Airflow {report.airflow} was not tested; what each hook needs was tried out, and decides"
        found.note(area, what, f"tested are {', '.join(TESTED)}")
