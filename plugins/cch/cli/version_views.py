"""Versions of a workflow, as people and programs see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cch.cli.output import moment, table
from cch.envelope import iso

if TYPE_CHECKING:
    from rich.table import Table

    from cch.runtime.standings import Standing, Standings

#: Nodes that are named of those at which instances wait.
_NODES = 3


def _what(one: Standing) -> str:
    said = ["published"] if one.current else []
    said += [f"{one.share:g} % of new starts"] if one.share else []
    return ", ".join([*said, *(f"@{label}" for label in one.labels)])


def _where(one: Standing) -> str:
    named = [f"{node} ({number})" for node, number in list(one.nodes.items())[:_NODES]]
    return ", ".join([*named, *(["…"] if len(one.nodes) > _NODES else [])])


def standings_table(workflow_id: str, found: Standings) -> Table:
    """All versions of a workflow, the newest first, with who runs them."""
    rows = [
        (
            one.name, one.digest[:12], _what(one), moment(one.version.since) if one.version else "",
            one.version.publisher if one.version else "", str(one.live), str(one.ended), _where(one),
            moment(one.oldest) if one.oldest else "", one.version.note if one.version else "",
        )
        for one in found.versions
    ]  # fmt: skip
    columns = ("version", "digest", "is", "since", "by", "live", "ended", "they wait at", "oldest", "note")
    return table(f"versions of {workflow_id}", columns, rows)


def standing_data(one: Standing) -> dict[str, Any]:
    """One version as JSON."""
    known = one.version
    return {
        "version": known.number if known else None,
        "digest": one.digest,
        "current": one.current,
        "share": one.share,
        "labels": list(one.labels),
        "since": iso(known.since) if known else None,
        "publisher": known.publisher if known else "",
        "note": known.note if known else "",
        "live": one.live,
        "ended": one.ended,
        "oldest": iso(one.oldest) if one.oldest else None,
        "nodes": dict(one.nodes),
    }
