"""What other programs see of batches. A promise: add, never rename."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from cch.api.instances import Moment
from cch.api.mending_models import Renames
from cch.api.models import Body, InstanceState, JsonObject, Line, Reason, View
from cch.ledger.batches import BatchState, ResultKind

#: The same as for one instance. Text of JSON objects is bounded, because an item of the ledger is.
MOST_ARGUMENTS = 100_000
Rate = Annotated[float, Field(ge=0.01, le=1000.0, description="Instances a second, at the most.")]
BatchId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class BatchSearch(Body):
    """Which instances: as `GET /instances` takes it. Without any of it, `all` must say so."""

    workflow_id: Line = ""
    version: Line = Field(default="", description="Of `workflow_id`: a number, @label, or the beginning of a digest.")
    state: Annotated[list[InstanceState], Field(max_length=6)] = Field(default=[])
    correlation_id: Line = Field(default="", description="Exactly this business key.")
    correlation_prefix: Line = Field(default="", description="Business keys that begin so.")
    waiting_for: Line = Field(default="", description="Id of the capability that is waited for; `event`: any event.")
    incident: Line = Field(default="", description="Failed instances of this group of `/incidents`.")
    failed_node: Line = Field(default="", description="Instances that failed there.")
    error_code: Line = Field(default="", description="Instances that failed with this code.")
    started_after: Moment | None = Field(default=None, description="Started then or later.")
    started_before: Moment | None = Field(default=None, description="Started then or earlier.")
    all: bool = Field(default=False, description="Every instance that you may see is meant.")


class RetryAction(Body):
    """Begin a node anew; what came after it does not count any more."""

    kind: Literal["retry"]
    node: Line = Field(default="", description="Default: of each instance the node at which it has failed.")


class DecideAction(Body):
    """Decide about a node that waits or has failed."""

    kind: Literal["decide"]
    verdict: Literal["completed", "skipped", "failed"]
    node: Line = Field(default="", description="Default: of each instance the node at which it has failed.")
    payload: JsonObject = Field(default={}, description="What the node writes, if it is completed.")
    edge: Line = Field(default="", description="The way that it takes. Default: that of success, or `on_failure`.")


class PatchAction(Body):
    """Add to what the nodes know that come next."""

    kind: Literal["patch"]
    patch: Annotated[JsonObject, Field(min_length=1)]
    nodes: Annotated[list[Line], Field(max_length=50)] = Field(
        default=[], description="Where the instances stand and shall know of it."
    )


class HoldAction(Body):
    """Stop them: nothing is sent or decided until they are released."""

    kind: Literal["hold"]


class ReleaseAction(Body):
    """Let held ones go on."""

    kind: Literal["release"]


class CancelAction(Body):
    """End them as CANCELLED."""

    kind: Literal["cancel"]


class MoveAction(Body):
    """Move them to another version of their workflow, which the search names."""

    kind: Literal["move"]
    version: Line = Field(
        default="",
        description="A number, @label, or the beginning of a digest. Default: the version that is published now.",
    )
    renames: Renames = Field(default={}, description="A node's name so far → its name in that version.")


BatchActionBody = Annotated[
    RetryAction | DecideAction | PatchAction | HoldAction | ReleaseAction | CancelAction | MoveAction,
    Field(discriminator="kind"),
]


class BatchWish(Body):
    """A search, and what is to be done to all that it finds."""

    search: BatchSearch
    action: BatchActionBody
    reason: Reason = Field(default="", description="Kept with each instance and in the audit log.")


class BatchPreviewBody(BatchWish):
    """A batch that is only looked at."""

    examples: int = Field(default=5, ge=0, le=200, description="Instances that are looked at one by one.")


class BatchBody(BatchWish):
    """A batch that is confirmed."""

    expected: int = Field(ge=1, description="`count` of the preview: another number now means that nothing is done.")
    rate: Rate = 10.0
    id: BatchId | None = Field(
        default=None, description="To repeat a request whose answer was lost. Default: a random UUID."
    )


class BatchExample(View):
    """What would happen to one of them."""

    id: str
    workflow_id: str
    correlation_id: str
    possible: bool
    refused: str = Field(default="", description="Why it cannot be done, if it cannot.")
    before: list[str] = Field(default=[], description="Nodes where it stands; not told for hold, release and cancel.")
    after: list[str] = Field(default=[], description="Nodes where it stands then.")


class BatchPreview(View):
    """What a batch would do. Nothing has changed."""

    count: int = Field(description="Instances that match and that you may change.")
    not_allowed: int = Field(description="Instances that match and that you may not change: they are left out.")
    workflows: dict[str, int] = Field(description="Workflow → how many of them.")
    statuses: dict[str, int] = Field(description="pending, running, completed, failed, cancelled → how many of them.")
    examples: list[BatchExample] = Field(description="The first few of them.")


class BatchView(View):
    """A batch, and how far it is."""

    id: str
    state: BatchState
    action: JsonObject = Field(description="As it was confirmed; of a move with the digest of the version.")
    search: JsonObject = Field(description="As it was confirmed.")
    by: str
    reason: str = ""
    rate: float
    created: datetime
    ended: datetime | None = None
    total: int = Field(description="Instances in the batch.")
    not_allowed: int = Field(default=0, description="Instances that matched and were left out.")
    done: int = 0
    skipped: int = Field(default=0, description="Did not match any more when their turn came.")
    refused: int = Field(default=0, description="It could not be done to them.")
    failed: int = Field(default=0, description="An error came that nobody has foreseen.")
    left: int = Field(default=0, description="Without a result.")
    workflows: list[str] = Field(default=[], description="Those of its instances.")
    can_edit: bool = Field(default=False, description="Whether you may pause, resume or stop it.")


class BatchPage(View):
    items: list[BatchView]
    next_cursor: str | None = None


class BatchResultView(View):
    """What has become of one instance."""

    instance_id: str
    workflow_id: str = ""
    correlation_id: str = ""
    result: ResultKind
    reason: str = ""
    at: datetime


class BatchResultPage(View):
    """In the order in which the batch does them."""

    items: list[BatchResultView]
    next_cursor: str | None = None
