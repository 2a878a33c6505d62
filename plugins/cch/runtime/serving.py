"""Whether anybody serves what a definition asks for, in this environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.capabilities.registry import binding, find_library
from cch.definition.document import read_document
from cch.errors import CapabilityNotBoundError, SettingsError
from cch.messaging.outgoing import capability_queue

if TYPE_CHECKING:
    from cch.definition.kinds import Asked
    from cch.definition.model import Definition
    from cch.errors import Problem
    from cch.messaging.queue import Queues
    from cch.settings import Settings


def _unbound(asked: Asked, settings: Settings) -> str:
    """Why a call would find nobody; "" if it would."""
    try:
        if asked.answerer == "binding":
            binding(asked.id, settings)
        elif asked.answerer == "library":
            find_library(asked.id, settings)
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
        if (asked := node.asks) is None:
            continue
        if reason := _unbound(asked, settings):
            hint = "nothing to mend if the workers' settings bind it"
        elif asked.answerer == "queue" and not await capability_queue(queues, names, asked.id):
            own, fallback = names.capability_queue(asked.id), names.fallback_queue
            reason = f"no queue for {asked.id}: neither {own} nor {fallback} exists"
            hint = "let its team create the queue, or check the id"
        else:
            continue
        problems.append(document.problem(("nodes", name, asked.key), "CCH-G106", reason, hint, warning=True))
    return problems
