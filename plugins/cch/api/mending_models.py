"""What other programs see of moving and mending."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cch.api.models import Body, Line, Reason, View

#: Names of nodes, by their names so far.
Renames = Annotated[dict[Line, Line], Field(max_length=200)]


class MoveBody(Body):
    """To which version, and how nodes are called there."""

    version: Line = Field(
        default="",
        description="A number, @label, or the beginning of a digest. Default: the version that is published.",
    )
    renames: Renames = Field(default={}, description="A node's name so far → its name in that version.")
    reason: Reason = Field(default="", description="Kept with the instance and in the audit log.")
    dry_run: bool = Field(default=False, description="Only say what would happen.")


class MoveView(View):
    """What a move did, or would do. Requests and waits are given in words."""

    moved: bool
    from_digest: str
    to_digest: str
    before: list[str] = Field(description="Nodes where the instance stands, by the names of the version before.")
    after: list[str] = Field(description="Nodes where it stands then, by the names of the version after.")
    kept: list[str] = Field(default=[], description="Open requests and waits that go on unchanged.")
    superseded: list[str] = Field(default=[], description="Open requests and waits that are closed.")
    notes: list[str] = Field(default=[], description="What people should know.")
