"""The chaos harness in short: some faults while few instances run. `make chaos` has all of them, on a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.e2e.conftest import Stack

#: One after the other, while the same instances run.
FAULTS = "kill-triggerer+sqs-forget+dynamodb-throttle+kill-mock"


def test_instances_survive_faults(stack: Stack, tmp_path: Path) -> None:
    """Every instance completes, every outcome and every effect is there once, nothing is left anywhere."""
    report = tmp_path / "chaos.json"
    command = [sys.executable, "-m", "tests.chaos", "--faults", FAULTS, "--count", "20", "--hold", "3",
               "--still", "240", "--output", str(report)]  # fmt: skip

    answer = stack.run(command, check=False)
    stack.mock("DELETE", "/scenario?all=true")

    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-3000:]
    (only,) = json.loads(report.read_text())["rounds"]
    assert only["instances"] == 20
    assert only["refused"] > 0
