"""Messages as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cch.cli.output import coloured, duration, moment, table
from cch.envelope import iso
from cch.ledger.messages import message_id
from cch.ledger.records import MessageRecord

if TYPE_CHECKING:
    from rich.table import Table

    from cch.runtime.lingering import Lingering


def message_data(record: MessageRecord) -> dict[str, Any]:
    """A message as JSON."""
    return {
        "id": message_id(record.key),
        "state": record.fate,
        "kind": record.kind,
        "instance_id": record.instance,
        "source": record.source,
        "branch": record.branch,
        "command_id": record.command_id,
        "received": iso(record.received),
        "reason": record.reason,
    }


def messages_table(records: Iterable[MessageRecord]) -> Table:
    rows = (
        (message_id(r.key), r.kind, r.instance, r.source, moment(r.received), coloured(r.fate), r.reason)
        for r in records
    )
    return table("", ("message", "kind", "instance", "from", "received", "state", "why"), rows)


def held_data(each: Lingering) -> dict[str, Any]:
    """A message that is held for longer than a minute, as JSON."""
    return {**message_data(each.record), "would_match": each.would_match, "attach": each.attach}


def held_table(held: Sequence[Lingering], now: int) -> Table:
    rows = (
        (
            message_id(each.record.key), each.record.source, duration((now - each.record.received) / 1000),
            each.would_match, each.attach,
        )
        for each in held
    )  # fmt: skip
    title = "held for longer than a minute"
    return table(title, ("message", "from", "for", "it would match by", "to attach it"), rows)
