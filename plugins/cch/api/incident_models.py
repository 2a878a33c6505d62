"""What the API gives of incidents. A promise to other programs: add, never rename."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from cch.api.models import View


class IncidentView(View):
    """A group of what needs a person."""

    id: str = Field(description="Stays the same as long as there is such a group.")
    kind: Literal["failed", "late", "orphan", "start", "definition"]
    title: str
    workflow_id: str = ""
    node: str = ""
    code: str = ""
    pattern: str = Field(default="", description="The message, with <id>, <n> and <time> where members differ.")
    capability: str = ""
    count: int
    first: datetime | None = None
    last: datetime | None = None
    usual_seconds: float | None = Field(default=None, description="How long such a wait usually takes at most.")
    days: list[int] = Field(default=[], description="How many came on each day, today (UTC) last.")
    examples: list[str] = Field(default=[], description="Ids of a few instances; of a definition, its file.")


class IncidentList(View):
    since: datetime = Field(description="Failures and orphans of before are not looked at.")
    complete: bool = Field(description="False: there is more than was looked at, and counts are too small.")
    items: list[IncidentView]
