"""What the doctor says of the local stack's processes."""

from __future__ import annotations

import pytest

from cch.checkup.findings import Findings
from cch.checkup.local_stack import judge_services
from cch.stack.health import Health
from cch.stack.supervised import End

NOW = 1_800_000_000.0


def service(pid: int | None, *, ago: float | None = None, returns: bool = False) -> Health:
    """``ago``: seconds since it has ended by itself, or None."""
    ends = () if ago is None else (End(at=NOW - ago, reason="killed by SIGKILL", ran=5.0),)
    return Health(name="triggerer", pid=pid, log="t.log", count=len(ends), ends=ends, returns=returns)


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (service(7), "ok", "runs"),
        (service(None), "note", "does not run"),
        (service(None, ago=1.0, returns=True), "error", "killed by SIGKILL); is started again soon"),
        (service(7, ago=60.0), "warning", "ended once at"),
        (service(7, ago=6000.0), "note", "runs again"),
    ],
)
def test_a_process_that_has_ended_is_told_with_its_reason(found: Health, level: str, words: str) -> None:
    """An error while it is away, a warning for ten minutes after it has come back, then a note."""
    findings = Findings()

    judge_services([found], NOW, findings)

    (only,) = findings.all
    assert (only.area, only.level) == ("process triggerer", level)
    assert words in only.what
