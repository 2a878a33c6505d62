"""What other programs see of contracts and expressions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cch.api.models import Degradable, JsonObject, View


class ContractExample(View):
    title: str = ""
    request: JsonObject | None = None
    status: Literal["SUCCESS", "ERROR"] = "SUCCESS"
    payload: JsonObject = Field(default={})


class ContractView(View):
    """The newest contract of a capability."""

    id: str
    title: str
    owner: str = ""
    description: str = ""
    enforce: Literal["off", "warn", "fail"]
    usual_seconds: float | None = None
    longest_seconds: float | None = None
    idempotency: str = ""
    errors: dict[str, str] | None = Field(default=None, description="Code → meaning; null: any code may come.")
    request: JsonObject | bool | None = Field(default=None, description="JSON Schema of the context.")
    replies: dict[str, JsonObject | bool] = Field(default={}, description="JSON Schema of the payload, by status.")
    examples: list[ContractExample] = Field(default=[])
    digest: str
    workflows: list[str] = Field(default=[], description="Workflows that you may see and that ask it.")


class ContractPage(Degradable):
    items: list[ContractView]


class SeenExpression(View):
    """One expression at one visit, evaluated again from what is recorded."""

    visit: int
    place: str = Field(description="Where the node writes it.")
    text: str
    saw: dict[str, Any] = Field(description="What it read, by path or `$name`.")
    gave: Any = Field(default=None, description="Its value; null also if it gave nothing.")
    nothing: bool = Field(default=False, description="Whether it gave nothing.")
    error: str = Field(default="", description="Why it could not be evaluated.")


class SeenPage(View):
    items: list[SeenExpression]
