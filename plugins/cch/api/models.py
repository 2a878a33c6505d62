"""What the API takes and gives. Field names and states are a promise to other programs: add, never rename."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cch.ledger.records import ActionKind

InstanceState = Literal["PENDING", "RUNNING", "WAITING", "SUCCEEDED", "FAILED", "CANCELLED"]
NodeState = Literal["PENDING", "READY", "RUNNING", "WAITING", "SUCCEEDED", "FAILED", "SKIPPED"]
MessageState = Literal["orphan", "malformed", "late", "rejected", "held"]
Action = Literal["event", "cancel", "resend"]
JsonObject = dict[str, Any]


class View(BaseModel):
    """Base of everything that is given. Times are ISO 8601 in UTC; null means: not known, or not yet."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Body(BaseModel):
    """Base of everything that is taken: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class Degradable(View):
    """An answer that can be made, with less in it, while the ledger does not answer."""

    degraded: bool = Field(default=False, description="Made from Airflow's database alone: show a banner.")
    degraded_reason: str = Field(default="", description="Why, for people.")


# --- problems (RFC 9457) ---------------------------------------------------------------------------------------------


class FieldProblem(View):
    """One thing that is wrong with a request."""

    location: str = Field(description="Where, for example `body.context.blNumber` or `query.cursor`.")
    message: str


class Problem(View):
    """Every error, as `application/problem+json`."""

    type: str = Field(default="about:blank", description="`about:blank`, or an anchor of docs/errors.md.")
    title: str
    status: int
    detail: str = ""
    code: str = Field(default="", description="Stable code to branch on, for example `instance_not_found`.")
    errors: list[FieldProblem] = []


# --- waits and instances ---------------------------------------------------------------------------------------------


BRANCH_PATH = "Branch keys of the map item, from the outside in; empty: the instance itself."


class Wait(View):
    """What something waits for."""

    id: str = Field(description="Command id of the request, or id of the wait for an event.")
    kind: Literal["request", "event"]
    node: str
    capability: str = Field(default="", description="Of a request.")
    event_key: str = Field(default="", description="Key that the event's payload must have; empty: any event.")
    branch: str = Field(default="", description="Branch key of the map item that waits.")
    branch_path: list[str] = Field(default=[], description=BRANCH_PATH)
    since: datetime
    deadline: datetime | None = None


class InstanceSummary(View):
    """One row of the list."""

    id: str
    workflow_id: str
    workflow_name: str
    correlation_id: str
    state: InstanceState
    started: datetime
    ended: datetime | None = None
    reason: str = Field(default="", description="Why it failed, was cancelled, or has not started yet.")
    waits: list[Wait] = Field(default=[], description="Oldest first; at most 5.")
    waiting_since: datetime | None = None
    due: datetime | None = Field(
        default=None, description="When the workflow's `timeout` is up; null: it has none, or has not begun, or ended."
    )
    version: int | None = Field(default=None, description="Number of the version of its workflow; null: unknown.")
    definition_digest: str = Field(default="", description="sha256 of the text that it runs; empty: not chosen yet.")


class VersionView(View):
    """One version of a workflow, with the instances that run it (of those that were counted)."""

    number: int | None = Field(default=None, description="Null: instances of an earlier release run it.")
    digest: str
    current: bool = Field(default=False, description="It is what is published.")
    share: float = Field(default=0.0, description="Percent of the starts that name no version and get this one.")
    labels: list[str] = []
    since: datetime | None = None
    publisher: str = ""
    note: str = ""
    live: int = 0
    ended: int = 0
    oldest: datetime | None = Field(default=None, description="When its oldest live instance started.")
    nodes: dict[str, int] = Field(default={}, description="What its oldest live instances wait at, and how many do.")


class VersionList(View):
    workflow_id: str
    items: list[VersionView]
    complete: bool = Field(default=True, description="False: there are more instances than were counted.")


class InstancePage(Degradable):
    items: list[InstanceSummary]
    next_cursor: str | None = Field(default=None, description="Pass as `cursor` for the next page; null: the end.")


class NodeView(View):
    """One node of the instance's definition, in the definition's order."""

    name: str
    type: str
    title: str
    state: NodeState
    visits: int = 0
    since: datetime | None = Field(default=None, description="When the latest visit or wait began.")
    seconds: float | None = Field(default=None, description="How long the latest visit took.")
    edge: str = Field(default="", description="Label of the edge that the latest visit took.")
    reason: str = ""
    items: dict[NodeState, int] = Field(
        default={}, description="In a map's body: how many items stand how at it, while there are at most 100."
    )
    task_id: str = Field(default="", description="Airflow's task that executes or shows the node.")
    task_url: str = Field(default="", description="Page of that task, with its log, below Airflow's root.")


class VisitView(View):
    """One visit of a node, in order of time: the way taken."""

    node: str
    visit: int
    started: datetime
    ended: datetime
    edge: str = ""
    targets: list[str] = []
    failed: bool = False
    cause: str = Field(default="", description="What ended it: start, instant, reply, event, timeout, call, map, …")
    command_id: str = Field(default="", description="The request that the reply answered.")
    attempt: int = 0
    breach: str = Field(default="", description="How a request or reply broke its contract, which says `warn`.")
    changed: JsonObject = Field(default={}, description="What the visit wrote into the context.")


class RequestView(View):
    """One request to a capability."""

    command_id: str
    node: str
    visit: int
    attempt: int
    capability: str
    branch: str = ""
    state: Literal["open", "answered", "timed_out", "superseded", "failed"]
    created: datetime
    sent: datetime | None = None
    deadline: datetime | None = None
    closed: datetime | None = None
    reply_status: str = ""
    reply: JsonObject | None = Field(default=None, description="Payload of the reply.")
    message_id: str = Field(default="", description="The message that answered it, see `/messages/{message_id}`.")
    reason: str = ""


class RequestDetail(RequestView):
    """A request with what was sent."""

    body: JsonObject | None = Field(
        default=None, description="The message as it was sent; null if it cannot be made again from the ledger."
    )
    body_problem: str = Field(default="", description="Why `body` is null.")
    resendable: bool = False


class EventWaitView(View):
    """One wait for an event."""

    id: str
    node: str
    branch: str = ""
    branch_path: list[str] = Field(default=[], description=BRANCH_PATH)
    event_key: str = ""
    state: Literal["open", "event", "timed_out", "superseded"]
    created: datetime
    deadline: datetime | None = None
    closed: datetime | None = None
    message_id: str = ""


class ErrorView(View):
    """What went wrong: a `log_error` node, a failed node, or the instance itself."""

    code: str
    message: str
    node: str = ""
    at: datetime | None = None
    handled: bool | None = Field(default=None, description="Whether the workflow took the failure's way on.")


class TimelineEntry(View):
    """One thing that happened."""

    at: datetime
    kind: Literal["start", "request", "reply", "timeout", "wait", "event", "error", "visit", "action", "end"]
    node: str = ""
    branch: str = ""
    text: str
    ref: str = Field(default="", description="Command id, wait id or message id.")


class MapView(View):
    """One map of the instance; its items are at `/instances/{instance_id}/items?node=…`."""

    node: str
    visit: int = Field(description="The latest visit of the map.")
    items: int = Field(description="Items begun so far.")
    done: int | None = Field(default=None, description="Items that have ended; null: not counted.")
    started: datetime | None = None


class Links(View):
    """Pages of Airflow, below its root."""

    airflow_run: str = ""
    airflow_graph: str = ""


class ActionView(View):
    """Something that a person did to the instance. Nodes are given by the names of the version before, and after."""

    kind: ActionKind
    at: datetime
    by: str
    reason: str = ""
    node: str = ""
    from_version: int | None = Field(default=None, description="Of a move; null: the version has no number.")
    to_version: int | None = None
    before: list[str] = []
    after: list[str] = []
    batch: str = Field(default="", description="Id of the batch of which it was a part.")


class GateView(View):
    """Why the instance does nothing now."""

    kind: Literal["held", "changing"]
    by: str
    since: datetime
    reason: str = ""


class InstanceDetail(Degradable, InstanceSummary):
    """Everything about one instance, but the items of its maps."""

    run_id: str = ""
    nodes: list[NodeView] = Field(default=[], description="Empty if the definition is lost.")
    visits: list[VisitView] = []
    visits_truncated: bool = Field(default=False, description="Only the latest 2,000 visits are shown.")
    maps: list[MapView] = []
    requests: list[RequestView] = Field(default=[], description="Of the root, not of map items; the latest 500.")
    event_waits: list[EventWaitView] = []
    timeline: list[TimelineEntry] = Field(default=[], description="Oldest first; the latest 2,000.")
    errors: list[ErrorView] = []
    held: list[HeldMessage] = Field(default=[], description="Held for longer than a minute; of items, the first ten.")
    context: JsonObject = {}
    initial_context: JsonObject = {}
    links: Links = Links()
    actions: list[ActionView] = Field(default=[], description="What people did to it, the first of it first.")
    gates: list[GateView] = Field(default=[], description="While there is one, nothing is sent or decided.")
    allowed: list[Action] = Field(default=[], description="What this user may do with it now.")


class MapItemView(View):
    """One item of a map."""

    index: int
    branch: str
    branch_path: list[str] = Field(default=[], description=BRANCH_PATH)
    state: NodeState
    node: str = Field(default="", description="Where it is, or where it ended.")
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    waits: list[Wait] = []


class MapItemPage(View):
    node: str
    visit: int
    total: int = Field(description="Items begun so far.")
    items: list[MapItemView]
    next_cursor: str | None = None


class MapItemDetail(MapItemView):
    """One item with all it did."""

    nodes: list[NodeView] = []
    visits: list[VisitView] = []
    requests: list[RequestView] = []
    event_waits: list[EventWaitView] = []
    errors: list[ErrorView] = []
    context: JsonObject = {}


# --- workflows -------------------------------------------------------------------------------------------------------


class DefinitionProblem(View):
    """One thing that is wrong with a definition; `line` and `column` count from 1, 0: the whole file."""

    code: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning", "advice"]
    line: int = 0
    column: int = 0


class StateCounts(View):
    """Instances by state, as Airflow counts their runs. CANCELLED stops at 1,000."""

    PENDING: int = 0
    RUNNING: int = 0
    WAITING: int = 0
    SUCCEEDED: int = 0
    FAILED: int = 0
    CANCELLED: int = 0


class WorkflowSummary(View):
    """One row of the list."""

    workflow_id: str
    name: str
    description: str = ""
    owner: str = ""
    tags: list[str] = []
    schema_version: str = ""
    digest: str = ""
    usable: bool = Field(description="Whether it, or its last good version, can be started.")
    problems: int = Field(description="Errors and warnings of the published version.")
    paused: bool = False
    counts: StateCounts = StateCounts()
    can_start: bool = Field(default=False, description="Whether this user may start it.")


class WorkflowPage(Degradable):
    items: list[WorkflowSummary]


class GraphContract(View):
    """What people need to know of the contract of a capability that a node asks."""

    title: str
    owner: str = ""
    enforce: Literal["off", "warn", "fail"]
    usual_seconds: float | None = None
    longest_seconds: float | None = None
    errors: dict[str, str] = {}


class GraphNode(View):
    name: str
    type: str
    title: str
    description: str = ""
    region: str | None = Field(default=None, description="Head of the region that executes it.")
    map: str | None = Field(default=None, description="The map in whose body it stands; null: the root.")
    capability: str = ""
    event_key: str = ""
    payload_schema: JsonObject | None = Field(default=None, description="JSON Schema of the event that it waits for.")
    line: int = 0
    column: int = 0
    expressions: int = Field(default=0, description="How many expressions it has.")
    contract: GraphContract | None = Field(default=None, description="What requests and replies are held to.")


class GraphEdge(View):
    source: str
    label: str
    target: str
    implied: bool = Field(description="Not written there, but follows from a join's list.")
    closing: bool = Field(default=False, description="Closes a loop.")


class GraphRegion(View):
    head: str
    kind: Literal["wait", "call", "instant"]
    cyclic: bool
    nodes: list[str]


class GraphView(View):
    entry: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    regions: list[GraphRegion]


class VersionDifference(View):
    """From one version to another. Ways are written `From --label--> To`."""

    from_digest: str
    to_digest: str
    added: list[str] = []
    removed: list[str] = []
    changed: dict[str, list[str]] = Field(default={}, description="Node → its keys that differ.")
    ways_added: list[str] = []
    ways_removed: list[str] = []
    required_added: list[str] = []
    required_removed: list[str] = []
    required_changed: list[str] = []
    entry_changed: bool = False
    graph: GraphView = Field(description="Nodes and ways of both versions; those that are in both as `to` has them.")


class WorkflowDetail(Degradable, WorkflowSummary):
    """A definition. `text` is what is published; `graph` belongs to the last good version, null if there is none."""

    file: str = ""
    text: str = ""
    last_good_text: str | None = Field(default=None, description="What the graph shows, if that is not `text`.")
    graph: GraphView | None = None
    problem_list: list[DefinitionProblem] = []
    start_schema: JsonObject = Field(default={}, description="JSON Schema of the context that a start must bring.")
    airflow_url: str = ""


# --- actions ---------------------------------------------------------------------------------------------------------

#: What Airflow allows in a run id, and a length of ours.
InstanceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~:+-]{1,200}$")]
WorkflowId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
CommandId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
MessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
#: Text without control characters, lone surrogates included.
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
Reason = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)]


class StartBody(Body):
    """A start. With the id of an instance that exists nothing is changed, whatever the rest says."""

    workflow_id: WorkflowId
    context: JsonObject = {}
    correlation_id: Line = Field(default="", description="Business key. Default: the instance id.")
    version: Line = Field(
        default="",
        description="A number, @label, or the beginning of a digest. Default: the version that is published.",
    )
    instance_id: InstanceId | None = Field(default=None, description="Default: a random UUID.")


class EventBody(Body):
    """An event for a node that waits for one, or will."""

    payload: JsonObject = {}
    event_id: Annotated[Line, StringConstraints(min_length=1)] | None = Field(
        default=None, description="The same id takes effect once. Default: a random UUID."
    )
    branch: Line = Field(default="", description="Own branch key of the map item that waits.")
    branch_path: Annotated[list[Line], Field(max_length=20)] = Field(
        default=[], description=f"{BRANCH_PATH} Instead of `branch`, where several items have the same own key."
    )
    status: Literal["", "SUCCESS", "ERROR"] = Field(default="", description="Merged into the context as `status`.")


class EventReceipt(View):
    """The event is stored. `state` is `held` until a wait takes it."""

    event_id: str
    message_id: str
    state: Literal["held", "matched", "duplicate"]
    waiting: int = Field(description="Open waits that were told.")


class CancelBody(Body):
    reason: Reason = ""


class ResendReceipt(View):
    """The request was sent again: same id, same body."""

    command_id: str
    queue: str


class AttachBody(Body):
    """Lets a reply answer an open request, or an event end a wait."""

    command_id: CommandId = Field(description="Command id of the request, or id of the wait.")
    instance_id: Line = Field(default="", description="Of an event: whose wait it is. Default: the event's instance.")
    force: bool = Field(
        default=False, description="Also if the message is from another capability, branch or instance."
    )


class AttachReceipt(View):
    command_id: str
    instance_id: str
    message_id: str
    state: Literal["matched"] = "matched"


# --- messages and tasks ----------------------------------------------------------------------------------------------


class MessageView(View):
    """A message that is not matched."""

    id: str
    state: Literal["matched", "duplicate", "late", "orphan", "malformed", "rejected", "held", "claimed"]
    kind: str = Field(default="", description="START_WORKFLOW, ASYNC_RESP, EVENT_WAIT_RESP; empty: unreadable.")
    queue: str
    reason: str = ""
    instance_id: str = ""
    workflow_id: str = ""
    capability: str = Field(default="", description="Who sent it.")
    branch: str = ""
    command_id: str = Field(default="", description="The message's own id.")
    received: datetime


class HeldMessage(MessageView):
    """A message that nobody has come for within a minute."""

    would_match: str = Field(description="What has to happen for it to be taken.")
    attach: str = Field(description="The command that attaches it; empty: it cannot be attached.")


class MessagePage(View):
    items: list[MessageView]
    next_cursor: str | None = None


class Candidate(View):
    """An open request, or wait for an event, that the message may belong to."""

    command_id: str
    instance_id: str
    node: str
    capability: str
    branch: str = ""
    since: datetime
    exact: bool = Field(description="Same instance, capability and branch: needs no force.")


class LateFor(View):
    """What a late reply would have answered: to be retried with it (`adopt`)."""

    instance_id: str
    node: str
    visit: int


class MessageDetail(MessageView):
    body: str = Field(default="", description="As it came; cut at 1 MiB.")
    attachable: bool = Field(default=False, description="Whether this user may let it answer a request.")
    candidates: list[Candidate] = []
    late_for: LateFor | None = None


class TaskView(View):
    """A node that waits for a person, or for another event from outside."""

    id: str
    instance_id: str
    workflow_id: str
    workflow_name: str
    correlation_id: str
    node: str
    title: str
    description: str = ""
    event_key: str = ""
    branch: str = ""
    branch_path: list[str] = Field(default=[], description=BRANCH_PATH)
    since: datetime
    deadline: datetime | None = None
    payload_schema: JsonObject | None = Field(
        default=None, description="JSON Schema of the event's payload; null: any object."
    )
    can_act: bool = False


class TaskPage(View):
    items: list[TaskView]
    next_cursor: str | None = None


# --- health ----------------------------------------------------------------------------------------------------------


class Check(View):
    name: Literal["table", "command_queue", "reply_queue", "definitions", "router", "dispatcher"]
    ok: bool
    detail: str = ""


class RouterView(View):
    """One process that takes messages off the queues; it reports every 30 s."""

    id: str
    seen: datetime
    age_seconds: float
    waiters: int
    takes_commands: bool


class QueueView(View):
    name: str
    messages: int | None = Field(default=None, description="Roughly; null: the queue cannot be reached.")
    in_flight: int | None = None


class HealthView(View):
    """The self-check. `ok`: all checks are; `degraded`: one is not; the HTTP status is 200 in both cases."""

    status: Literal["ok", "degraded"]
    version: str
    airflow_version: str
    environment: str
    checks: list[Check]
    routers: list[RouterView]
    queues: list[QueueView]
    pending_starts: int | None = None
    oldest_command_seconds: float | None = Field(
        default=None, description="Age of the oldest command that is not processed; null: there is none, or unknown."
    )
    at: datetime


class UserView(View):
    """Who asks."""

    name: str
    can_see_everything: bool = Field(description="Whether messages of unknown instances are shown too.")
