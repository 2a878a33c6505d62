"""What ``cch publish`` has done, as people and programs see it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cch.cli.output import coloured, complain, note, say, show, table
from cch.cli.version_views import standing_data, standings_table
from cch.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cch.definition.model import Definition
    from cch.graph.differences import Difference
    from cch.ledger.records import Instance
    from cch.runtime.standings import Standings

Action = Literal["created", "updated", "unchanged", "shared", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was done with one definition; ``alive`` are the instances that another structure concerns.

    ``name`` is the file that it has where Airflow reads it. ``unpinned``: why those instances would not keep their
    version; "" if they do. ``number``: of the version, None if the ledger cannot be asked. ``difference``: from what
    was published before.
    """

    file: str
    definition: Definition
    structure: str
    action: Action
    name: str
    alive: tuple[Instance, ...] = ()
    #: Another name under which messages may start it; "" if it has none.
    alias: str = ""
    unpinned: str = ""
    number: int | None = None
    difference: Difference | None = None
    stays: Standings | None = None


def _fate(instance: Instance, *, pinned: bool) -> str:
    """What another structure means for an instance."""
    bound = instance.status == "running"
    if pinned:
        return "keeps its version"
    return "fails at its next node" if bound else "starts with the new structure"


def published_data(one: Published) -> dict[str, Any]:
    fate = functools.partial(_fate, pinned=not one.unpinned)
    return {
        "file": one.file,
        "published_as": one.name,
        "alias": one.alias,
        "workflow_id": one.definition.workflow_id,
        "digest": one.definition.digest,
        "structure_digest": one.structure,
        "action": one.action,
        "instances": [
            {"instance_id": i.id, "correlation_id": i.correlation_id, "status": i.status, "consequence": fate(i)}
            for i in one.alive
        ],
        "version": one.number,
        "difference": one.difference.lines if one.difference else [],
        "versions": [standing_data(each) for each in one.stays.versions] if one.stays else [],
    }


def show_published(done: Iterable[Published], place: str) -> None:
    rows = [
        (
            one.definition.workflow_id, one.file, str(one.number or ""), one.definition.digest[:12], one.structure,
            coloured(one.action),
        )
        for one in done
    ]  # fmt: skip
    show(table("", ("workflow", "file", "version", "digest", "structure", "done"), rows))
    say(f"definitions are in {place}")


def show_alive(one: Published) -> None:
    if not one.unpinned:
        return
    alive = counted(len(one.alive), "instance is", "instances are")
    rows = [(i.id, i.correlation_id, coloured(i.status), _fate(i, pinned=False)) for i in one.alive]
    title = f"instances of {one.definition.workflow_id} that are alive"
    show(table(title, ("instance", "correlation id", "status", "with the new structure it"), rows))
    if one.action == "refused":
        complain(
            f"{one.definition.workflow_id} is not published: its tasks are others, and {alive} alive that began with"
            f" the old ones, and {one.unpinned}; wait for that, publish it under another workflow_id, or use --force"
        )
    else:
        note(f"{one.definition.workflow_id} was published although {alive} alive (--force)")


def show_change(one: Published) -> None:
    """What is other than before, and who stays on which version."""
    if one.action == "refused" and one.difference is None:
        return
    for line in one.difference.lines if one.difference else []:
        say(f"  {line}")
    if one.stays is not None:
        show(standings_table(one.definition.workflow_id, one.stays))
