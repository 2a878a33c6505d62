"""Whether anybody serves what a definition asks for, in this environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.capabilities.registry import binding, find_library
from cch.definition.document import read_document
from cch.definition.model import AsyncRequest, LibraryCall, ScheduledRequest, SyncCall
from cch.errors import CapabilityNotBoundError, SettingsError
from cch.messaging.outgoing import capability_queue

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.errors import Problem
    from cch.messaging.queue import Queues
    from cch.settings import Settings


def _unbound(node: object, settings: Settings) -> str:
    """Why a call would find nobody; "" if it would."""
    try:
        if isinstance(node, SyncCall):
            binding(node.capability_id, settings)
        elif isinstance(node, LibraryCall):
            find_library(node.library_function_id, settings)
    except (CapabilityNotBoundError, SettingsError) as error:
        return str(error)
    return ""


async def unserved(definition: Definition, file: str, settings: Settings, queues: Queues) -> list[Problem]:
    """A warning for each node whose capability has neither a queue nor a binding here.

    Calls are looked up with the settings of this process: those of the workers may know more.

    :raises ServiceUnavailableError: the queues cannot be looked up.
    """
    document = read_document(definition.text, file)
    names = settings.names
    problems: list[Problem] = []
    for name, node in definition.nodes.items():
        key = "library_function_id" if isinstance(node, LibraryCall) else "capability_id"
        if reason := _unbound(node, settings):
            hint = "nothing to mend if the workers' settings bind it"
        elif isinstance(node, AsyncRequest | ScheduledRequest) and not await capability_queue(
            queues, names, node.capability_id
        ):
            own, fallback = names.capability_queue(node.capability_id), names.fallback_queue
            reason = f"no queue for {node.capability_id}: neither {own} nor {fallback} exists"
            hint = "let its team create the queue, or check the id"
        else:
            continue
        problems.append(document.problem(("nodes", name, key), "CCH-G106", reason, hint, warning=True))
    return problems
