"""Asking: from the wish of a region to a request that is sent, or over before it had to be."""

from __future__ import annotations

from dataclasses import dataclass

from cch.exchange.replies import Replies
from cch.interpreter.host import OvertakenError
from cch.ledger.ledger import Ledger
from cch.ledger.records import RequestRecord
from cch.ledger.requests import Closed


@dataclass(frozen=True, slots=True)
class Unsent:
    """The request is open, its box knows it, and no early reply answers it: it has to be sent.

    ``new``: it was made just now, as it was wanted; else another copy, or this try before a crash, has made it.
    """

    record: RequestRecord
    new: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is open and in its capability's queue."""

    record: RequestRecord


async def ask(
    ledger: Ledger, replies: Replies, wanted: RequestRecord, owner: str, now: int, *, again: bool
) -> Unsent | Sent | Closed:
    """Open the request, or become an owner of the one that is there.

    ``again``: the request may have been made before, so it is looked for first. If an older try of the task has left
    it open, it is superseded.

    :raises OvertakenError: a newer try has asked.
    """
    new, record = await ledger.requests.open(wanted, owner, again=again)
    if record.state != "open":  # the process that closed it may have died before it closed the pointer
        return await ledger.requests.confirm(record)
    if record.task_instance > wanted.task_instance:
        raise OvertakenError
    if record.task_instance < wanted.task_instance:
        closed = await ledger.requests.close(record.command_id, "superseded", now)
        assert closed is not None
        return closed
    if record.sent_at:  # what follows comes before sending, and so has been done
        return Sent(record)
    await ledger.requests.point(record)
    return await replies.take_early(record, now) or Unsent(record, new)
