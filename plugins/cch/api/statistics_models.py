"""What the API gives of workflows over all their instances. A promise to other programs: add, never rename."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from cch.api.models import GraphView, View

_OF_COMPLETED = "Of those that completed; null: none did."


class Ends(View):
    """Instances that ended. `again`: ends of instances that had ended before, and were run again in part."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    again: int = 0
    median_seconds: float | None = Field(default=None, description=f"From start to end. {_OF_COMPLETED}")
    p95_seconds: float | None = Field(default=None, description=_OF_COMPLETED)


class DayStatistics(Ends):
    """One day, by the time of the end in UTC."""

    day: date


class VisitStatistics(View):
    """Visits of a node, or of all nodes that ask a capability. Lengths of time are within 4.5 %."""

    visits: int = 0
    failed: int = Field(default=0, description="Also those whose failure was handled.")
    timed_out: int = 0
    median_seconds: float | None = Field(default=None, description="Null: no visit needed time.")
    p95_seconds: float | None = None
    longest_seconds: float | None = None
    total_seconds: float = Field(default=0.0, description="Of all visits together.")


class NodeStatistics(VisitStatistics):
    name: str
    title: str
    type: str
    capability: str = ""


class EdgeStatistics(View):
    source: str
    label: str
    target: str
    taken: int


class CapabilityStatistics(VisitStatistics):
    capability: str
    nodes: list[str] = Field(default=[], description="Names of the nodes that ask it.")


class VersionStatistics(View):
    digest: str
    number: int | None = None
    ended: int


class WorkflowStatistics(View):
    """A workflow over all instances that ended within some days, from figures that are kept as instances end."""

    workflow_id: str
    since: date
    until: date
    digest: str = Field(default="", description="Of one version; empty: all of them.")
    versions: list[VersionStatistics] = Field(default=[], description="Those that ended instances in this time.")
    ends: Ends
    days: list[DayStatistics] = Field(default=[], description="Every day, also those on which nothing ended.")
    nodes: list[NodeStatistics] = Field(default=[], description="In the order of the definition, then those it lacks.")
    edges: list[EdgeStatistics] = Field(default=[], description="The ways of the graph.")
    capabilities: list[CapabilityStatistics] = Field(default=[], description="The slowest first.")
    graph: GraphView | None = Field(default=None, description="Of the version; of what is published, if of all.")


class PlaceView(View):
    """`instances` wait at the node now."""

    node: str
    instances: int
    oldest: datetime


class WorkflowPlaces(View):
    """Where the running instances of a workflow are now."""

    workflow_id: str
    running: int
    working: int = Field(description="Those of them that wait for nobody.")
    complete: bool = Field(description="False: there are more than were looked at (5,000).")
    nodes: list[PlaceView] = Field(default=[], description="Nodes at which some wait.")
