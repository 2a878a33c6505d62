"""Which request a reply without an echoed id means, decided from what is stored and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cch.counting import counted
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
    """Nobody has asked yet, or nobody can tell that it was asked; ``reason``: what would make it match."""

    reason: str = ""


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
    return Early(f"no request to {command.source!r} has been made {_where(command.address)}")


def _where(address: Address) -> str:
    return f"by item {shown(address.path)} of a map" if address.path else "by the instance itself"


def only_possible(command: Command, capabilities: Collection[str], pointers: Sequence[Pointer]) -> Meaning:
    """What a reply means that names no request, by all pointers of its instance: the only one that it can mean.

    ``capabilities``: those that the definition asks. A reply whose source is one of them means a request to it, and one
    that names an item of a map a request of that item. Once such a request was closed without an answer, the reply may
    be the one that this request did not wait for: then it means none.
    """
    possible = [
        pointer
        for pointer in pointers
        if (command.source not in capabilities or pointer.source == command.source)
        and (not command.address.path or command.address.fits(pointer.path))
    ]
    if any(pointer.reply_command == command.id for pointer in possible):
        return Ends("duplicate", f"reply {command.id} was taken before")
    still_open = [pointer for pointer in possible if pointer.state == "open"]
    unanswered = [pointer for pointer in possible if pointer.state in _UNANSWERED]
    if unanswered:
        first = unanswered[0]
        how = HOW_CLOSED[first.state]
        return Early(
            f"it names no request, and may be for {first.command_id} to {first.source}, which had {how} before"
        )
    if len(still_open) == 1:
        return Means(still_open[0].command_id)
    number = counted(len(still_open), "request is open", "requests are open") if still_open else "no request is open"
    return Early(f"it names no request, and {number} that it can mean: let it echo the request's id as inReplyTo")


_UNANSWERED = frozenset({"timed_out", "superseded", "failed"})
#: How a request was closed, after "the request had".
HOW_CLOSED = {
    "open": "not been closed",
    "answered": "been answered",
    "timed_out": "timed out",
    "superseded": "been superseded",
    "failed": "failed",
}
