"""What other programs see of moving and mending."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cch.api.models import Body, JsonObject, Line, Reason, View

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


class _Mend(Body):
    reason: Reason = Field(default="", description="Kept with the instance and in the audit log.")
    dry_run: bool = Field(default=False, description="Only say what would happen.")


class RetryBody(_Mend):
    """Which node begins anew."""

    node: Line
    visit: int | None = Field(default=None, ge=1, le=1_000_000, description="Default: the latest.")
    item: Line = Field(default="", description="Branch key of the item of a map in which the node is.")
    adopt: Line = Field(
        default="", description="Id of a reply that found nobody, and answers what the node asks: nobody is asked then."
    )


class DecideBody(_Mend):
    """What is decided about a node that waits or has failed."""

    node: Line
    verdict: Literal["completed", "skipped", "failed"]
    payload: JsonObject = Field(default={}, description="What the node writes, if it is completed.")
    edge: Line = Field(default="", description="The way that it takes. Default: that of success, or `on_failure`.")


class PatchBody(_Mend):
    """What is added to the context."""

    patch: JsonObject
    nodes: Annotated[list[Line], Field(max_length=50)] = Field(
        default=[], description="Where the instance stands and shall know of it; needed if it stands at several nodes."
    )


class HoldBody(Body):
    reason: Reason = ""


class MendView(View):
    """What was done, or would be. Requests and waits are given by their ids."""

    done: bool
    before: list[str] = Field(description="Nodes where the instance stood.")
    after: list[str] = Field(description="Nodes where it stands then.")
    set_aside: list[str] = Field(default=[], description="Visits that do not count any more (node#visit).")
    superseded: list[str] = Field(default=[], description="Open requests and waits that are closed.")
