"""Whether definitions are held to the contracts that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from cch.checkup.findings import Findings
from cch.counting import counted
from cch.definition.contract import Contract
from cch.definition.contract_shelf import ContractShelf
from cch.definition.model import Definition

_MEND = "look at the definitions bucket"


def look_at_contracts(shelf: ContractShelf, definitions: Iterable[Definition], found: Findings) -> None:
    """The contracts that are published, and those that definitions were published with."""
    newest: Mapping[str, Contract] = {}
    with found.looking("contracts", _MEND):
        newest = shelf.newest()
    asked: set[str] = set()
    for definition in definitions:
        asked |= definition.asked
        with found.looking(f"definition {definition.workflow_id}", _MEND):
            _held(shelf, definition, newest, found)
    levels = Counter(contract.enforce for contract in newest.values())
    said = ", ".join(f"{level} {number}" for level, number in sorted(levels.items()))
    found.ok("contracts", counted(len(newest), "contract", "contracts") + (f" (enforce: {said})" if said else ""))
    if newest and (without := sorted(asked - set(newest))):
        some = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
        found.note("contracts", f"{counted(len(without), 'capability has', 'capabilities have')} none: {some}")


def _held(shelf: ContractShelf, definition: Definition, newest: Mapping[str, Contract], found: Findings) -> None:
    area, pins = f"definition {definition.workflow_id}", definition.pins
    for capability, digest in pins.items():
        if shelf.kept(digest) is None:
            what = f"the contract {digest[:12]} of {capability} is gone, so nobody checks its messages"
            found.warn(area, what, "publish the definition again, with the contract")
    older = [each for each, contract in newest.items() if each in pins and pins[each] != contract.digest]
    without = [each for each in newest if each in definition.asked and each not in pins]
    for each in sorted(older):
        found.note(area, f"{each} has a newer contract", f"cch publish {definition.workflow_id}.yaml, to be held to it")
    for each in sorted(without):
        what = f"it is not held to the contract of {each}"
        found.note(area, what, f"cch publish {definition.workflow_id}.yaml, instead of a copy by other means")
