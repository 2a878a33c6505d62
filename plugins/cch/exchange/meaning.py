"""Which request a reply without an echoed id means, decided from what is stored and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cch.envelope import Command
from cch.identity import FIRST_SCHEME, Address, shown
from cch.ledger.records import Fate, Instance
from cch.ledger.requests import Pointer


@dataclass(frozen=True, slots=True)
class Means:
    """The reply answers this request, if it is still open when it is closed."""

    command_id: str


@dataclass(frozen=True, slots=True)
class Ends:
    """The reply answers nobody: its final fate, and why."""

    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True)
class Early:
    """Nobody has asked yet."""


Meaning = Means | Ends | Early


def several(address: Address, paths: Collection[tuple[str, ...]]) -> str:
    """Why nobody can tell which item is meant; "" if at most one is."""
    meant = sorted(address.meant(paths))
    if len(meant) < 2:
        return ""
    return (
        f"{len(meant)} items have the branch key {address.branch!r} ({'; '.join(map(shown, meant[:3]))}): address one"
        " by routingHint.branchPath, its branch keys from the outside in"
    )


def unaddressable(command: Command, instance: Instance) -> str:
    """Why nothing of the instance can be addressed like that; "" if something may be."""
    if instance.scheme != FIRST_SCHEME or len(command.address.path) < 2:
        return ""
    return "the instance began under an earlier release: its items are addressed by routingHint.branchKey alone"


def meaning(command: Command, pointers: Sequence[Pointer], items: Collection[tuple[str, ...]]) -> Meaning:
    """What a reply means, by the pointers of its source in its box and the nested items that share the box.

    Only a request that is open alone can be meant. ``pointers`` are in the order in which they were asked.
    """
    fitting = [pointer for pointer in pointers if command.address.fits(pointer.path)]
    if any(pointer.reply_command == command.id for pointer in fitting):
        return Ends("duplicate", f"reply {command.id} was taken before")
    if reason := several(command.address, {*items, *(pointer.path for pointer in fitting)}):
        return Ends("orphan", reason)
    still_open = [pointer for pointer in fitting if pointer.state == "open"]
    if len(still_open) > 1:
        return Ends("orphan", f"{len(still_open)} open requests to {command.source}: nobody can tell which is meant")
    if still_open:
        return Means(still_open[0].command_id)
    if fitting:
        last = fitting[-1].state
        return Ends(
            "late" if last in ("timed_out", "superseded", "failed") else "duplicate",
            f"the request had {HOW_CLOSED[last]} before",
        )
    return Early()


#: How a request was closed, after "the request had".
HOW_CLOSED = {
    "open": "not been closed",
    "answered": "been answered",
    "timed_out": "timed out",
    "superseded": "been superseded",
    "failed": "failed",
}
