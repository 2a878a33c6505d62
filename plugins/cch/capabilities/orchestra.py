"""The tasks of the sample ``orchestra_fan_out_v1``: two Python functions, and one that lives in a Lambda."""

from __future__ import annotations

from typing import Any

from cch.capabilities.registry import bind_lambda, sync_capability
from cch.interpreter.host import Call


@sync_capability("orchestra-a")
def task_a(call: Call) -> dict[str, Any]:
    """Prepare: number the lines of the consignment."""
    lines = call.context.get("lines") or ["electronics", "footwear"]
    return {"prepared": [{"line": number, "goods": goods} for number, goods in enumerate(lines, 1)]}


@sync_capability("orchestra-b1")
def task_b1(call: Call) -> dict[str, Any]:
    """Classify each line."""
    return {"classified": [{**line, "chapter": 60 + line["line"]} for line in call.context["prepared"]]}


@sync_capability("orchestra-c")
def task_c(call: Call) -> dict[str, Any]:
    """Summarise what the three branches found."""
    found = ("classified", "screening_uri", "duty_estimate")
    return {"summary": {key: call.context.get(key) for key in found}}


bind_lambda("orchestra-b3", "{prefix}orchestra-b3")
