"""Whether what goes out and what comes back keeps the contract of its capability."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cch.definition.contract import Contract, in_words

if TYPE_CHECKING:
    from cch.definition.kinds import Asked
    from cch.interpreter.host import Host
    from cch.interpreter.visit import Result, Visit

#: Fact of a cause under which a breach is told that nobody fails for.
TOLD = "contract"


@dataclass(frozen=True, slots=True)
class Breach:
    """What breaks a contract, as a sentence; ``fails``: whether the node fails by it."""

    reason: str
    fails: bool


async def request_breach(asked: Asked, context: Mapping[str, Any], visit: Visit, host: Host) -> Breach | None:
    """How a request breaks the contract of its capability; None if it keeps it, or nobody looks."""
    contract = _enforced(asked, visit)
    if contract is None:
        return None
    faults = await host.compute(functools.partial(contract.request_faults, context))
    return _breach(contract, f"the request to {contract.id} breaks its contract", faults, host)


async def reply_breach(
    asked: Asked, status: str, payload: Mapping[str, Any], visit: Visit, host: Host
) -> Breach | None:
    """How a reply breaks the contract of its capability; None if it keeps it, or nobody looks."""
    contract = _enforced(asked, visit)
    if contract is None:
        return None
    faults = await host.compute(functools.partial(contract.reply_faults, status, payload, asked.wants))
    return _breach(contract, f"the reply {status} of {contract.id} breaks its contract", faults, host)


def _enforced(asked: Asked, visit: Visit) -> Contract | None:
    contract = visit.graph.definition.contracts.get(asked.id)
    return None if contract is None or contract.enforce == "off" else contract


def _breach(contract: Contract, what: str, faults: list[str], host: Host) -> Breach | None:
    if not faults:
        return None
    host.note("contract broken", capability=contract.id, enforce=contract.enforce)
    return Breach(f"{what}: {in_words(faults)}", contract.enforce == "fail")


def told(result: Result, *breaches: Breach | None) -> Result:
    """The result, whose cause tells of breaches that nobody fails for."""
    reasons = [breach.reason for breach in breaches if breach is not None and not breach.fails]
    return replace(result, cause={**result.cause, TOLD: "; ".join(reasons)}) if reasons else result
