"""The tasks of the sample ``orchestra_fan_out_v1``: a Python function, and three Lambda functions in three runtimes."""

from __future__ import annotations

from typing import Any

from cch.capabilities.registry import bind_lambda, sync_capability
from cch.interpreter.host import Call


@sync_capability("orchestra-a")
def task_a(call: Call) -> dict[str, Any]:
    """Prepare: number the lines of the consignment."""
    lines = call.context.get("lines") or ["electronics", "footwear"]
    return {"prepared": [{"line": number, "goods": goods} for number, goods in enumerate(lines, 1)]}


for task in ("orchestra-b1", "orchestra-b3", "orchestra-c"):  # Node.js, Python, a container image
    bind_lambda(task, f"{{prefix}}{task}")
