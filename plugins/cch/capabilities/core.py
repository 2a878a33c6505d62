"""Capabilities that the platform itself offers."""

from __future__ import annotations

from typing import Any

from cch.capabilities.registry import sync_capability
from cch.errors import CapabilityError, MissingOutputError
from cch.interpreter.host import Call


@sync_capability("core-process-response")
def process_response(call: Call) -> dict[str, Any]:
    """Check that the last reply brought the declared keys, and pass them on.

    :raises MissingOutputError: names the keys that the reply lacks.
    """
    if call.last_reply is None:
        raise CapabilityError(f"{call.node!r} processes a reply, but no reply came before it")
    wanted = call.outputs or ()
    missing = [key for key in wanted if key not in call.last_reply]
    if missing:
        raise MissingOutputError(
            f"the last reply lacks {', '.join(missing)} (it has: {', '.join(sorted(call.last_reply)) or 'nothing'})"
        )
    return {key: call.last_reply[key] for key in wanted}
