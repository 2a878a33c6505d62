"""The types of nodes that are instant: they need neither time nor anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from cch.definition.kinds import BRANCH_END, NodeRecord, Way
from cch.definition.uses import Read, Write, Written, read_by, write_paths, written_in

#: Label of the way that a condition goes if no other is meant.
OTHERWISE = "_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(NodeRecord):
    type: ClassVar[Literal["entry"]] = "entry"
    shape = "terminal"
    target_keys = ("next",)
    is_plain = True

    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way that is taken if an expression is true; its label is the node that it leads to."""

    when: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(NodeRecord):
    type: ClassVar[Literal["condition"]] = "condition"
    shape = "decision"
    target_keys = ("default",)
    target_lists = ("branches", "choices")

    condition_on_key: str | None = None
    branches: Mapping[str, str] = field(default_factory=dict)
    #: In their order; instead of a key and its branches.
    choices: tuple[Choice, ...] = ()
    default: str | None = None

    @classmethod
    def fields_of(cls, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Each of the ``choices`` is a record."""
        fields = dict(keys)
        if "choices" in fields:
            fields["choices"] = tuple(Choice(when=each["when"], next=each["next"]) for each in fields["choices"])
        return fields

    def onward(self) -> tuple[Way, ...]:
        otherwise = () if self.default is None else ((OTHERWISE, self.default),)
        return (*self.branches.items(), *dict.fromkeys((each.next, each.next) for each in self.choices), *otherwise)

    @property
    def decides_by(self) -> str | None:
        return self.condition_on_key

    @property
    def may_fail(self) -> bool:
        return True

    def expressions(self) -> tuple[Written, ...]:
        return tuple(
            Written(place=("choices", index, "when"), text=each.when) for index, each in enumerate(self.choices)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.branches)

    def reads(self) -> tuple[Read, ...]:
        key = self.condition_on_key
        named = (Read(place=("condition_on_key",), text=key),) if key is not None else ()
        return (*named, *read_by(self.expressions()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState(NodeRecord):
    type: ClassVar[Literal["set_state"]] = "set_state"
    target_keys = ("on_success",)
    is_plain = True

    static_outputs: Mapping[str, Any] = field(default_factory=dict)
    #: As ``static_outputs``, with expressions in the values.
    outputs: Mapping[str, Any] = field(default_factory=dict)
    on_success: str | None = None

    @property
    def open_way(self) -> str | None:
        return "on_success" if self.on_success is None else None

    def writes(self) -> tuple[Write, ...]:
        fixed = write_paths("static_outputs", self.static_outputs, "once_literal")
        return (*fixed, *write_paths("outputs", self.outputs, "path"))

    def reads(self) -> tuple[Read, ...]:
        return read_by(self.expressions())

    @property
    def constants(self) -> Mapping[str, Any]:
        fixed = {key: value for key, value in self.outputs.items() if not written_in(value)}
        return {**self.static_outputs, **fixed}

    @property
    def may_fail(self) -> bool:
        return bool(self.outputs)

    def expressions(self) -> tuple[Written, ...]:
        return written_in(self.outputs, "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogError(NodeRecord):
    type: ClassVar[Literal["log_error"]] = "log_error"
    target_keys = ("on_success",)
    is_plain = True

    default_error_code: str
    default_message: str
    on_success: str
    message_from_context_key: str | None = None

    def reads(self) -> tuple[Read, ...]:
        key = self.message_from_context_key
        return (Read(place=("message_from_context_key",), text=key, optional=True),) if key else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(NodeRecord):
    type: ClassVar[Literal["fork"]] = "fork"
    shape = "parallel"
    target_lists = ("branches",)

    branches: tuple[str, ...]

    def onward(self) -> tuple[Way, ...]:
        return tuple((branch, branch) for branch in self.branches)

    @property
    def parallel(self) -> tuple[str, ...]:
        return self.branches


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(NodeRecord):
    type: ClassVar[Literal["join"]] = "join"
    shape = "parallel"
    target_keys = ("on_success",)
    target_lists = ("join_branches",)
    is_plain = True

    join_branches: tuple[str, ...]
    on_success: str
    destination: str | None = None

    @property
    def joins(self) -> tuple[str, ...]:
        return self.join_branches

    def writes(self) -> tuple[Write, ...]:
        return (Write(place=("destination",), text=self.destination),) if self.destination else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndBranch(NodeRecord):
    type: ClassVar[Literal["end_branch"]] = "end_branch"
    shape = "terminal"

    @property
    def open_way(self) -> str:
        return BRANCH_END

    @property
    def ends(self) -> Literal["branch"]:
        return "branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class End(NodeRecord):
    type: ClassVar[Literal["end"]] = "end"
    shape = "terminal"

    status: Literal["success", "failed"] = "success"
    static_outputs: Mapping[str, Any] = field(default_factory=dict)

    def writes(self) -> tuple[Write, ...]:
        return write_paths("static_outputs", self.static_outputs, "once_literal")

    @property
    def constants(self) -> Mapping[str, Any]:
        return self.static_outputs

    @property
    def needs_nobody(self) -> bool:
        return self.status == "success" and not self.static_outputs

    @property
    def may_fail(self) -> bool:
        """Also if its outputs cannot be put where their paths lead."""
        return not self.needs_nobody

    def ways(self) -> tuple[Way, ...]:
        """None: nothing comes after an end, whatever its ``on_failure`` says."""
        return ()

    @property
    def ends(self) -> Literal["success", "failed"]:
        return self.status
